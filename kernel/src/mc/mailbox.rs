//! A vCPU's mailbox: what the recovering processor leaves in #MC context, and the vCPU's processor takes before VM entry.
//!
//! One writer at a time (recovery is serialised), one reader (the vCPU's processor, in ordinary context, which an #MC may
//! interrupt anywhere). No locks: what is due at once has a place of its own, which the writer fills and the reader empties; behind it is
//! what waits until the guest has finished, where the writer fills the slot behind the last mail and moves `tail`, the reader moves `head`.
//! Nothing is dropped: mail that does not fit stops the guest, with that reason.

mod read;
mod write;

use super::mail::{Slot, Slots};
use crate::sync::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering, constructor};

/// How long a handler may run on after it has cleared MCIP, in time stamp ticks that its vCPU runs: some 60 microseconds, for what
/// systems do in some thousand instructions.
pub const HANDLER_LEAVES: u64 = 200_000;

/// Nothing is due.
const EMPTY: u32 = 0;
/// Mail that is due at once.
const FULL: u32 = 1;
/// The vCPU is being told of mail that was there, or that waited: what comes now comes after it.
const DELIVERING: u32 = 2;
/// Mail is being put there.
const WRITING: u32 = 3;

/// MCIP is clear.
const CLEAR: u8 = 0;
/// The guest has set MCIP itself: 1, as `bool` has it.
const SET: u8 = 1;
/// A handler has been given an #MC, and has not cleared MCIP.
const HANDLING: u8 = 2;

/// The mailbox of one vCPU.
pub struct Mailbox {
    /// Not 0: look before the next VM entry.
    attention: AtomicU32,
    /// The vCPU runs code of its guest (it does not wait for SIPI).
    started: AtomicBool,
    /// Its guest has ended: it will never run again.
    ended: AtomicBool,
    /// What the place for mail that is due at once holds: [`EMPTY`] and what stands there.
    is_due: AtomicU32,
    due: Slot,
    /// Waiting mail taken out so far.
    head: AtomicU32,
    /// Waiting mail put in so far.
    tail: AtomicU32,
    /// Pages of the first waiting mail that the vCPU has been told of. The reader's.
    pages_told: AtomicU32,
    slots: Slots,
    /// A [`StopReason`](super::stop::StopReason) plus one, or 0.
    stop: AtomicU32,
    /// The interrupted context of the vCPU cannot go on (RIPV = 0), and it has not been told yet: an [`ErrorIp`](super::mail::ErrorIp) plus one, or 0.
    context_lost: AtomicU32,
    /// The machine check in which the vCPU's processor was last seen running it, and its EIPV there.
    seen: AtomicU64,
    /// The last machine check that told it something. The writer's.
    told: AtomicU32,
    /// What the vCPU's state says of MCIP, for readers in #MC context and on other processors: [`CLEAR`] and what stands there.
    in_progress: AtomicU8,
    /// What it says of local machine checks.
    local_enabled: AtomicBool,
    /// For how many ticks the vCPU has still to run until the handler that has cleared MCIP has left its stack. Its processor's.
    leaving: AtomicU64,
    /// The last record that the vCPU got. The reader's.
    last: Slot,
}

impl Mailbox {
    constructor! {
        /// The empty mailbox of a vCPU that waits for SIPI.
        pub fn new() -> Self {
            Self {
                attention: AtomicU32::new(0),
                started: AtomicBool::new(false),
                ended: AtomicBool::new(false),
                is_due: AtomicU32::new(EMPTY),
                due: Slot::new(),
                head: AtomicU32::new(0),
                tail: AtomicU32::new(0),
                pages_told: AtomicU32::new(0),
                slots: Slots::new(),
                stop: AtomicU32::new(0),
                context_lost: AtomicU32::new(0),
                seen: AtomicU64::new(0),
                told: AtomicU32::new(0),
                in_progress: AtomicU8::new(CLEAR),
                local_enabled: AtomicBool::new(false),
                leaving: AtomicU64::new(0),
                last: Slot::new(),
            }
        }
    }

    /// Whether [`crate::vmce::deliver`] must be called before the vCPU runs. One load and a comparison.
    #[inline(always)]
    pub fn is_pending(&self) -> bool {
        self.attention.load(Ordering::Relaxed) != 0
    }

