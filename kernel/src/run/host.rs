//! This machine as the machine-check engine sees it.

use kernel::event::Event;
use kernel::mca::{self, Addressee, Kept, Machine, McgCap, Owner, Replaced, Shared};
use kernel::units::{GuestId, Hpa, Pcpu, Tsc};

use crate::guests::{self, Guest, spare};
use crate::machine::processor::{MAX_PROCESSORS, Processor};
use crate::machine::tsc;
use crate::machine::{machine_check, memory};
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

    #[inline(always)]
    fn read_msr(&self, msr: u32) -> u64 {
        machine_check::read_bank(Processor::current(), msr).unwrap_or_else(|| read_msr(msr))
    }

    #[inline(always)]
    fn write_msr(&self, msr: u32, value: u64) {
        if !machine_check::write_bank(Processor::current(), msr, value) {
            write_msr(msr, value);
        }
    }

    #[inline(always)]
    fn emit(&self, event: Event) {
        Processor::current().ring.emit(Tsc(tsc()), event);
    }

    #[inline(always)]
    fn emit_three(&self, events: [Event; 3]) {
        Processor::current().ring.emit_three(Tsc(tsc()), events);
    }

    #[inline(always)]
    fn owner_of(&self, page: Hpa) -> Owner {
        guests::owner_of(page)
    }

    #[inline(always)]
    fn retire(&self, page: Hpa, owner: Owner) -> bool {
        match owner {
            Owner::Guest { guest, gpa } => Guest::get(guest).is_some_and(|guest| {
                if !guest.memory.is_at_home(gpa, page) {
                    spare::take_out_of_use(page);
                }
                guest.memory.retire(gpa)
            }),
            Owner::Free => {
                spare::take_out_of_use(page);
                memory::retired().add(page)
            }
            // The hypervisor cannot do without its own, and firmware's was never handed out.
            Owner::Hypervisor | Owner::Firmware => false,
        }
    }

    fn replace(&self, page: Hpa, owner: Owner) -> Result<Replaced, Kept> {
        let (guest, gpa) = match owner {
            Owner::Guest { guest, gpa } => (guest, gpa),
            Owner::Free if memory::retired().add(page) => {
                spare::take_out_of_use(page);
                return Ok(Replaced::Free);
            }
            Owner::Free => return Err(Kept::OutOfUse),
            Owner::Hypervisor => return Err(Kept::Hypervisor),
            Owner::Firmware => return Err(Kept::Firmware),
        };
        let guest_memory = &Guest::get(guest).ok_or(Kept::OutOfUse)?.memory;
        let by = spare::reserve(guest, gpa).ok_or(Kept::NoSpare)?;
        let flush = || mca::flush_everywhere(&ENGINE, &HOST);
        let moved = guest_memory.replace(gpa, by, flush, || spare::give(by));
        if let Err(reason) = moved {
            spare::give_back(by);
            return Err(reason);
        }
        // Nobody's from now on.
        memory::retired().add(page);
        spare::take_out_of_use(page);
        spare::give_back(page);
        Ok(Replaced::By(by))
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

/// RDMSR of what is no bank's MSR, or no longer the processor's own.
fn read_msr(msr: u32) -> u64 {
    #[cfg(feature = "faults")]
    if let Some(value) = super::faults::read_overlay(msr) {
        return value;
    }
    machine_check::read(Processor::current().machine_check, msr)
}

/// WRMSR of such.
fn write_msr(msr: u32, value: u64) {
    #[cfg(feature = "faults")]
    if super::faults::write_overlay(msr, value) {
        return;
    }
    machine_check::write(Processor::current().machine_check, msr, value);
}
