//! A vCPU's mailbox: what the recovering processor leaves in #MC context, and the vCPU's processor takes before VM entry.
//!
//! One writer at a time (recovery is serialised), one reader (the vCPU's processor, in ordinary context, which an #MC may
//! interrupt anywhere). No locks: the writer fills the slot behind the last mail and moves `tail`, the reader moves `head`.
//! Nothing is dropped: mail that does not fit stops the guest, with that reason.

use msr_runtime::ErrorRecord;

use super::deliver::StopReason;
use crate::event::words;
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Ordering, constructor};
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
        /// The #MC that it has still to get covers this one too.
        Merged = "merged",
        /// The #MC follows when the guest has finished with the ones before.
        Deferred = "deferred",
        /// It does not run yet (it waits for SIPI) and gets nothing.
        NotStarted = "not-started",
        /// Its guest is stopped.
        Stopped = "stopped",
    }
}

/// One #MC for one vCPU, or one for each of `pages` pages, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The error of which the guest is told. For a vCPU that gets clean banks: what another vCPU gets, for the administrator.
    pub record: Option<ErrorRecord>,
    /// The vCPU's bank shows the record.
    pub shown: bool,
    /// The interrupted instruction met the error (EIPV).
    pub error_ip_valid: bool,
    /// A local machine check (LMCE_S).
    pub local: bool,
    /// How many pages of guest-physical memory from the record's address on: one #MC each. 0 counts as 1.
    pub pages: u32,
}

const RECORD: u64 = 1 << 0;
const SHOWN: u64 = 1 << 1;
const EIPV: u64 = 1 << 2;
const LOCAL: u64 = 1 << 3;
/// It waits until the guest has finished with what came before.
const FOLLOWS: u64 = 1 << 4;
const PAGES_SHIFT: u32 = 32;

struct Slot {
    flags: AtomicU64,
    status: AtomicU64,
    address: AtomicU64,
    misc: AtomicU64,
}

impl Slot {
    constructor! {
        fn new() -> Self {
            Self {
                flags: AtomicU64::new(0),
                status: AtomicU64::new(0),
                address: AtomicU64::new(0),
                misc: AtomicU64::new(0),
            }
        }
    }
}

/// Mail that fits into a box.
pub const DEPTH: usize = 8;

