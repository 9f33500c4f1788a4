//! A vCPU: what only its own processor touches, and what others may.

use core::ptr::addr_of_mut;
use core::sync::atomic::{AtomicU32, Ordering};

use kernel::guest::pvh::Start;
use kernel::units::{Hpa, VcpuId};
use kernel::vmce::Mailbox;
use specs::McState;
use specs::platform::v1::State as PlatformState;

use crate::guests::Guest;
use crate::machine::processor::Processor;

/// The guest's registers, in the order in which entry and exit move them.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Registers {
    /// R11.
    pub r11: u64,
    /// R10.
    pub r10: u64,
    /// R9.
    pub r9: u64,
    /// R8.
    pub r8: u64,
    /// RDI.
    pub rdi: u64,
    /// RSI.
    pub rsi: u64,
    /// RBX.
    pub rbx: u64,
    /// RDX.
    pub rdx: u64,
    /// RCX.
    pub rcx: u64,
    /// RAX. The VM exit's stack pointer is just above it: the exit pushes downwards from here.
    pub rax: u64,
    /// RBP; it and the following are saved on the slow path only, since Rust keeps them for its caller.
    pub rbp: u64,
    /// R12.
    pub r12: u64,
    /// R13.
    pub r13: u64,
    /// R14.
    pub r14: u64,
    /// R15.
    pub r15: u64,
}

/// Bytes of an FXSAVE area.
const FXSAVE: usize = 512;
/// Exit counters: one for each basic exit reason, the last one for all that are beyond the table.
pub const EXIT_COUNTERS: usize = 128;

/// What a vCPU is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Not yet started: waits for INIT and SIPI.
    WaitForStartup,
    /// Runs, or would if it had a processor.
    Active,
    /// After HLT.
    Halted,
    /// Will never run again.
    Ended,
}

/// What only the vCPU's own processor touches, in ordinary context.
#[repr(C, align(64))]
pub struct Own {
    /// First, because the exit finds the vCPU by it.
    pub registers: Registers,
    /// Launched since its VMCS was cleared: entered by VMRESUME.
    pub launched: u64,
    /// The machine-check interface's registers.
    pub machine_check: McState,
    /// Every other MSR.
    pub platform: PlatformState,
    /// Where vCPU 0 starts; taken when its VMCS is filled in.
    pub start: Option<Start>,
    /// CR8.
    pub task_priority: u8,
    /// What it does.
    pub activity: Activity,
    /// Exits by basic reason.
    pub exits: [u32; EXIT_COUNTERS],
    /// x87 and XMM state between exit and entry on the slow path.
    pub fxsave: FxState,
    /// Console output that has not yet ended in a line feed.
    pub console: crate::guests::console::Line,
    /// The VMCS.
    pub vmcs: Hpa,
}

/// An FXSAVE area.
#[repr(C, align(16))]
pub struct FxState(pub [u8; FXSAVE]);

impl FxState {
    /// x87 and MXCSR as after FNINIT and reset.
    pub const RESET: Self = {
        let mut area = [0; FXSAVE];
        (area[0], area[1]) = (0x7f, 0x03); // FCW
        (area[24], area[25]) = (0x80, 0x1f); // MXCSR
        Self(area)
    };
}

/// What others may touch.
pub struct Shared {
    /// Which vCPU this is.
    pub id: VcpuId,
    /// Its guest.
    pub guest: &'static Guest,
    /// The processor that runs it.
    pub processor: &'static Processor,
    /// Machine checks for it.
    pub mailbox: &'static Mailbox,
    /// INIT or SIPI that has been sent to it: see [`Startup`].
    startup: AtomicU32,
}

/// A vCPU.
#[repr(C)]
pub struct Vcpu {
    own: Own,
    shared: Shared,
}

/// What one vCPU's local APIC has sent to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Startup {
    /// INIT.
    Init,
    /// SIPI with this vector.
    Sipi(u8),
}

const INIT: u32 = 1 << 8;
const SIPI: u32 = 1 << 9;

impl Shared {
    /// Sends INIT or SIPI. An INIT forgets an earlier SIPI; a second SIPI is lost, as in hardware.
    pub fn send(&self, startup: Startup) {
        match startup {
            Startup::Init => self.startup.store(INIT, Ordering::Release),
            Startup::Sipi(vector) => {
                let add = |pending: u32| {
                    (pending & SIPI == 0).then_some(pending | SIPI | u32::from(vector))
                };
                let _ = self
                    .startup
                    .fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
            }
        }
        self.processor.request(0);
    }

    /// Takes what was sent: whether an INIT came, and then perhaps a SIPI.
    pub fn take_startup(&self) -> (bool, Option<u8>) {
        let pending = self.startup.swap(0, Ordering::AcqRel);
        (
            pending & INIT != 0,
            (pending & SIPI != 0).then_some(pending as u8),
        )
    }

    /// Something has been sent.
    #[inline(always)]
    pub fn has_startup(&self) -> bool {
        self.startup.load(Ordering::Relaxed) != 0
    }
}

impl Vcpu {
    /// A vCPU in its reset state.
    pub fn new(
        id: VcpuId,
        guest: &'static Guest,
        processor: &'static Processor,
        machine_check: McState,
        vmcs: Hpa,
    ) -> Self {
        Self {
            own: Own {
                registers: Registers::default(),
                launched: 0,
                machine_check,
                platform: PlatformState::new(),
                task_priority: 0,
                start: None,
                activity: Activity::WaitForStartup,
                exits: [0; EXIT_COUNTERS],
                fxsave: FxState::RESET,
                console: crate::guests::console::Line::new(),
                vmcs,
            },
            shared: Shared {
                id,
                guest,
                processor,
                mailbox: &guest.mailboxes[usize::from(id.index)],
                startup: AtomicU32::new(0),
            },
        }
    }

    /// What others may touch.
    ///
    /// # Safety
    /// `this` points to a vCPU; they live for ever.
    #[inline(always)]
    pub unsafe fn shared(this: *const Self) -> &'static Shared {
        // SAFETY: by the caller; the shared part is only ever borrowed shared.
        unsafe { &(*this).shared }
    }

    /// What only its processor touches.
    ///
    /// # Safety
    /// The caller runs in ordinary context on the vCPU's processor and holds no other borrow of it.
    #[inline(always)]
    pub unsafe fn own<'a>(this: *mut Self) -> &'a mut Own {
        // SAFETY: by the caller.
        unsafe { &mut *addr_of_mut!((*this).own) }
    }
}
