//! A lock that is taken in #MC context only, so that no interrupted code can hold it. Every wait for it is bounded.

use super::shared::Shared;
use super::wait::{Stuck, wait_until};
use crate::mc::machine::Machine;
use crate::sync::{AtomicU32, Ordering, constructor};

pub(super) struct Turn {
    /// The processor whose turn it is, plus one; 0 if it is nobody's.
    holder: AtomicU32,
}

impl Turn {
    constructor! {
        pub fn new() -> Self {
            Self { holder: AtomicU32::new(0) }
        }
    }

    /// Waits for the turn.
    #[inline(always)]
    pub fn take<M: Machine, const P: usize>(
        &self,
        shared: &Shared<P>,
        machine: &M,
    ) -> Result<(), Stuck> {
        let me = u32::from(machine.processor().0) + 1;
        let holder = &self.holder;
        wait_until(shared, machine, || {
            holder
                .compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        })
    }

    /// It is nobody's turn.
    #[inline(always)]
    pub fn is_free(&self) -> bool {
        self.holder.load(Ordering::Acquire) == 0
    }

    /// Gives the turn back.
    pub fn give(&self) {
        self.holder.store(0, Ordering::Release);
    }
}
