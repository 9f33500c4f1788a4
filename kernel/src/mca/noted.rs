//! Corrected errors that an #MC has met, until a poll counts them: counting may end in a page being replaced, which is nothing for
//! an #MC.

use msr_runtime::ErrorRecord;

use crate::mc::finding::CAPACITY;
use crate::sync::{AtomicU32, AtomicU64, Ordering, constructor};

struct Place {
    status: AtomicU64,
    address: AtomicU64,
    misc: AtomicU64,
}

impl Place {
    constructor! {
        fn new() -> Self {
            Self {
                status: AtomicU64::new(0),
                address: AtomicU64::new(0),
                misc: AtomicU64::new(0),
            }
        }
    }
}

/// One writer at a time, in #MC context (it has the turn to claim); one reader at a time (who polls), which an #MC may interrupt
/// anywhere.
pub(super) struct Noted {
    /// Taken out so far. The reader's.
    head: AtomicU32,
    /// Put in so far. The writer's.
    tail: AtomicU32,
    places: [Place; CAPACITY],
}

impl Noted {
    /// Nothing is noted.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self {
            head: AtomicU32::new(0),
            tail: AtomicU32::new(0),
            places: [const { Place::new() }; CAPACITY],
        }
    }

    /// Nothing is noted.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self {
            head: AtomicU32::new(0),
            tail: AtomicU32::new(0),
            places: core::array::from_fn(|_| Place::new()),
        }
    }

    /// Notes an error; false if there is no room.
    #[must_use]
    pub fn add(&self, record: &ErrorRecord) -> bool {
        let tail = self.tail.load(Ordering::Relaxed);
        if tail.wrapping_sub(self.head.load(Ordering::Acquire)) as usize >= CAPACITY {
            return false;
        }
        let Some(place) = self.places.get(tail as usize % CAPACITY) else {
            return false;
        };
        place.status.store(record.status, Ordering::Relaxed);
        place.address.store(record.address, Ordering::Relaxed);
        place.misc.store(record.misc, Ordering::Relaxed);
        self.tail.store(tail.wrapping_add(1), Ordering::Release);
        true
    }

    /// The one that was noted first, which is noted no more.
    pub fn take(&self) -> Option<ErrorRecord> {
        let head = self.head.load(Ordering::Relaxed);
        if head == self.tail.load(Ordering::Acquire) {
            return None;
        }
        let place = self.places.get(head as usize % CAPACITY)?;
        let record = ErrorRecord {
            status: place.status.load(Ordering::Relaxed),
            address: place.address.load(Ordering::Relaxed),
            misc: place.misc.load(Ordering::Relaxed),
        };
        self.head.store(head.wrapping_add(1), Ordering::Release);
        Some(record)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn record(address: u64) -> ErrorRecord {
        ErrorRecord {
            status: address + 1,
            address,
            misc: address + 2,
        }
    }

    #[test]
    fn first_in_first_out_and_what_finds_no_room_is_refused() {
        let noted = Noted::new();
        assert_eq!(noted.take(), None);
        for round in 0..3 {
            for address in 0..CAPACITY as u64 {
                assert!(noted.add(&record(round + address)));
            }
            assert!(!noted.add(&record(99)));
            assert_eq!(noted.take(), Some(record(round)));
            assert!(noted.add(&record(100)), "there is room again");
            for address in 1..CAPACITY as u64 {
                assert_eq!(noted.take(), Some(record(round + address)));
            }
            assert_eq!((noted.take(), noted.take()), (Some(record(100)), None));
        }
    }
}
