//! Flushing cached translations after pages went out of use.
//!
//! Every change of an EPT that takes something away begins a new generation. A processor that has flushed since writes the
//! generation down; one that has not is made to leave its guest and does so before the next VM entry.

use super::end::must_stop;
use super::shared::{Shared, Slot};
use super::wait::Wait;
use crate::mc::event::Event;
use crate::mc::machine::{Machine, Owner};
use crate::sync::{AtomicU64, Ordering, constructor};
use crate::units::Hpa;

pub(super) struct Flushes {
    /// How many there were, and [`STOPPING`].
    generation: AtomicU64,
    /// The page that the administrator is taking out of use: not every processor may have flushed. [`NO_PAGE`] if there is none.
    going_out: AtomicU64,
}

const NO_PAGE: u64 = u64::MAX;

/// Nobody goes on: every processor is behind for ever, so that an NMI costs no look of its own at this.
const STOPPING: u64 = 1 << 63;

impl Flushes {
    constructor! {
        pub fn new() -> Self {
            Self { generation: AtomicU64::new(0), going_out: AtomicU64::new(NO_PAGE) }
        }
    }

    /// Translations have been taken away.
    pub fn begin(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether a page that is out of use has gone so a moment ago, and may still be reached.
    #[cold]
    pub fn is_going_out(&self, page: Hpa) -> bool {
        self.going_out.load(Ordering::Acquire) == page.0
    }

    /// Nobody goes on from now on.
    pub fn stop(&self) {
        self.generation.fetch_or(STOPPING, Ordering::AcqRel);
    }

    /// Whether nobody goes on.
    pub fn is_stopping(&self) -> bool {
        self.current() & STOPPING != 0
    }

    /// What a processor that is not behind has written down.
    #[inline(always)]
    fn current(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn generation(&self) -> u64 {
        self.current() & !STOPPING
    }
}

/// Flushes this processor's translations if pages went out of use since it last did. Safe in any context.
#[inline]
pub fn catch_up<M: Machine, const P: usize>(shared: &Shared<P>, machine: &M) {
    if let Some(slot) = behind(shared, machine) {
        flush(shared, machine, slot);
    }
}

/// What every NMI asks of this processor, in any context: to flush its translations, or not to go on. True if it must not: then it calls
/// [`super::await_reset`].
#[inline]
pub fn nmi<M: Machine, const P: usize>(shared: &Shared<P>, machine: &M) -> bool {
    behind(shared, machine).is_some_and(|slot| {
        flush(shared, machine, slot);
        must_stop(shared, machine)
    })
}

/// This processor's slot, if it is behind.
#[inline(always)]
fn behind<'a, M: Machine, const P: usize>(shared: &'a Shared<P>, machine: &M) -> Option<&'a Slot> {
    let slot = shared.slot(machine.processor())?;
    (slot.flushed.load(Ordering::Relaxed) != shared.flushes.current()).then_some(slot)
}

#[inline(never)]
fn flush<M: Machine, const P: usize>(shared: &Shared<P>, machine: &M, slot: &Slot) {
    let mut generation = shared.flushes.generation();
    loop {
        machine.flush_translations();
        slot.flushed.store(generation, Ordering::Release);
        // An NMI in between may have seen a later generation, which this one has just taken back.
        let now = shared.flushes.generation();
        if now == generation {
            return;
        }
        generation = now;
    }
}

/// Puts a page back that was out of use, if every processor has flushed since the last went out: else one could still use an old translation, and
/// the page be somebody else's. `None` if one has not.
pub fn put_back<T, const P: usize>(shared: &Shared<P>, page: impl FnOnce() -> T) -> Option<T> {
    is_flushed(shared).then(page)
}

/// Whether every processor that is online has flushed.
pub fn is_flushed<const P: usize>(shared: &Shared<P>) -> bool {
    let current = shared.flushes.generation();
    shared
        .online()
        .all(|(_, slot)| slot.flushed.load(Ordering::Acquire) == current)
}

/// Takes a page out of use by the administrator's word, and has every processor flush its translations. In ordinary context, by one processor
/// at a time. False if it was out of use already.
///
/// A machine check that meets the page in the middle of that finds it out of use, and yet flushes as if it had taken it itself
/// (`Flushes::is_going_out`).
pub fn take_out<M: Machine, const P: usize>(
    shared: &Shared<P>,
    machine: &M,
    page: Hpa,
    owner: Owner,
) -> bool {
    let going_out = &shared.flushes.going_out;
    going_out.store(page.0, Ordering::Release);
    let was_in_use = machine.retire(page, owner);
    if was_in_use {
        // Whoever does not flush in time is named, and does so before it runs a guest again.
        let _ = flush_everywhere(shared, machine);
    }
    going_out.store(NO_PAGE, Ordering::Release);
    was_in_use
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
    let current = shared.flushes.generation();
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
