//! This machine as the machine-check engine sees it.

use kernel::event::Event;
use kernel::mca::{Addressee, Machine, McgCap, Owner, Shared};
use kernel::units::{GuestId, Hpa, Pcpu, Tsc};

use crate::guests::{self, Guest};
use crate::machine::machine_check;
use crate::machine::processor::{MAX_PROCESSORS, Processor};
use crate::machine::tsc;
use crate::vmx::operation;

/// What the processors share while they handle a machine check.
pub static ENGINE: Shared<MAX_PROCESSORS> = Shared::new();

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

    fn capabilities(&self) -> McgCap {
        Processor::current().machine_check
    }

    fn read_msr(&self, msr: u32) -> u64 {
        #[cfg(feature = "faults")]
        if let Some(value) = super::faults::read_overlay(msr) {
            return value;
        }
        machine_check::read(Processor::current().machine_check, msr)
    }

    fn write_msr(&self, msr: u32, value: u64) {
        #[cfg(feature = "faults")]
        if super::faults::write_overlay(msr, value) {
            return;
        }
        machine_check::write(Processor::current().machine_check, msr, value);
    }

    #[inline(always)]
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
        operation::flush_translations();
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
