//! Mail for a vCPU: what an #MC tells it, and what became of the attempt to.

use bitfield_struct::bitfield;
use msr_runtime::ErrorRecord;

use super::event::words;
use crate::sync::{AtomicU64, Ordering, constructor};
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
    pub(super) due: bool,
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

/// Mail as it lies in a box.
pub(super) struct Slot {
    about: AtomicU64,
    status: AtomicU64,
    address: AtomicU64,
    misc: AtomicU64,
}

impl Slot {
    constructor! {
        pub(super) fn new() -> Self {
            Self {
                about: AtomicU64::new(0),
                status: AtomicU64::new(0),
                address: AtomicU64::new(0),
                misc: AtomicU64::new(0),
            }
        }
    }
}

/// Mail that can wait in a box: with what is due, more than the errors of one machine check that find room at once, all of them in one guest's memory. Few
/// where every interleaving is explored.
pub const DEPTH: usize = if cfg!(loom) { 4 } else { 32 };

// Numbers of mail wrap, and a place is such a number's remainder.
const _: () = assert!(DEPTH.is_power_of_two());

/// Where mail waits.
pub(super) struct Slots(pub(super) [Slot; DEPTH]);

impl Slots {
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        Self([const { Slot::new() }; DEPTH])
    }

    #[cfg(loom)]
    pub(super) fn new() -> Self {
        Self(core::array::from_fn(|_| Slot::new()))
    }
}

impl About {
    /// What became of mail that was left so.
    #[inline(always)]
    pub(super) fn outcome(self) -> Outcome {
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
    pub(super) fn without_pages(mut self, pages: u32) -> Self {
        let left = self.about.pages().saturating_sub(pages);
        self.about = self.about.with_error_ip_valid(false).with_pages(left);
        let bytes = u64::from(pages) * PAGE_SIZE;
        self.record.address = self.record.address.wrapping_add(bytes);
        self
    }
}

impl Slot {
    pub(super) fn store(&self, about: About, record: &ErrorRecord) {
        self.about.store(about.into(), Ordering::Relaxed);
        self.status.store(record.status, Ordering::Relaxed);
        self.address.store(record.address, Ordering::Relaxed);
        self.misc.store(record.misc, Ordering::Relaxed);
    }

    pub(super) fn load(&self) -> Mail {
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
