//! The end: nobody goes on after a fatal machine check, and if the one that is to reset the machine hangs, another one does.

use super::shared::Shared;
use super::wait::Wait;
use crate::mc::machine::Machine;
use crate::sync::Ordering;
use crate::units::Pcpu;

/// Stops every other processor: an NMI finds it whatever it does, in a machine check too ([`super::nmi`]). Waits until all have stopped, for
/// [`super::Config::timeout`] and no longer: one that does not take an NMI goes on with nothing either. Called by the processor that
/// [resets the machine](super::Verdict::Fatal), before it writes its last words.
pub fn stop_others<M: Machine, const P: usize>(shared: &Shared<P>, machine: &M) {
    let this = machine.processor();
    shared.flushes.stop();
    // Those that are not yet expected anywhere too.
    (0..P as u16)
        .map(Pcpu)
        .filter(|&processor| processor != this)
        .for_each(|processor| machine.kick(processor));
    let mut wait = Wait::for_arrival(shared, machine);
    for (_, slot) in shared.online().filter(|&(processor, _)| processor != this) {
        if wait
            .until(|| slot.stopped.load(Ordering::Acquire) != 0)
            .is_err()
        {
            return;
        }
    }
}

/// Whether this processor must not go on. The one that resets the machine must.
pub(super) fn must_stop<M: Machine, const P: usize>(shared: &Shared<P>, machine: &M) -> bool {
    let resets = || shared.resetter.load(Ordering::Acquire) == u32::from(machine.processor().0) + 1;
    shared.flushes.is_stopping() && !resets()
}

/// The processor that resets the machine has done another step on its way: those who wait for it begin to wait anew.
pub fn still_ending<const P: usize>(shared: &Shared<P>) {
    shared.progress.fetch_add(1, Ordering::Relaxed);
}

/// How many time-outs without progress the others leave to the one that resets the machine.
const TIME_OUTS: u64 = 16;

/// This processor has stopped, and waits for another one to reset the machine. Returns when that has taken too long: then it resets the machine
/// itself, and writes nothing.
pub fn await_reset<M: Machine, const P: usize>(shared: &Shared<P>, machine: &M) {
    if let Some(slot) = shared.slot(machine.processor()) {
        slot.stopped.store(1, Ordering::Release);
    }
    let limit = shared.config().timeout.saturating_mul(TIME_OUTS);
    let mut seen = (shared.progress.load(Ordering::Relaxed), machine.now());
    while machine.now().since(seen.1) <= limit {
        machine.relax();
        let progress = shared.progress.load(Ordering::Relaxed);
        if progress != seen.0 {
            seen = (progress, machine.now());
        }
    }
}
