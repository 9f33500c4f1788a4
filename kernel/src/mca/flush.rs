//! Flushing cached translations after pages went out of use.
//!
//! Every change of an EPT that takes something away begins a new generation. A processor that has flushed since writes the
//! generation down; one that has not is made to leave its guest and does so before the next VM entry.

use super::shared::Shared;
use super::wait::Wait;
use crate::mc::event::Event;
use crate::mc::machine::Machine;
use crate::sync::{AtomicU64, Ordering, constructor};

pub(super) struct Flushes {
    generation: AtomicU64,
}

impl Flushes {
    constructor! {
        pub fn new() -> Self {
            Self { generation: AtomicU64::new(0) }
        }
    }

    /// Translations have been taken away.
    pub fn begin(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    fn current(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}

/// Flushes this processor's translations if pages went out of use since it last did. Called for every NMI; safe in any context.
#[inline]
pub fn catch_up<M: Machine, const P: usize>(shared: &Shared<P>, machine: &M) {
    let Some(slot) = shared.slot(machine.processor()) else {
        return;
    };
    let mut current = shared.flushes.current();
    if slot.flushed.load(Ordering::Relaxed) == current {
        return;
    }
    loop {
        machine.flush_translations();
        slot.flushed.store(current, Ordering::Release);
        // An NMI in between may have seen a later generation, which this one has just taken back.
        let now = shared.flushes.current();
        if now == current {
            return;
        }
        current = now;
    }
}

/// Whether every processor that is online has flushed: only then may a page that was put back be handed out.
pub fn is_flushed<const P: usize>(shared: &Shared<P>) -> bool {
    let current = shared.flushes.current();
    shared
        .online()
        .all(|(_, slot)| slot.flushed.load(Ordering::Acquire) == current)
}

/// Has every processor flush its translations after pages went out of use, and waits for it. In ordinary context. False if one
/// has not done so in time; no vCPU runs there before it has.
pub fn flush_everywhere<M: Machine, const P: usize>(shared: &Shared<P>, machine: &M) -> bool {
    shared.flushes.begin();
    let this = machine.processor();
    shared
        .online()
        .filter(|&(processor, _)| processor != this)
        .for_each(|(processor, _)| machine.kick(processor));
    catch_up(shared, machine);
    await_flush(shared, machine)
}

/// Waits for every other processor to flush (they have been kicked), not without end. Those that have not are named; no vCPU runs there
/// before they have. Returns whether all have.
pub(super) fn await_flush<M: Machine, const P: usize>(shared: &Shared<P>, machine: &M) -> bool {
    let mut all = true;
    let current = shared.flushes.current();
    let mut wait = Wait::for_arrival(shared, machine);
    for (processor, slot) in shared.online() {
        if wait
            .until(|| slot.flushed.load(Ordering::Acquire) >= current)
            .is_err()
        {
            machine.emit(Event::Unflushed { processor });
            all = false;
        }
    }
    all
}
