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

    /// Adds `errors` to a page. Returns how many it has had since it is counted (4095 stands for more). Without room the page
    /// with the fewest is forgotten.
    pub fn add(&self, page: Hpa, errors: u32) -> u32 {
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
        let Some(place) = place else { return errors };
        let word = place.load(Ordering::Relaxed);
        let before = if is_it(word) { word & COUNT } else { 0 };
        let count = (before + u64::from(errors)).min(COUNT);
        place.store(page | count, Ordering::Relaxed);
        count as u32
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn pages_are_counted_apart() {
        let counts = Counts::new();
        assert_eq!(counts.add(Hpa(0x5123), 1), 1);
        assert_eq!(counts.add(Hpa(0x5fff), 2), 3);
        assert_eq!(counts.add(Hpa(0), 1), 1);
        assert_eq!(counts.add(Hpa(0x5000), 5000), 4095);
        assert_eq!(counts.add(Hpa(0), 1), 2);
    }

    #[test]
    fn the_page_with_the_fewest_makes_room() {
        let counts = Counts::new();
        for page in 1..=PAGES as u64 {
            counts.add(Hpa(page << 12), if page == 7 { 1 } else { 2 });
        }
        assert_eq!(counts.add(Hpa(0x100_0000), 3), 3);
        assert_eq!(counts.add(Hpa(1 << 12), 1), 3, "still counted");
        assert_eq!(counts.add(Hpa(7 << 12), 1), 1, "forgotten");
    }
}
