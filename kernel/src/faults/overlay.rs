//! Bank registers that a fault was put into: real banks refuse non-zero writes.

use super::Refused;
use super::command::Fault;
use crate::event::Event;
use crate::mca::registers::{MAX_BANKS, MC0_CTL, MCG_STATUS};
use crate::mca::{McgStatus, Status};
use crate::sync::{AtomicU32, AtomicU64, Ordering, constructor};
use crate::units::{Bank, Pcpu};

/// STATUS, ADDR and MISC of a bank.
struct Registers([AtomicU64; 3]);

/// What a processor's machine-check registers seem to hold. Every access of the engine passes through it.
pub struct Overlay {
    /// A bit for each bank that holds a fault.
    banks: AtomicU32,
    /// 0: MCG_STATUS is the hardware's.
    mcg_status: AtomicU64,
    registers: [Registers; MAX_BANKS],
}

impl Registers {
    constructor! {
        fn new() -> Self {
            Self([AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0)])
        }
    }
}

/// The bank of an MSR and which of its registers it is (0 CTL, 1 STATUS, 2 ADDR, 3 MISC).
fn bank_register(msr: u32) -> Option<(Bank, usize)> {
    let offset = msr.checked_sub(MC0_CTL)?;
    let bank = (offset / 4) as usize;
    (bank < MAX_BANKS).then_some((Bank(bank as u8), (offset % 4) as usize))
}

impl Overlay {
    /// Nothing: every register is the hardware's.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self {
            banks: AtomicU32::new(0),
            mcg_status: AtomicU64::new(0),
            registers: [const { Registers::new() }; MAX_BANKS],
        }
    }

    /// Nothing: every register is the hardware's.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self {
            banks: AtomicU32::new(0),
            mcg_status: AtomicU64::new(0),
            registers: core::array::from_fn(|_| Registers::new()),
        }
    }

    /// RDMSR: the value, if the overlay has one.
    pub fn read(&self, msr: u32) -> Option<u64> {
        if msr == MCG_STATUS {
            return Some(self.mcg_status.load(Ordering::Acquire)).filter(|&value| value != 0);
        }
        self.register(msr)
            .map(|register| register.load(Ordering::Acquire))
    }

    /// WRMSR: whether the overlay has taken the value. A bank whose STATUS is cleared is the hardware's again.
    pub fn write(&self, msr: u32, value: u64) -> bool {
        if msr == MCG_STATUS {
            return self.mcg_status.swap(0, Ordering::AcqRel) != 0 && value == 0;
        }
        let Some(register) = self.register(msr) else {
            return false;
        };
        register.store(value, Ordering::Release);
        if let Some((bank, 1)) = bank_register(msr)
            && value == 0
        {
            self.banks.fetch_and(!(1 << bank.0), Ordering::AcqRel);
        }
        true
    }

    fn register(&self, msr: u32) -> Option<&AtomicU64> {
        let (bank, which) = bank_register(msr)?;
        if self.banks.load(Ordering::Acquire) & 1 << bank.0 == 0 {
            return None;
        }
        self.registers
            .get(usize::from(bank.0))?
            .0
            .get(which.checked_sub(1)?)
    }

    /// Puts an error into a bank, over one that may be there.
    fn put(&self, fault: &Fault) {
        let Some(registers) = self.registers.get(usize::from(fault.bank.0)) else {
            return;
        };
        let [status, addr, misc] = &registers.0;
        let was_valid = self.banks.load(Ordering::Acquire) & 1 << fault.bank.0 != 0;
        let new = Status::from(fault.status);
        let value = new.with_over(new.over() || (was_valid && new.val()));
        addr.store(fault.addr, Ordering::Relaxed);
        misc.store(fault.misc, Ordering::Relaxed);
        status.store(value.into(), Ordering::Relaxed);
        self.banks.fetch_or(1 << fault.bank.0, Ordering::AcqRel);
        self.mcg_status.store(fault.mcg_status, Ordering::Release);
    }
}

impl Default for Overlay {
    fn default() -> Self {
        Self::new()
    }
}

/// Puts a fault into the registers of the processors that get its #MC; `fault.addr` is host-physical by now. The vector is the
/// caller's to raise: on `fault.processor`, and with `broadcast` on every other. `overlays` has one for each
/// processor that is online. Returns the event to emit.
pub fn raise(fault: &Fault, overlays: &[Overlay]) -> Result<Event, Refused> {
    let target = overlays
        .get(usize::from(fault.processor.0))
        .ok_or(Refused::NoProcessor)?;
    target.put(fault);
    if fault.broadcast {
        // Those whom the error does not concern: their context is untouched.
        let bystander = McgStatus::new().with_ripv(true).with_mcip(true).into();
        for (number, overlay) in overlays.iter().enumerate() {
            if number != usize::from(fault.processor.0) {
                overlay.mcg_status.store(bystander, Ordering::Release);
            }
        }
    }
    Ok(Event::FaultRaised {
        target: Pcpu(fault.processor.0),
        bank: fault.bank,
        status: fault.status,
        mcg_status: fault.mcg_status,
        addr: fault.addr,
        misc: fault.misc,
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn fault(processor: u16, broadcast: bool) -> Fault {
        Fault {
            at: None,
            processor: Pcpu(processor),
            bank: Bank(1),
            status: 0xbd00_0000_0000_00cf,
            mcg_status: 7,
            addr: 0x1000,
            misc: 0x8c,
            guest: None,
            broadcast,
        }
    }

    #[test]
    fn a_fault_is_seen_until_it_is_cleared() {
        let overlays = [const { Overlay::new() }; 2];
        raise(&fault(1, true), &overlays).expect("processor 1 exists");
        let [other, this] = &overlays;
        assert_eq!(
            [0x17a, 0x404, 0x405, 0x406, 0x407, 0x408, 0x179].map(|msr| this.read(msr)),
            [
                Some(7),
                None,
                Some(0xbd00_0000_0000_00cf),
                Some(0x1000),
                Some(0x8c),
                None,
                None
            ]
        );
        assert_eq!([0x17a, 0x405].map(|msr| other.read(msr)), [Some(5), None]);
        assert!(!this.write(0x404, u64::MAX));
        assert!(this.write(0x405, 0));
        assert!(this.write(0x17a, 0));
        assert!(!this.write(0x17a, 0), "it is the hardware's again");
        assert_eq!([0x17a, 0x405, 0x406].map(|msr| this.read(msr)), [None; 3]);
    }

    #[test]
    fn an_error_over_an_error_sets_over() {
        let overlays = [const { Overlay::new() }; 1];
        for over in [0, 1 << 62] {
            raise(&fault(0, false), &overlays).expect("processor 0 exists");
            assert_eq!(overlays[0].read(0x405), Some(0xbd00_0000_0000_00cf | over));
        }
        overlays[0].write(0x405, 0);
        raise(&fault(0, false), &overlays).expect("processor 0 exists");
        assert_eq!(overlays[0].read(0x405), Some(0xbd00_0000_0000_00cf));
    }

    #[test]
    fn a_processor_that_is_not_there_is_refused() {
        assert_eq!(
            raise(&fault(1, false), &[const { Overlay::new() }; 1]),
            Err(Refused::NoProcessor)
        );
    }
}