    /// The vCPU begins to run: power-on of vCPU 0, or its SIPI. Called by its processor.
    pub fn start(&self) {
        self.empty();
        self.started.store(true, Ordering::Release);
        // What stops the guest outlives the mail.
        if self.stop.load(Ordering::Acquire) != 0 {
            self.raise();
        }
    }

    /// INIT is on its way to the vCPU: it gets nothing from now on. Called by who sends it, before.
    pub fn will_park(&self) {
        self.started.store(false, Ordering::Release);
    }

    /// The vCPU's guest has ended. Called by who ends it, once. True if there is mail that nobody will read.
    pub fn end(&self) -> bool {
        self.ended.store(true, Ordering::Release);
        self.started.store(false, Ordering::Release);
        self.has_mail()
    }

    /// The vCPU's guest has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// The vCPU waits for SIPI again (INIT). Called by its processor. True if mail is lost. What INIT makes of its registers,
    /// [`Mailbox::after_init`] says.
    pub fn park(&self) -> bool {
        self.started.store(false, Ordering::Release);
        let lost = self.has_mail();
        self.empty();
        lost
    }

    fn empty(&self) {
        self.attention.store(0, Ordering::Relaxed);
        self.is_due.store(EMPTY, Ordering::Relaxed);
        self.head
            .store(self.tail.load(Ordering::Acquire), Ordering::Release);
        self.pages_told.store(0, Ordering::Relaxed);
        self.context_lost.store(0, Ordering::Relaxed);
        self.leaving.store(0, Ordering::Relaxed);
    }

    /// Keeps up with the vCPU's state after any write of its guest. Returns whether a handler that had been given an #MC has cleared MCIP;
    /// it runs on for a while, on the stack that the next #MC would overwrite.
    pub(crate) fn keep_up<S: msr_runtime::MachineCheck>(&self, state: &S) -> bool {
        self.local_enabled
            .store(state.local_enabled(), Ordering::Relaxed);
        let was = self.in_progress.load(Ordering::Relaxed);
        if state.in_progress() == (was != CLEAR) {
            return false;
        }
        let finished = was == HANDLING;
        if finished {
            self.leaving.store(HANDLER_LEAVES, Ordering::Relaxed);
        }
        let now = if was == CLEAR { SET } else { CLEAR };
        self.in_progress.store(now, Ordering::Release);
        finished
    }

    /// The vCPU's handler has cleared MCIP and may still be running.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed) != 0
    }

    /// The vCPU has run for so many time stamp ticks since [`Mailbox::is_leaving`] was true. Called by its processor.
    pub fn ran(&self, ticks: u64) {
        let left = self.leaving.load(Ordering::Relaxed).saturating_sub(ticks);
        self.leaving.store(left, Ordering::Release);
    }

    /// The vCPU halts: nobody does so in a handler that is about to return. Called by its processor.
    pub fn halts(&self) {
        self.leaving.store(0, Ordering::Release);
    }

    /// Something is under way that mail which [follows](super::mail::About::follows) has to wait for: an #MC that was not delivered yet (one that has followed
    /// included), or its handler.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_started()
            && (self.is_due.load(Ordering::Acquire) != EMPTY
                || self.is_pending() && self.has_mail()
                || self.in_progress.load(Ordering::Acquire) != CLEAR
                || self.leaving.load(Ordering::Acquire) != 0)
    }

    /// The vCPU's handler has not cleared MCIP. For the vCPU's own processor.
    #[inline(always)]
    pub fn is_in_progress(&self) -> bool {
        self.in_progress.load(Ordering::Relaxed) != CLEAR
    }

    /// Keeps up with the vCPU's state after a write by a guest with MCIP clear. For the vCPU's own processor;
    /// [`crate::vmce::after_write`] is for one that was.
    #[inline(always)]
    pub fn mirror<S: msr_runtime::MachineCheck>(&self, state: &S) {
        self.in_progress
            .store(state.in_progress().into(), Ordering::Relaxed);
        self.local_enabled
            .store(state.local_enabled(), Ordering::Relaxed);
    }

    /// Keeps up with what INIT has made of the vCPU's registers. For the vCPU's own processor.
    pub fn after_init<S: msr_runtime::MachineCheck>(&self, state: &S) {
        // Where INIT leaves MCIP set, the handler has still to clear it.
        self.keep_up(state);
    }
}

impl Default for Mailbox {
    fn default() -> Self {
        Self::new()
    }
}
