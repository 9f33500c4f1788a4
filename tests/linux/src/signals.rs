//! SIGBUS: what the system says of an error.

use std::io;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use libc::{SA_SIGINFO, SIGBUS, c_int, c_void, siginfo_t};

/// Signals that are kept.
const KEPT: usize = 16;

/// A signal.
#[derive(Clone, Copy, Debug)]
pub struct Signal {
    /// Why it was sent: BUS_MCEERR_AR (4), BUS_MCEERR_AO (5), SI_KERNEL (128).
    pub code: i32,
    /// The address that it is about.
    pub address: usize,
    /// The number of the address's lowest valid bit.
    pub lsb: i32,
}

static COUNT: AtomicUsize = AtomicUsize::new(0);
static CODES: [AtomicI32; KEPT] = [const { AtomicI32::new(0) }; KEPT];
static ADDRESSES: [AtomicUsize; KEPT] = [const { AtomicUsize::new(0) }; KEPT];
static LSBS: [AtomicI32; KEPT] = [const { AtomicI32::new(0) }; KEPT];

/// Where `si_addr_lsb` is in a `siginfo_t` (sigaction(2)), for which `libc` has no name.
const LSB_AT: usize = 24;

extern "C" fn note(_: c_int, info: *const siginfo_t, _: *const c_void) {
    // SAFETY: the system gives a handler with SA_SIGINFO a whole `siginfo_t`, of 128 bytes, and SIGBUS has an address.
    let (code, address, lsb) = unsafe {
        let lsb = info.byte_add(LSB_AT).cast::<i16>().read();
        ((*info).si_code, (*info).si_addr().addr(), lsb)
    };
    let place = COUNT.load(Ordering::Relaxed);
    if place < KEPT {
        CODES[place].store(code, Ordering::Relaxed);
        ADDRESSES[place].store(address, Ordering::Relaxed);
        LSBS[place].store(lsb.into(), Ordering::Relaxed);
        COUNT.store(place + 1, Ordering::Release);
    }
}

/// The signals that came.
pub struct Signals {
    taken: usize,
}

impl Signals {
    /// Keeps them from now on.
    ///
    /// # Errors
    /// The system's.
    pub fn listen() -> io::Result<Self> {
        // SAFETY: all zeroes are a `sigaction` without flags. The handler only stores to atomics, which is safe in a signal's context.
        let answer = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = note as extern "C" fn(_, _, _) as usize;
            action.sa_flags = SA_SIGINFO;
            libc::sigaction(SIGBUS, &raw const action, std::ptr::null_mut())
        };
        match answer {
            0 => Ok(Self { taken: 0 }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Those that came since the last time.
    pub fn take(&mut self) -> impl Iterator<Item = Signal> + use<> {
        let new = self.taken..COUNT.load(Ordering::Acquire);
        self.taken = new.end;
        new.map(|place| Signal {
            code: CODES[place].load(Ordering::Relaxed),
            address: ADDRESSES[place].load(Ordering::Relaxed),
            lsb: LSBS[place].load(Ordering::Relaxed),
        })
    }
}
