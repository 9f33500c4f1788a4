//! A vCPU's mailbox: what the recovering processor leaves in #MC context, and the vCPU's processor takes before VM entry.
//!
//! One writer at a time (recovery is serialised), one reader (the vCPU's processor, in ordinary context, which an #MC may
//! interrupt anywhere). No locks: what is due at once has a place of its own, which the writer fills and the reader empties; behind it is
//! what waits until the guest has finished, where the writer fills the slot behind the last mail and moves `tail`, the reader moves `head`.
//! Nothing is dropped: mail that does not fit stops the guest, with that reason.

use bitfield_struct::bitfield;
use msr_runtime::ErrorRecord;

use super::event::words;
use super::stop::StopReason;
use crate::sync::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering, constructor};
use crate::units::PAGE_SIZE;

words! {
    /// What one attempt to tell a vCPU of an error became when the machine check was handled.
    Outcome {
        /// It gets an #MC with the record.
        Record = "record",
        /// It gets an #MC with clean banks.
        Clean = "clean",
        /// It alone gets an #MC, a local one, with the record.
        Local = "local",
        /// An #MC of the machine check before, which some of the guest have still to get, covers this one too.
        Merged = "merged",
        /// The #MC follows when the guest has finished with the ones before.
        Deferred = "deferred",
        /// It does not run yet (it waits for SIPI) and gets nothing.
        NotStarted = "not-started",
        /// Its guest is stopped.
        Stopped = "stopped",
        /// It got INIT before it could be told, and starts anew without.
        Reset = "reset",
        /// Its guest has ended, before the error or before it could be told.
        Ended = "ended",
    }
}

/// What became of mail about what a vCPU itself has met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consumed {
    /// As of any mail.
    Posted(Outcome),
    /// The #MC that the vCPU has still to get, which had no record, has this one. Who else has got that #MC, or will, gets no other.
    Merged,
    /// The first goes before what was due; what was due has become the second.
    Overtook(Outcome, Outcome),
}

/// One #MC for one vCPU, or one for each of several pages, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mail {
    /// What it is.
    pub about: About,
    /// The error of which the guest is told, if it is told of one. For a vCPU that gets clean banks: what another vCPU gets,
    /// for the administrator.
    pub record: ErrorRecord,
}

/// What a mail is, besides its record.
#[bitfield(u64)]
#[derive(PartialEq, Eq)]
pub struct About {
    /// There is a record.
    pub has_record: bool,
    /// The vCPU's bank shows the record.
    pub shown: bool,
    /// The interrupted instruction met the error (EIPV).
    pub error_ip_valid: bool,
    /// A local machine check (LMCE_S).
    pub local: bool,
    /// It waits until the guest has finished with what came before.
    pub follows: bool,
    /// It lies in the place for what is due at once.
    due: bool,
    #[bits(26)]
    __: u32,
    /// How many pages of guest-physical memory from the record's address on: one #MC each. 0 counts as 1.
    pub pages: u32,
}

/// EIPV of a context that was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorIp {
    /// Clear.
    Unknown,
    /// Set: the instruction that was interrupted is the one that met the error.
    Valid,
}

struct Slot {
    about: AtomicU64,
    status: AtomicU64,
    address: AtomicU64,
    misc: AtomicU64,
}

impl Slot {
    constructor! {
        fn new() -> Self {
            Self {
                about: AtomicU64::new(0),
                status: AtomicU64::new(0),
                address: AtomicU64::new(0),
                misc: AtomicU64::new(0),
            }
        }
    }
}

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

/// Mail that can wait in a box: with what is due, more than the errors of one machine check that find room at once, all of them in one guest's memory. Few
/// where every interleaving is explored.
pub const DEPTH: usize = if cfg!(loom) { 4 } else { 32 };

// Numbers of mail wrap, and a place is such a number's remainder.
const _: () = assert!(DEPTH.is_power_of_two());

/// Where mail waits.
struct Slots([Slot; DEPTH]);

impl Slots {
    #[cfg(not(loom))]
    const fn new() -> Self {
        Self([const { Slot::new() }; DEPTH])
    }

