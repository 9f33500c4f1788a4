//! Ways to be wrong that the model checker must find (tests/interleavings). Only there can one be switched on.

/// A deliberate mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(loom),
    allow(dead_code, reason = "only the model checker switches one on")
)]
pub enum Mutant {
    /// Banks are cleared in the first round.
    ClearsInFirstRound,
    /// A barrier lets go with one processor still to come.
    LeavesEarly,
    /// Everybody who owns an error of the worst class recovers.
    RecoversTwice,
}

/// Whether the engine makes this mistake.
#[cfg(not(loom))]
pub(super) const fn is(_: Mutant) -> bool {
    false
}

#[cfg(loom)]
std::thread_local! {
    static MUTANT: core::cell::Cell<Option<Mutant>> = const { core::cell::Cell::new(None) };
}

/// Whether the engine makes this mistake.
#[cfg(loom)]
pub(super) fn is(mutant: Mutant) -> bool {
    MUTANT.get() == Some(mutant)
}

/// Has the engine make a mistake, in this thread's models.
#[cfg(loom)]
pub fn set(mutant: Option<Mutant>) {
    MUTANT.set(mutant);
}
