//! Machine checks and the NMIs that stand for them or tell of them.

use core::sync::atomic::Ordering;

use kernel::mca::{self, Interrupted, Verdict};

use super::host::{ENGINE, HOST};
use super::{current_vcpu, local, processors};
use crate::machine::processor::{Processor, RAISE_MACHINE_CHECK, SETTLE_VCPUS};
use crate::machine::{log, power, traps, tsc};
use crate::vmx::operation;

/// A machine check of this processor, in this context. Returns whether the copy that it interrupted has to fail.
pub fn machine_check(interrupted: Interrupted) -> bool {
    let local = local(Processor::current());
    let running = &local.in_machine_check;
    running.store(true, Ordering::Relaxed);
    let verdict = mca::handle(&ENGINE, &HOST, interrupted);
    running.store(false, Ordering::Relaxed);
    // Any vCPU of this processor may have mail.
    local.turns.look_round();
    if let Verdict::Fatal { resets, .. } = verdict {
        end(resets);
    }
    verdict == Verdict::FixUp
}

/// The machine cannot go on. The one way from here to the log: `cargo boot` looks for others in the image.
#[cold]
#[inline(never)]
fn end(resets: bool) -> ! {
    if !resets {
        stop();
    }
    mca::stop_others(&ENGINE, &HOST);
    // Nothing that was interrupted goes on, on any processor that takes an NMI: whoever holds the log does not need it any more.
    log::break_open();
    super::log_last_events(|| mca::still_ending(&ENGINE));
    power::reset()
}

/// This processor does not go on. Another one resets the machine, or else this one.
#[cold]
fn stop() -> ! {
    mca::await_reset(&ENGINE, &HOST);
    power::reset()
}

/// #MC in root mode; whether in a marked copy. Returns whether that has to fail.
pub fn machine_check_in_root_mode(fix_up: bool) -> bool {
    let fails = machine_check(Interrupted::Hypervisor { fix_up });
    leave_guest_soon();
    fails
}

/// An NMI in root mode: whatever it was sent for is looked at before the next entry, or right after an entry that was already
/// past the look.
pub fn nmi_in_root_mode() {
    if mca::nmi(&ENGINE, &HOST) {
        stop();
    }
    let processor = Processor::current();
    let local = local(processor);
    if local.current.get().is_some() {
        leave_guest_soon();
    } else if !local.in_machine_check.load(Ordering::Relaxed) {
        // Asleep, or starting: nothing that was interrupted holds what a machine check needs. In the middle of one, the next waits.
        let taken = processor
            .requests
            .fetch_and(!RAISE_MACHINE_CHECK, Ordering::AcqRel);
        if taken & RAISE_MACHINE_CHECK != 0 {
            #[cfg(feature = "faults")]
            super::faults::settle();
            traps::raise_machine_check();
        }
    }
}

/// An NMI that ended a guest's run; what was asked is answered before the next entry.
pub fn nmi_in_guest_mode() {
    if mca::nmi(&ENGINE, &HOST) {
        stop();
    }
}

/// Does what other processors ask of this one.
#[inline(always)]
pub(super) fn answer_requests(processor: &'static Processor) {
    if processor.requests.load(Ordering::Acquire) != 0 {
        answer(processor);
    }
}

fn answer(processor: &'static Processor) {
    let requests = processor.requests.swap(0, Ordering::AcqRel);
    local(processor).turns.look_round();
    // A machine check goes before all else: it has come to the vCPU that was interrupted, even if that is to leave.
    if requests & RAISE_MACHINE_CHECK != 0 {
        #[cfg(feature = "faults")]
        super::faults::settle();
        // No copy is going on.
        let _ = machine_check(interrupted(processor));
    } else if !mca::at_work(&ENGINE, &HOST) {
        // A rendezvous goes on without it, and has kicked it: by then it is over.
        const RENDEZVOUS: u64 = 20_000;
        super::keep_house_at(tsc().saturating_add(RENDEZVOUS));
    }
    if requests & SETTLE_VCPUS != 0 {
        processors::settle(processor);
    }
}

/// In whose context this processor is between a VM exit and the next entry.
pub(super) fn interrupted(processor: &Processor) -> Interrupted {
    match local(processor).current.get() {
        Some(vcpu) => Interrupted::Guest(vcpu.shared.id),
        None => Interrupted::Hypervisor { fix_up: false },
    }
}

/// Makes the next VM entry exit before the guest's next instruction.
fn leave_guest_soon() {
    if current_vcpu().is_some() {
        operation::set_timer(0);
    }
}