    #[cfg(loom)]
    fn new() -> Self {
        Self(core::array::from_fn(|_| Slot::new()))
    }
}

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
    /// A [`StopReason`] plus one, or 0.
    stop: AtomicU32,
    /// The interrupted context of the vCPU cannot go on (RIPV = 0), and it has not been told yet: an [`ErrorIp`] plus one, or 0.
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

    /// Something is under way that mail which [follows](About::follows) has to wait for: an #MC that was not delivered yet (one that has followed
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

    // The writer's side: #MC context.

    /// Leaves mail. `about.follows` says that it belongs behind other mail of the same machine check.
    #[inline(always)]
    pub(crate) fn post(&self, mail: Mail) -> Outcome {
        let Mail { about, ref record } = mail;
        if !self.started.load(Ordering::Acquire) {
            return self.without_vcpu();
        }
        if about.follows() {
            return self.post_behind(mail, false);
        }
        let place = &self.is_due;
        if let Err(holds) =
            place.compare_exchange(EMPTY, WRITING, Ordering::Acquire, Ordering::Acquire)
        {
            return self.post_behind(mail, holds == DELIVERING);
        }
        // Before all that waits: the vCPU must not run until it has had this one.
        self.due.store(about.with_due(true), record);
        self.is_due.store(FULL, Ordering::Release);
        self.raise();
        about.outcome()
    }

    /// There is nobody to tell.
    #[cold]
    fn without_vcpu(&self) -> Outcome {
        if self.has_ended() {
            Outcome::Ended
        } else {
            Outcome::NotStarted
        }
    }

    /// Leaves mail about what the vCPU itself has met, by a processor that was in the vCPU's context: the vCPU would meet it again before
    /// any #MC that follows, so it goes before what the vCPU has not been told of yet. `may_merge`: nothing else of this machine check
    /// concerns the guest.
    #[inline(always)]
    pub(crate) fn post_consumed(&self, mail: Mail, may_merge: bool) -> Consumed {
        if self.is_due.load(Ordering::Acquire) == FULL && self.is_started() {
            self.overtake(mail, may_merge)
        } else {
            Consumed::Posted(self.post(mail))
        }
    }

    /// Takes the place of the mail that is due. The vCPU's processor, which alone takes mail out, is in this machine check.
    #[cold]
    fn overtake(&self, mut mail: Mail, may_merge: bool) -> Consumed {
        let before = self.due.load();
        if before.about.error_ip_valid() {
            // It has met that one, and has not run since.
            return Consumed::Posted(self.post_behind(mail, false));
        }
        let merges = may_merge && !before.about.shown();
        if merges {
            // One #MC says both: the one in which the others of the guest wait for this vCPU.
            mail.about.set_local(false);
        }
        self.due.store(mail.about.with_due(true), &mail.record);
        self.raise();
        if merges {
            return Consumed::Merged;
        }
        let about = before.about.with_due(false).with_follows(true);
        let about = about.with_error_ip_valid(false);
        let waits = self.post_behind(Mail { about, ..before }, false);
        Consumed::Overtook(mail.about.outcome(), waits)
    }

    /// Leaves mail that is not the next. `is_delivering`: the vCPU is being told of what is, and has not run since.
    #[cold]
    fn post_behind(&self, mail: Mail, is_delivering: bool) -> Outcome {
        let mut about = mail.about;
        // With MCIP set nothing of a later machine check can wait, whatever waits already.
        let can_wait = is_delivering || self.in_progress.load(Ordering::Acquire) == CLEAR;
        if can_wait && !about.follows() {
            // Where there is a record, all vCPUs get as many #MCs, for the guest's handlers wait for each other.
            if !about.has_record() {
                return Outcome::Merged;
            }
            // By then the vCPU is not where it met the error.
            about.set_follows(true);
            about.set_error_ip_valid(false);
        }
        let tail = self.tail.load(Ordering::Relaxed);
        let waiting = tail.wrapping_sub(self.head.load(Ordering::Acquire)) as usize;
        match self.slots.0.get(tail as usize % DEPTH) {
            Some(slot) if waiting < DEPTH => {
                slot.store(about, &mail.record);
                self.tail.store(tail.wrapping_add(1), Ordering::Release);
                self.raise();
                about.outcome()
            }
            _ => {
                self.post_stop(StopReason::TooManyErrors);
                Outcome::Stopped
            }
        }
    }

    /// Whether it runs code of its guest.
    pub(crate) fn is_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    /// The last machine check that told it something.
    pub(crate) fn last_told(&self) -> u32 {
        self.told.load(Ordering::Relaxed)
    }

    /// Machine check number `serial` tells it something.
    pub(crate) fn tell(&self, serial: u32) {
        self.told.store(serial, Ordering::Relaxed);
    }

    /// Whether machine check number `serial` has told it something.
    pub(crate) fn was_told(&self, serial: u32) -> bool {
        self.told.load(Ordering::Relaxed) == serial
    }

    /// The vCPU's guest is to be stopped before the vCPU runs again.
    pub(crate) fn post_stop(&self, reason: StopReason) {
        self.stop.store(reason as u32 + 1, Ordering::Release);
        self.raise();
    }

    /// This vCPU's processor takes part in machine check number `episode`, in the vCPU's context.
    pub(crate) fn see(&self, episode: u32, error_ip_valid: bool, restart_ip_valid: bool) {
        if !restart_ip_valid {
            let error_ip = if error_ip_valid {
                ErrorIp::Valid
            } else {
                ErrorIp::Unknown
            };
            self.context_lost
                .store(error_ip as u32 + 1, Ordering::Release);
        }
        self.seen.store(
            u64::from(episode) << 1 | u64::from(error_ip_valid),
            Ordering::Release,
        );
    }

    /// Its interrupted context cannot go on, which it has not been told yet.
    pub(crate) fn has_lost_context(&self) -> bool {
        self.context_lost.load(Ordering::Acquire) != 0
    }

    /// EIPV of the vCPU's own processor in machine check number `episode`; false if it did not run the vCPU.
    pub(crate) fn error_ip_valid(&self, episode: u32) -> bool {
        self.seen.load(Ordering::Acquire) == u64::from(episode) << 1 | 1
    }

    /// The guest was promised local machine checks and this vCPU has enabled them.
    pub(crate) fn local_enabled(&self) -> bool {
        self.local_enabled.load(Ordering::Acquire)
    }

    // The reader's side: the vCPU's processor, ordinary context.

    /// Has [`Mailbox::is_pending`] say yes. Not a plain store: two may do this at once, and [`Mailbox::lower`] must see what both did before.
    pub(crate) fn raise(&self) {
        self.attention.swap(1, Ordering::AcqRel);
    }

    /// Mail that comes after this raises attention again.
    pub(crate) fn lower(&self) {
        self.attention.swap(0, Ordering::AcqRel);
    }

    /// The reason to stop the guest, if there is one.
    pub(crate) fn stop(&self) -> Option<StopReason> {
        match self.stop.load(Ordering::Acquire) {
            0 => None,
            reason => Some(StopReason::from_number(u64::from(reason - 1))),
        }
    }

    /// Whether there is any mail.
    pub(crate) fn has_mail(&self) -> bool {
        self.is_due.load(Ordering::Acquire) != EMPTY
            || self.head.load(Ordering::Relaxed) != self.tail.load(Ordering::Acquire)
    }

    /// The next #MC for this vCPU, if it may come now. Until [`Mailbox::told`] has been called for it, others come behind it.
    #[inline(always)]
    pub(crate) fn next(&self) -> Option<Mail> {
        let mail = self.due().or_else(|| self.first_waiting())?;
        if mail.about.due() {
            self.is_due.store(DELIVERING, Ordering::Relaxed);
            return Some(mail);
        }
        let place = &self.is_due;
        match place.compare_exchange(EMPTY, DELIVERING, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Some(mail),
            // The next machine check is on its way: it goes first, and raises attention.
            Err(_) => None,
        }
    }

    #[inline(always)]
    fn due(&self) -> Option<Mail> {
        (self.is_due.load(Ordering::Acquire) == FULL).then(|| self.due.load())
    }

    #[cold]
    fn first_waiting(&self) -> Option<Mail> {
        let mail = self.waiting().next()?;
        if mail.about.follows() && self.is_leaving() {
            return None;
        }
        Some(match self.pages_told.load(Ordering::Relaxed) {
            0 => mail,
            told => mail.without_pages(told),
        })
    }

    /// Mail that cannot wait until the guest has finished with what came before.
    pub(crate) fn urgent(&self) -> Option<Mail> {
        let cannot_wait = |mail: &Mail| !mail.about.follows();
        self.due().or_else(|| self.waiting().find(cannot_wait))
    }

    /// All that waits.
    fn waiting(&self) -> impl Iterator<Item = Mail> {
        let head = self.head.load(Ordering::Relaxed);
        let waiting = self.tail.load(Ordering::Acquire).wrapping_sub(head);
        (0..waiting)
            .filter_map(move |n| self.slots.0.get(head.wrapping_add(n) as usize % DEPTH))
            .map(Slot::load)
    }

    /// The vCPU has been told of the first page of [`Mailbox::next`]: MCIP is set.
    #[inline(always)]
    pub(crate) fn told(&self, mail: &Mail) {
        let Mail { about, ref record } = *mail;
        if about.shown() {
            self.last.store(about, record);
        }
        if !about.due() {
            self.told_waiting(about);
        }
        self.in_progress.store(HANDLING, Ordering::Release);
        self.is_due.store(EMPTY, Ordering::Release);
    }

    #[cold]
    fn told_waiting(&self, about: About) {
        if about.pages() > 1 {
            self.pages_told.fetch_add(1, Ordering::Relaxed);
        } else {
            self.pages_told.store(0, Ordering::Relaxed);
            self.head.fetch_add(1, Ordering::Release);
        }
    }

    /// Whether an interrupted context was lost, and what was known of it; the vCPU is being told now.
    #[inline(always)]
    pub(crate) fn take_lost_context(&self) -> Option<ErrorIp> {
        match self.context_lost.swap(0, Ordering::AcqRel) {
            0 => None,
            1 => Some(ErrorIp::Unknown),
            _ => Some(ErrorIp::Valid),
        }
    }

    /// The last record that the vCPU got.
    pub(crate) fn last(&self) -> Option<ErrorRecord> {
        self.last.load().record()
    }
}

