//! A vCPU: what only its own processor touches, and what others may.

use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use kernel::guest::pvh::Start;
use kernel::guest::waits::Waits;
use kernel::units::{Hpa, VcpuId};
use kernel::vmce::Mailbox;
use kernel::whose::Whose;
use specs::McState;
use specs::platform::v1::{Held, State as PlatformState};

use super::console::Line;
use super::registry::Guest;
use crate::machine::own_cell::OwnCell;
use crate::machine::processor::{Processor, SETTLE_VCPUS};
use crate::machine::slots::Slot;
use crate::vmx::registers::{FxState, Registers};
use crate::vmx::unswitched::Unswitched;

/// Exit counters: one for each basic exit reason.
pub const EXIT_COUNTERS: usize = 128;

/// What a vCPU is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Activity {
    /// Not yet started: waits for INIT and SIPI.
    WaitForStartup,
    /// Runs, or would if it were its turn.
    Active,
    /// After HLT.
    Halted,
    /// Will never run again.
    Ended,
}

/// What is left to do after the fast half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Rest {
    /// Nothing: enter the guest again.
    Nothing = 0,
    /// The exit is answered, but something waits for this vCPU.
    Work = 1,
    /// The exit itself.
    Exit = 2,
}

/// Answers the exits of a vCPU as far as its own state goes.
pub type FastExit = extern "C" fn(*mut Own) -> Rest;

/// What only the vCPU's own processor touches, in ordinary context. Its start is known to the entry code.
#[repr(C, align(64))]
pub struct Own {
    /// First: the exit pushes into it.
    pub registers: Registers,
    /// Launched since its VMCS was cleared, or a first entry that has failed was to do that: entered by VMRESUME.
    pub launched: u64,
    /// Answers its exits as far as the vCPU's own state goes: for the version of `machine_check`.
    pub fast_exit: FastExit,
    /// The machine-check interface's registers. They stay of the version with which [`Own::new`] made them: `fast_exit` relies on it.
    pub machine_check: McState,
    /// The part that others see.
    pub shared: &'static Shared,
    /// Its mailbox: looked at after each exit.
    pub mailbox: &'static Mailbox,
    /// Exits by basic reason.
    pub exits: [u32; EXIT_COUNTERS],
    /// Every other MSR.
    pub platform: PlatformState,
    /// Where vCPU 0 starts; taken when its VMCS is filled in.
    pub start: Option<Start>,
    /// Events that gave way to #MC, or that the vCPU does not take yet.
    pub waits: Waits,
    /// Console output that has not yet ended in a line feed.
    pub console: Line,
    /// x87 and XMM state between exit and entry on the slow path.
    pub fxsave: FxState,
    /// What is in the processor itself while the vCPU has it.
    pub unswitched: Unswitched,
}

/// What others may touch.
pub struct Shared {
    /// Which vCPU this is.
    pub id: VcpuId,
    /// Its guest.
    pub guest: &'static Guest,
    /// The processor that runs it, unless that is out of use.
    pub home: &'static Processor,
    /// The one whose it is.
    whose: Whose,
    /// The one whose it is to be.
    destination: Slot<Processor>,
    /// The one whose it was before.
    came_from: Slot<Processor>,
    /// Machine checks for it.
    pub mailbox: &'static Mailbox,
    /// Its VMCS.
    pub vmcs: Hpa,
    activity: AtomicU8,
    /// INIT or SIPI that has been sent to it: see [`Startup`].
    startup: AtomicU32,
    /// What has been sent to it besides: [`NMI`], of which one waits at most, as in hardware, and [`INTERRUPT`].
    events: AtomicU8,
    /// It has halted with interrupts disabled: none wakes it.
    is_deaf: AtomicBool,
}

/// A vCPU.
pub struct Vcpu {
    /// Its processor's part.
    pub own: OwnCell<Own>,
    /// Everybody's part.
    pub shared: &'static Shared,
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
const NMI: u8 = 1 << 0;
/// Interrupts are due: `run::records` knows how many.
const INTERRUPT: u8 = 1 << 1;

impl Shared {
    /// A vCPU that waits for start-up.
    pub fn new(
        id: VcpuId,
        guest: &'static Guest,
        home: &'static Processor,
        mailbox: &'static Mailbox,
        vmcs: Hpa,
    ) -> Self {
        Self {
            id,
            guest,
            home,
            whose: Whose::new(home.number),
            destination: Slot::new(),
            came_from: Slot::new(),
            mailbox,
            vmcs,
            activity: AtomicU8::new(Activity::WaitForStartup as u8),
            startup: AtomicU32::new(0),
            events: AtomicU8::new(0),
            is_deaf: AtomicBool::new(false),
        }
    }

