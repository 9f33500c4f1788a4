//! Processors out of use, and back, by the administrator's word: their vCPUs go on elsewhere meanwhile.
//!
//! A processor out of use runs no vCPU. Everything else it goes on with: it comes to every rendezvous, polls its banks, flushes its translations,
//! answers requests. So nothing of what the engine promises depends on which processors are in use.
//!
//! A vCPU belongs to one processor at a time ([`Shared::processor`](crate::guests::vcpu::Shared::processor)), which alone touches its VMCS and what is its own.
//! Where it is to be is said by who has the lock here; the processor that has it hands it over, in ordinary context between a VM exit and the next entry:
//!
//! 1. It takes the vCPU from its list, and keeps what of it is in the processor; VMCLEAR then writes the VMCS back to memory.
//! 2. It names the next processor. That is the last it does with the vCPU; the next one begins when it has seen that.
//! 3. The next one makes the VMCS current, fills in its own part of it, drops what it may still have of the vCPU's translations from an earlier stay, and lists it.
//!
//! Whoever has something for a vCPU writes that down first, and then asks for its processor. Either it finds the new one, or the new one finds what was written
//! when it looks at the vCPU for the first time. So is #MC: its mail waits meanwhile, and goes before the guest's next instruction.

use core::sync::atomic::{AtomicBool, Ordering};

use kernel::event::Event;
use kernel::faults::Refused;
use kernel::mca::Machine;
use kernel::placement::{least_loaded, may_come_back, may_go_out};
use kernel::units::Pcpu;

use super::host::HOST;
use super::{count_run, local};
use crate::entry::vm;
use crate::guests;
use crate::guests::vcpu::Vcpu;
use crate::machine::lock::Lock;
use crate::machine::processor::{MAX_PROCESSORS, Processor};
use crate::machine::{log, messages};

/// Who says where vCPUs are to be: one at a time.
static BUSY: Lock<()> = Lock::new(());

static OUT: [AtomicBool; MAX_PROCESSORS] = [const { AtomicBool::new(false) }; MAX_PROCESSORS];

/// Takes a processor out of use. Its vCPUs leave it before they run again.
pub fn out(number: Pcpu) -> Result<Event, Refused> {
    let _one_at_a_time = BUSY.lock();
    may_go_out(number, is_in_use(number))?;
    set(number, true);
    let mut moved = 0;
    for vcpu in meant_for(number) {
        let Some(destination) = least_loaded(loads()).and_then(Processor::get) else {
            continue;
        };
        vcpu.shared.go_to(destination);
        moved += 1;
    }
    Ok(Event::ProcessorOut {
        processor: number,
        vcpus: moved,
    })
}

/// Puts a processor back into use. Its own vCPUs come back to it.
pub fn back(number: Pcpu) -> Result<Event, Refused> {
    let _one_at_a_time = BUSY.lock();
    may_come_back(is_in_use(number))?;
    set(number, false);
    let mut moved = 0;
    for vcpu in vcpus().filter(|vcpu| vcpu.shared.home.number == number) {
        vcpu.shared.go_to(vcpu.shared.home);
        moved += 1;
    }
    Ok(Event::ProcessorBack {
        processor: number,
        vcpus: moved,
    })
}

/// Names every processor, whether it is in use, and how many vCPUs it is to run.
pub fn list() {
    super::log_events();
    let _held = log::hold();
    log::now();
    for processor in Processor::all() {
        let number = processor.number;
        let state = match is_in_use(number) {
            Some(false) => "out-of-use",
            _ => "in-use",
        };
        messages::processor_listed(number.0, state, meant_for(number).count() as u16);
    }
}

/// Lets those vCPUs go that are to be elsewhere, and takes in those that have been handed over to this processor. Between a VM exit and the next entry.
#[cold]
pub fn settle(processor: &'static Processor) {
    let local = local(processor);
    // Nobody has entered it since; how long it ran is still to be told.
    count_run(local);
    for vcpu in vcpus() {
        let shared = vcpu.shared;
        if shared.processor().number != processor.number {
            continue;
        }
        let destination = shared.destination();
        let is_here = local.turns.has(vcpu);
        let done = if destination.number != processor.number {
            if is_here {
                local.turns.remove(vcpu);
                let is_it = |current: &Vcpu| core::ptr::eq(current, vcpu);
                if local.current.get().is_some_and(is_it) {
                    local.current.replace(None);
                }
            }
            let done = vm::let_go(processor, vcpu);
            shared.hand_over(destination);
            done
        } else if !is_here {
            let from = shared.came_from().map_or(processor.number, |it| it.number);
            HOST.emit(Event::VcpuMoved {
                guest: shared.id.guest,
                vcpu: shared.id.index,
                from,
            });
            let done = vm::take_in(processor, vcpu);
            local.turns.add(vcpu);
            done
        } else {
            Ok(())
        };
        if done.is_err() {
            crate::fail(crate::Failure::Vmx);
        }
    }
}

/// Whether that processor is in use. None if there is none.
fn is_in_use(number: Pcpu) -> Option<bool> {
    Processor::get(number)?;
    let is_out = OUT.get(usize::from(number.0))?;
    Some(!is_out.load(Ordering::Relaxed))
}

fn set(number: Pcpu, is_out: bool) {
    if let Some(place) = OUT.get(usize::from(number.0)) {
        place.store(is_out, Ordering::Relaxed);
    }
}

/// Every vCPU of the machine.
fn vcpus() -> impl Iterator<Item = &'static Vcpu> {
    guests::all().flat_map(|guest| guest.vcpus())
}

/// Those that are to be on that processor.
fn meant_for(number: Pcpu) -> impl Iterator<Item = &'static Vcpu> {
    vcpus().filter(move |vcpu| vcpu.shared.destination().number == number)
}

/// The processors that can run vCPUs, and how many of guests that have not ended each is to run.
fn loads() -> impl Iterator<Item = (Pcpu, usize)> {
    let can_run = |processor: &&Processor| {
        is_in_use(processor.number) == Some(true) && local(processor).turns.are_filled()
    };
    let load = |processor: &'static Processor| {
        let running = |vcpu: &&Vcpu| !vcpu.shared.guest.has_ended();
        (
            processor.number,
            meant_for(processor.number).filter(running).count(),
        )
    };
    Processor::all().filter(can_run).map(load)
}