impl About {
    /// What became of mail that was left so.
    #[inline(always)]
    fn outcome(self) -> Outcome {
        if self.follows() {
            Outcome::Deferred
        } else if self.local() {
            Outcome::Local
        } else if self.shown() {
            Outcome::Record
        } else {
            Outcome::Clean
        }
    }
}

impl Mail {
    /// Its record, if there is one.
    pub fn record(&self) -> Option<ErrorRecord> {
        self.about.has_record().then_some(self.record)
    }

    /// The same after that many of its pages.
    #[cold]
    fn without_pages(mut self, pages: u32) -> Self {
        let left = self.about.pages().saturating_sub(pages);
        self.about = self.about.with_error_ip_valid(false).with_pages(left);
        let bytes = u64::from(pages) * PAGE_SIZE;
        self.record.address = self.record.address.wrapping_add(bytes);
        self
    }
}

impl Slot {
    fn store(&self, about: About, record: &ErrorRecord) {
        self.about.store(about.into(), Ordering::Relaxed);
        self.status.store(record.status, Ordering::Relaxed);
        self.address.store(record.address, Ordering::Relaxed);
        self.misc.store(record.misc, Ordering::Relaxed);
    }

    fn load(&self) -> Mail {
        Mail {
            about: self.about.load(Ordering::Relaxed).into(),
            record: ErrorRecord {
                status: self.status.load(Ordering::Relaxed),
                address: self.address.load(Ordering::Relaxed),
                misc: self.misc.load(Ordering::Relaxed),
            },
        }
    }
}

impl Default for Mailbox {
    fn default() -> Self {
        Self::new()
    }
}
