//! This machine as the machine-check engine sees it.

use kernel::event::Event;
use kernel::mca::{Addressee, Machine, Owner, Shared};
use kernel::units::{GuestId, Hpa, Pcpu, Tsc};

use super::processor::{MAX_PROCESSORS, Processor};
use super::{rdmsr, tsc, wrmsr};
use crate::guests::{self, Guest};
use crate::vmx::ept;

/// What the processors share while they handle a machine check.
pub static ENGINE: Shared<MAX_PROCESSORS> = Shared::new();

/// Machine-check banks of the running processor, 0 where it has no machine-check architecture.
pub fn bank_count() -> u8 {
    const CPUID_MCA: u32 = 1 << 14;
    if core::arch::x86_64::__cpuid(1).edx & CPUID_MCA == 0 {
        return 0;
    }
    // SAFETY: the MSR exists with MCA. Its lowest byte is the count (SDM vol. 3, 17.3.1.1).
    unsafe { rdmsr(x86::msr::IA32_MCG_CAP) as u8 }
}

/// The running processor's view.
pub struct Host;

/// The running processor's view.
pub const HOST: Host = Host;

impl Machine for Host {
    fn processor(&self) -> Pcpu {
        Processor::current().number
    }

    fn now(&self) -> Tsc {
        Tsc(tsc())
    }

    fn relax(&self) {
        core::hint::spin_loop();
    }

    fn read_msr(&self, msr: u32) -> u64 {
        #[cfg(feature = "faults")]
        if let Some(value) = crate::run::faults::read_overlay(msr) {
            return value;
        }
        // SAFETY: the engine reads only machine-check MSRs whose existence MCG_CAP has told it.
        unsafe { rdmsr(msr) }
    }

    fn write_msr(&self, msr: u32, value: u64) {
        #[cfg(feature = "faults")]
        if crate::run::faults::write_overlay(msr, value) {
            return;
        }
        // SAFETY: as in `read_msr`; the engine writes zero to status registers and enables to control registers.
        unsafe { wrmsr(msr, value) }
    }

    fn emit(&self, event: Event) {
        Processor::current().ring.emit(Tsc(tsc()), event);
    }

    fn owner_of(&self, page: Hpa) -> Owner {
        guests::owner_of(page)
    }

    fn retire(&self, _page: Hpa, owner: Owner) -> bool {
        match owner {
            Owner::Guest { guest, gpa } => {
                Guest::get(guest).is_some_and(|guest| guest.memory.retire(gpa))
            }
            // The hypervisor cannot do without its own, and what is free is never handed out once guests run.
            Owner::Free | Owner::Hypervisor => true,
        }
    }

    fn flush_translations(&self) {
        ept::flush_translations(Processor::current());
    }

    fn kick(&self, processor: Pcpu) {
        if let Some(processor) = Processor::get(processor) {
            processor.request(0);
        }
    }

    fn guest(&self, guest: GuestId) -> Option<Addressee<'_>> {
        let guest = Guest::get(guest)?;
        Some(Addressee {
            mailboxes: guest.mailboxes,
            broadcast: guest.broadcast,
        })
    }
}
