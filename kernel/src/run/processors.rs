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
use kernel::mca::{self, Machine};
use kernel::placement::{Candidate, can_take, least_loaded, may_come_back, may_go_out};
use kernel::units::Pcpu;

use super::host::{ENGINE, HOST};
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

/// Takes a processor out of use. Its vCPUs leave it before they run again; where no other processor answers, they stay.
pub fn out(number: Pcpu) -> Result<Event, Refused> {
    let _one_at_a_time = BUSY.lock();
    may_go_out(number, is_in_use(number))?;
    set(number, true);
    let mut moved = 0;
    for vcpu in meant_for(number) {
        let Some(destination) = least_loaded(candidates()).and_then(Processor::get) else {
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

/// Puts a processor back into use. Its own vCPUs come back to it; while it is missing from a rendezvous, none.
pub fn back(number: Pcpu) -> Result<Event, Refused> {
    let _one_at_a_time = BUSY.lock();
    may_come_back(is_in_use(number))?;
    set(number, false);
    let mut moved = 0;
    let returns = |vcpu: &&Vcpu| vcpu.shared.home.number == number && answers(number);
    for vcpu in vcpus().filter(returns) {
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

/// Whether that processor would see a vCPU that is handed over to it.
fn answers(number: Pcpu) -> bool {
    let is_this = number == Processor::current().number;
    can_take(is_this, mca::is_missing(&ENGINE, number))
}

/// The processors that are in use and prepared for vCPUs, and how many of guests that have not ended each is to run.
fn candidates() -> impl Iterator<Item = Candidate> {
    let can_run = |processor: &&Processor| {
        is_in_use(processor.number) == Some(true) && local(processor).turns.are_filled()
    };
    let candidate = |processor: &'static Processor| {
        let number = processor.number;
        let running = |vcpu: &&Vcpu| !vcpu.shared.guest.has_ended();
        Candidate {
            number,
            vcpus: meant_for(number).filter(running).count(),
            can_take: answers(number),
        }
    };
    Processor::all().filter(can_run).map(candidate)
}