    /// The processor whose it is now. It may have become another one's by the time that this returns: that one then sees what was written for the
    /// vCPU before the call.
    pub fn processor(&self) -> &'static Processor {
        Processor::get(self.whose.processor()).unwrap_or(self.home)
    }

    /// The processor whose it is to be.
    pub fn destination(&self) -> &'static Processor {
        self.destination.get().unwrap_or(self.home)
    }

    /// The processor whose it was before, if it has moved.
    pub fn came_from(&self) -> Option<&'static Processor> {
        self.came_from.get()
    }

    /// Has its processor hand it over to that one. One at a time says so.
    pub fn go_to(&self, destination: &'static Processor) {
        self.destination.replace(Some(destination));
        self.processor().request(SETTLE_VCPUS);
    }

    /// It is that processor's from now on. By the one whose it was, which touches nothing of it any more.
    pub fn hand_over(&self, to: &'static Processor) {
        self.came_from.replace(Some(self.processor()));
        self.whose.hand_over(to.number);
        to.request(SETTLE_VCPUS);
    }

    /// Gets its processor to look at it.
    pub fn request(&self) {
        self.processor().request(0);
    }

    /// What it does.
    pub fn activity(&self) -> Activity {
        match self.activity.load(Ordering::Relaxed) {
            0 => Activity::WaitForStartup,
            1 => Activity::Active,
            2 => Activity::Halted,
            _ => Activity::Ended,
        }
    }

    /// Sets what it does. Its own processor's to say.
    pub fn set_activity(&self, activity: Activity) {
        self.activity.store(activity as u8, Ordering::Relaxed);
    }

    /// Sends INIT or SIPI. An INIT forgets an earlier SIPI; a second SIPI is lost, as in hardware.
    pub fn send(&self, startup: Startup) {
        match startup {
            Startup::Init => {
                self.mailbox.will_park();
                self.startup.store(INIT, Ordering::Release);
            }
            Startup::Sipi(vector) => {
                let add = |pending: u32| {
                    (pending & SIPI == 0).then_some(pending | SIPI | u32::from(vector))
                };
                let _ = self
                    .startup
                    .fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
            }
        }
        self.request();
    }

    /// Sends an NMI. A vCPU that waits for start-up gets none.
    pub fn send_nmi(&self) {
        self.events.fetch_or(NMI, Ordering::Release);
        self.request();
    }

    /// An NMI has been sent, or interrupts are due.
    #[inline(always)]
    pub fn has_events(&self) -> bool {
        self.events.load(Ordering::Relaxed) != 0
    }

    /// Takes the NMI that was sent, if one was.
    pub fn take_nmi(&self) -> bool {
        let has_nmi = self.events.load(Ordering::Relaxed) & NMI != 0;
        has_nmi && self.events.fetch_and(!NMI, Ordering::AcqRel) & NMI != 0
    }

    /// Interrupts are due.
    pub fn has_interrupt(&self) -> bool {
        self.events.load(Ordering::Relaxed) & INTERRUPT != 0
    }

    /// Whether interrupts are due. By `run::records` alone, which counts them.
    pub fn set_interrupt(&self, is_due: bool) {
        if is_due {
            self.events.fetch_or(INTERRUPT, Ordering::Release);
        } else {
            self.events.fetch_and(!INTERRUPT, Ordering::Release);
        }
    }

    /// It halts; `is_deaf` with interrupts disabled. Its own processor's to say.
    pub fn halt(&self, is_deaf: bool) {
        self.is_deaf.store(is_deaf, Ordering::Relaxed);
        self.set_activity(Activity::Halted);
    }

    /// What has been sent to it wakes it if it has halted.
    pub fn wakes(&self) -> bool {
        let events = self.events.load(Ordering::Relaxed);
        events & NMI != 0 || events & INTERRUPT != 0 && !self.is_deaf.load(Ordering::Relaxed)
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
    pub fn has_startup(&self) -> bool {
        self.startup.load(Ordering::Relaxed) != 0
    }
}

impl Own {
    /// A vCPU in its reset state.
    pub fn new(shared: &'static Shared, machine_check: McState, fast_exit: FastExit) -> Self {
        let mut platform = PlatformState::new();
        // Any number is one: the register has no rules.
        let _ = platform.hold(Held::X2apicApicid, shared.id.index.into());
        Self {
            registers: Registers::default(),
            // With the injector it begins as if the first entry had met a machine check, which no emulator shows (exit reason 41).
            launched: u64::from(cfg!(feature = "faults")),
            fast_exit,
            machine_check,
            shared,
            mailbox: shared.mailbox,
            exits: [0; EXIT_COUNTERS],
            platform,
            start: None,
            waits: Waits::NOTHING,
            console: Line::new(),
            fxsave: FxState::RESET,
            unswitched: Unswitched::RESET,
        }
    }
}
