//! How many corrected errors each page has had, for the pages that had most of late.

use crate::sync::{AtomicU64, Ordering, constructor};
use crate::units::{Hpa, PAGE_SIZE};

/// Pages that are counted at a time.
const PAGES: usize = 16;
/// The count stands in the bits that a page's address has not.
const COUNT: u64 = PAGE_SIZE - 1;

/// Counts by page. One writer at a time. Page 0 stands for errors without an address.
pub(super) struct Counts {
    /// A page's address and its count; 0 is free.
    pages: [AtomicU64; PAGES],
}

/// How many errors a page has had since it is counted; 4095 stands for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    /// Before the last addition.
    before: u32,
    /// With it.
    pub now: u32,
}

impl Counted {
    /// The last addition has brought them to `limit`. Never twice for a page that goes on being counted.
    pub fn has_reached(self, limit: u32) -> bool {
        (self.before + 1..=self.now).contains(&limit)
    }
}

impl Counts {
    constructor! {
        pub fn new() -> Self {
            Self {
                pages: [
                    AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0),
                    AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0),
                    AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0),
                    AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0),
                ],
            }
        }
    }

    /// Adds `errors` to a page. Without room the page with the fewest is forgotten.
    pub fn add(&self, page: Hpa, errors: u32) -> Counted {
        let page = page.page().0;
        let is_it = |word: u64| word & COUNT != 0 && word & !COUNT == page;
        let place = self
            .pages
            .iter()
            .find(|place| is_it(place.load(Ordering::Relaxed)))
            .or_else(|| {
                self.pages
                    .iter()
                    .min_by_key(|place| place.load(Ordering::Relaxed) & COUNT)
            });
        let Some(place) = place else {
            return Counted {
                before: 0,
                now: errors,
            };
        };
        let word = place.load(Ordering::Relaxed);
        let before = if is_it(word) { word & COUNT } else { 0 };
        let count = (before + u64::from(errors)).min(COUNT);
        place.store(page | count, Ordering::Relaxed);
        Counted {
            before: before as u32,
            now: count as u32,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn pages_are_counted_apart() {
        let counts = Counts::new();
        assert_eq!(counts.add(Hpa(0x5123), 1).now, 1);
        assert_eq!(counts.add(Hpa(0x5fff), 2).now, 3);
        assert_eq!(counts.add(Hpa(0), 1).now, 1);
        assert_eq!(counts.add(Hpa(0x5000), 5000).now, 4095);
        assert_eq!(counts.add(Hpa(0), 1).now, 2);
    }

    #[test]
    fn the_page_with_the_fewest_makes_room() {
        let counts = Counts::new();
        for page in 1..=PAGES as u64 {
            counts.add(Hpa(page << 12), if page == 7 { 1 } else { 2 });
        }
        assert_eq!(counts.add(Hpa(0x100_0000), 3).now, 3);
        assert_eq!(counts.add(Hpa(1 << 12), 1).now, 3, "still counted");
        assert_eq!(counts.add(Hpa(7 << 12), 1).now, 1, "forgotten");
    }

    #[test]
    fn a_limit_is_reached_once_however_many_errors_come() {
        for limit in [1, 10, 4094, 4095] {
            for errors in [1, 7, 3000, 0x7fff] {
                let counts = Counts::new();
                let reached = |_: &u32| counts.add(Hpa(0x5000), errors).has_reached(limit);
                assert_eq!((0..9000).filter(reached).count(), 1, "{limit} {errors}");
            }
        }
    }
}