/// The mailbox of one vCPU.
pub struct Mailbox {
    /// Not 0: look before the next VM entry.
    attention: AtomicU32,
    /// The vCPU runs code of its guest (it does not wait for SIPI).
    started: AtomicBool,
    /// Mail taken out so far.
    head: AtomicU32,
    /// Mail put in so far.
    tail: AtomicU32,
    /// Pages of the first mail that the vCPU has been told of. The reader's.
    pages_told: AtomicU32,
    slots: [Slot; DEPTH],
    /// A [`StopReason`] plus one, or 0.
    stop: AtomicU32,
    /// The interrupted context of the vCPU cannot go on (RIPV = 0), and it has not been told yet.
    context_lost: AtomicBool,
    /// The machine check in which the vCPU's processor was last seen running it, and its EIPV there.
    seen: AtomicU64,
    /// The last machine check that told it something. The writer's.
    told: AtomicU32,
    /// What the vCPU's state says, for readers in #MC context and on other processors.
    pub(super) in_progress: AtomicBool,
    pub(super) local_enabled: AtomicBool,
    /// Looks of [`super::follow_up`] that found the guest quiet.
    pub(super) quiet: AtomicU32,
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
                head: AtomicU32::new(0),
                tail: AtomicU32::new(0),
                pages_told: AtomicU32::new(0),
                slots: [
                    Slot::new(),
                    Slot::new(),
                    Slot::new(),
                    Slot::new(),
                    Slot::new(),
                    Slot::new(),
                    Slot::new(),
                    Slot::new(),
                ],
                stop: AtomicU32::new(0),
                context_lost: AtomicBool::new(false),
                seen: AtomicU64::new(0),
                told: AtomicU32::new(0),
                in_progress: AtomicBool::new(false),
                local_enabled: AtomicBool::new(false),
                quiet: AtomicU32::new(0),
                last: Slot::new(),
            }
        }
    }

    /// Whether [`super::deliver`] must be called before the vCPU runs. One load and a comparison.
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

    /// The vCPU waits for SIPI again (INIT). Called by its processor.
    pub fn park(&self) {
        self.started.store(false, Ordering::Release);
        self.empty();
    }

    fn empty(&self) {
        self.attention.store(0, Ordering::Relaxed);
        self.head
            .store(self.tail.load(Ordering::Acquire), Ordering::Release);
        self.pages_told.store(0, Ordering::Relaxed);
        self.context_lost.store(false, Ordering::Relaxed);
        self.in_progress.store(false, Ordering::Relaxed);
        self.local_enabled.store(false, Ordering::Relaxed);
    }

    /// The vCPU's handler has not cleared MCIP. For the vCPU's own processor.
    #[inline(always)]
    pub fn is_in_progress(&self) -> bool {
        self.in_progress.load(Ordering::Relaxed)
    }

    /// Keeps up with the vCPU's state after a write by a guest that was not in its handler. For the vCPU's own processor;
    /// [`super::after_write`] is for one that was.
    #[inline(always)]
    pub fn mirror<S: msr_runtime::MachineCheck>(&self, state: &S) {
        self.in_progress
            .store(state.in_progress(), Ordering::Relaxed);
        self.local_enabled
            .store(state.local_enabled(), Ordering::Relaxed);
    }

    // The writer's side: #MC context.

    /// Leaves mail. `follows` says that it belongs behind other mail of the same machine check.
    pub(crate) fn post(&self, mail: &Mail, follows: bool) -> Outcome {
        if !self.started.load(Ordering::Acquire) {
            return Outcome::NotStarted;
        }
        let tail = self.tail.load(Ordering::Relaxed);
        let waiting = tail.wrapping_sub(self.head.load(Ordering::Acquire));
        // With MCIP set nothing of a later machine check can wait, whatever waits already.
        let may_wait = waiting != 0 && !self.in_progress.load(Ordering::Acquire);
        // Where there is a record, all vCPUs get as many #MCs, for the guest's handlers wait for each other.
        if may_wait && mail.record.is_none() && !follows {
            return Outcome::Merged;
        }
        if waiting as usize >= DEPTH {
            self.post_stop(StopReason::TooManyErrors);
            return Outcome::Stopped;
        }
        let follows = follows || may_wait;
        let Some(slot) = self.slots.get(tail as usize % DEPTH) else {
            return Outcome::Stopped;
        };
        let record = mail.record.unwrap_or(ErrorRecord {
            status: 0,
            address: 0,
            misc: 0,
        });
        let flag = |on: bool, bit: u64| if on { bit } else { 0 };
        let flags = flag(mail.record.is_some(), RECORD)
            | flag(mail.shown, SHOWN)
            | flag(mail.error_ip_valid, EIPV)
            | flag(mail.local, LOCAL)
            | flag(follows, FOLLOWS)
            | u64::from(mail.pages.max(1)) << PAGES_SHIFT;
        slot.flags.store(flags, Ordering::Relaxed);
        slot.store(record);
        self.tail.store(tail.wrapping_add(1), Ordering::Release);
        self.raise();
        match (follows, mail.local, mail.shown) {
            (true, ..) => Outcome::Deferred,
            (false, true, _) => Outcome::Local,
            (false, false, true) => Outcome::Record,
            (false, false, false) => Outcome::Clean,
        }
    }

    /// Whether it runs code of its guest.
    pub(crate) fn is_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
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
            self.context_lost.store(true, Ordering::Release);
        }
        self.seen.store(
            u64::from(episode) << 1 | u64::from(error_ip_valid),
            Ordering::Release,
        );
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

    /// Has [`Mailbox::is_pending`] say yes.
    pub(super) fn raise(&self) {
        self.attention.store(1, Ordering::Release);
    }

    /// Mail that comes after this raises attention again.
    pub(super) fn lower(&self) {
        self.attention.swap(0, Ordering::AcqRel);
    }

    /// The reason to stop the guest, if there is one.
    pub(super) fn stop(&self) -> Option<StopReason> {
        match self.stop.load(Ordering::Acquire) {
            0 => None,
            reason => Some(StopReason::from_number(u64::from(reason - 1))),
        }
    }

    /// Whether there is any mail.
    pub(super) fn has_mail(&self) -> bool {
        self.head.load(Ordering::Relaxed) != self.tail.load(Ordering::Acquire)
    }

    /// The next #MC for this vCPU.
    pub(super) fn first(&self) -> Option<Mail> {
        let told = self.pages_told.load(Ordering::Relaxed);
        self.mail().next().map(|(mail, _)| mail.without_pages(told))
    }

    /// Mail that cannot wait until the guest has finished with what came before.
    pub(super) fn urgent(&self) -> Option<Mail> {
        self.mail()
            .find(|(_, follows)| !follows)
            .map(|(mail, _)| mail)
    }

    /// All mail, and whether it follows.
    fn mail(&self) -> impl Iterator<Item = (Mail, bool)> {
        let head = self.head.load(Ordering::Relaxed);
        let waiting = self.tail.load(Ordering::Acquire).wrapping_sub(head);
        (0..waiting)
            .filter_map(move |n| self.slots.get(head.wrapping_add(n) as usize % DEPTH))
            .map(Slot::mail)
    }

    /// The vCPU has been told of the first page of the first mail.
    pub(super) fn told(&self, mail: &Mail) {
        if let (true, Some(record)) = (mail.shown, mail.record) {
            self.last.flags.store(RECORD, Ordering::Relaxed);
            self.last.store(record);
        }
        if mail.pages > 1 {
            self.pages_told.fetch_add(1, Ordering::Relaxed);
        } else {
            self.pages_told.store(0, Ordering::Relaxed);
            self.head.fetch_add(1, Ordering::Release);
        }
    }

    /// Whether the interrupted context can go on; the vCPU is being told now.
    pub(super) fn take_restart_ip_valid(&self) -> bool {
        !self.context_lost.swap(false, Ordering::AcqRel)
    }

    /// The last record that the vCPU got.
    pub(super) fn last(&self) -> Option<ErrorRecord> {
        (self.last.flags.load(Ordering::Relaxed) != 0).then(|| self.last.load())
    }
}

