//! What the processors of a machine check have found, for the one that recovers.

use msr_runtime::ErrorRecord;

use crate::mc::finding::{CAPACITY, Finding};
use crate::sync::{AtomicU32, AtomicU64, Ordering, constructor};

/// Some vCPU's context is lost: see [`super::shared::Slot`].
const LOST: u32 = 1 << 31;

struct Place {
    who: AtomicU64,
    status: AtomicU64,
    address: AtomicU64,
    misc: AtomicU64,
}

/// Written by one processor at a time (it has the turn to claim), read by the one that recovers, behind the barrier.
pub(super) struct Pool {
    /// How many findings there are, and [`LOST`].
    len: AtomicU32,
    places: [Place; CAPACITY],
}

impl Place {
    constructor! {
        fn new() -> Self {
            Self {
                who: AtomicU64::new(0),
                status: AtomicU64::new(0),
                address: AtomicU64::new(0),
                misc: AtomicU64::new(0),
            }
        }
    }
}

impl Place {
    #[inline(always)]
    fn load(&self) -> Finding {
        Finding {
            who: self.who.load(Ordering::Relaxed).into(),
            record: ErrorRecord {
                status: self.status.load(Ordering::Relaxed),
                address: self.address.load(Ordering::Relaxed),
                misc: self.misc.load(Ordering::Relaxed),
            },
        }
    }
}

impl Pool {
    /// Empty.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self {
            len: AtomicU32::new(0),
            places: [const { Place::new() }; CAPACITY],
        }
    }

    /// Empty.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self {
            len: AtomicU32::new(0),
            places: core::array::from_fn(|_| Place::new()),
        }
    }

    /// Adds a finding; false if there is no room.
    #[must_use]
    #[inline(always)]
    pub fn add(&self, finding: &Finding) -> bool {
        let len = self.len.load(Ordering::Relaxed);
        let Some(place) = self.places.get((len & !LOST) as usize) else {
            return false;
        };
        place.who.store(finding.who.into(), Ordering::Relaxed);
        place.status.store(finding.record.status, Ordering::Relaxed);
        place
            .address
            .store(finding.record.address, Ordering::Relaxed);
        place.misc.store(finding.record.misc, Ordering::Relaxed);
        self.len.store(len + 1, Ordering::Release);
        true
    }

    /// How many findings more there is room for.
    pub fn room(&self) -> usize {
        CAPACITY - self.len()
    }

    fn len(&self) -> usize {
        (self.len.load(Ordering::Acquire) & !LOST) as usize
    }

    /// A vCPU's context is lost.
    pub fn lose_context(&self) {
        let len = self.len.load(Ordering::Relaxed);
        self.len.store(len | LOST, Ordering::Release);
    }

    /// Some vCPU's context is lost.
    pub fn has_lost_contexts(&self) -> bool {
        self.len.load(Ordering::Acquire) & LOST != 0
    }

    pub fn clear(&self) {
        self.len.store(0, Ordering::Relaxed);
    }

    /// The finding, if there is one only and no context is lost.
    #[inline(always)]
    pub fn only(&self) -> Option<Finding> {
        let is_one = self.len.load(Ordering::Acquire) == 1;
        self.places.first().filter(|_| is_one).map(Place::load)
    }

    /// Everything found.
    #[inline(always)]
    pub fn iter(&self) -> impl Iterator<Item = Finding> + '_ {
        self.places.iter().take(self.len()).map(Place::load)
    }
}
