//! Why a processor may find nothing in its machine check: somebody else has emptied the bank.
//!
//! Where processors share banks, one that handles a machine check on its own (a local one, a late one), or with some missing, may claim
//! what another one's #MC is for while that #MC is on its way. So such claims are counted, and each processor keeps the count of
//! when it last had no #MC on its way: at the end of one of its own, or at work.
//!
//! Polls do not count: what they clear raises no #MC.

use super::shared::Shared;
use crate::mc::machine::Machine;
use crate::mc::registers::{MCG_STATUS, McgStatus};
use crate::sync::{AtomicU32, Ordering, constructor};
use crate::units::Pcpu;

/// Counts the machine checks in which not everybody took part and banks were claimed.
pub(super) struct Emptied {
    count: AtomicU32,
}

impl Emptied {
    constructor! {
        pub fn new() -> Self {
            Self { count: AtomicU32::new(0) }
        }
    }

    /// Banks have been claimed that others may share. By who has the turn to recover.
    pub fn add(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    fn now(&self) -> u32 {
        self.count.load(Ordering::Acquire)
    }
}

/// What was claimed up to now explains no later #MC of this processor: this is the end of one.
pub(super) fn settle<const P: usize>(shared: &Shared<P>, processor: Pcpu) {
    if let Some(slot) = shared.slot(processor) {
        slot.settled.store(shared.emptied.now(), Ordering::Release);
    }
}

/// The same of a processor in ordinary context.
pub(super) fn settle_at_work<M: Machine, const P: usize>(shared: &Shared<P>, machine: &M) {
    let Some(slot) = shared.slot(machine.processor()) else {
        return;
    };
    let now = shared.emptied.now();
    let is_signalled = || McgStatus::from(machine.read_msr(MCG_STATUS)).mcip();
    // With MCIP set an #MC is on its way to it after all.
    if slot.settled.load(Ordering::Relaxed) != now && !is_signalled() {
        slot.settled.store(now, Ordering::Release);
    }
}

/// Whether the error that this processor's #MC is for may have been claimed by another one.
#[cold]
pub(super) fn may_explain<const P: usize>(shared: &Shared<P>, processor: Pcpu) -> bool {
    let now = shared.emptied.now();
    shared
        .slot(processor)
        .is_none_or(|slot| slot.settled.load(Ordering::Acquire) != now)
}

/// The same of any processor: for a machine check to which all have come, so that all say the same.
#[cold]
pub(super) fn may_explain_any<const P: usize>(shared: &Shared<P>) -> bool {
    let now = shared.emptied.now();
    shared
        .online()
        .any(|(_, slot)| slot.settled.load(Ordering::Acquire) != now)
}