impl Mail {
    /// The same after that many of its pages.
    fn without_pages(mut self, pages: u32) -> Self {
        if pages != 0 {
            self.error_ip_valid = false;
            self.pages -= pages.min(self.pages);
            if let Some(record) = &mut self.record {
                record.address = record.address.wrapping_add(u64::from(pages) * PAGE_SIZE);
            }
        }
        self
    }
}

impl Slot {
    fn mail(&self) -> (Mail, bool) {
        let flags = self.flags.load(Ordering::Relaxed);
        let mail = Mail {
            record: (flags & RECORD != 0).then(|| self.load()),
            shown: flags & SHOWN != 0,
            error_ip_valid: flags & EIPV != 0,
            local: flags & LOCAL != 0,
            pages: (flags >> PAGES_SHIFT) as u32,
        };
        (mail, flags & FOLLOWS != 0)
    }

    fn store(&self, record: ErrorRecord) {
        self.status.store(record.status, Ordering::Relaxed);
        self.address.store(record.address, Ordering::Relaxed);
        self.misc.store(record.misc, Ordering::Relaxed);
    }

    fn load(&self) -> ErrorRecord {
        ErrorRecord {
            status: self.status.load(Ordering::Relaxed),
            address: self.address.load(Ordering::Relaxed),
            misc: self.misc.load(Ordering::Relaxed),
        }
    }
}

impl Default for Mailbox {
    fn default() -> Self {
        Self::new()
    }
}
