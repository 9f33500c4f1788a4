//! Waiting for other processors: bounded, and never in anybody's way.

use super::flush::nmi;
use super::shared::Shared;
use crate::mc::machine::Machine;
use crate::sync::Ordering;
use crate::units::Tsc;

/// The wait has taken too long.
#[derive(Debug)]
pub(super) struct Stuck;

/// How many times the entry's time-out a wait inside the machine check may take without progress.
const PATIENCE: u64 = 4;

/// Looks between two steps of a wait: whoever waits goes on as soon as it can, and the rest is done now and then. One where every
/// interleaving is explored.
const LOOKS: u32 = if cfg!(loom) { 1 } else { 64 };

/// Waits until `is_over`, which is looked at once at least. What the wait itself needs is made only if there is one.
#[inline(always)]
pub(super) fn wait_until<M: Machine, const P: usize>(
    shared: &Shared<P>,
    machine: &M,
    mut is_over: impl FnMut() -> bool,
) -> Result<(), Stuck> {
    if is_over() {
        return Ok(());
    }
    Wait::new(shared, machine).until(is_over)
}

/// A wait inside a machine check. While it lasts, this processor flushes translations when another one asks: that one may be
/// what everybody waits for.
pub(super) struct Wait<'a, M, const P: usize> {
    shared: &'a Shared<P>,
    machine: &'a M,
    since: Tsc,
    progress: u32,
    limit: u64,
}

impl<'a, M: Machine, const P: usize> Wait<'a, M, P> {
    /// A wait that ends when nothing has moved for a while.
    pub fn new(shared: &'a Shared<P>, machine: &'a M) -> Self {
        let limit = shared.config().timeout.saturating_mul(PATIENCE);
        Self {
            shared,
            machine,
            since: machine.now(),
            progress: shared.progress.load(Ordering::Relaxed),
            limit,
        }
    }

    /// A wait for processors that may never come.
    pub fn for_arrival(shared: &'a Shared<P>, machine: &'a M) -> Self {
        Self {
            limit: shared.config().timeout,
            ..Self::new(shared, machine)
        }
    }

    /// Ticks so far.
    pub fn ticks(&self) -> u64 {
        self.machine.now().since(self.since)
    }

    /// Waits until `is_over`.
    #[inline(always)]
    pub fn until(&mut self, mut is_over: impl FnMut() -> bool) -> Result<(), Stuck> {
        loop {
            for _ in 0..LOOKS {
                if is_over() {
                    return Ok(());
                }
                self.machine.relax();
            }
            self.step()?;
        }
    }

    /// What has to be done now and then while one waits, and whether it has taken too long.
    pub fn step(&mut self) -> Result<(), Stuck> {
        // Should NMIs be blocked here, nothing else says that nobody goes on.
        if nmi(self.shared, self.machine) {
            return Err(Stuck);
        }
        let progress = self.shared.progress.load(Ordering::Relaxed);
        if progress != self.progress {
            self.progress = progress;
            self.since = self.machine.now();
        }
        if self.ticks() > self.limit {
            Err(Stuck)
        } else {
            Ok(())
        }
    }
}
