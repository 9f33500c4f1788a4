//! Pages without a guest that are out of use: runs of them, written in any context.
//!
//! A guest's pages have a bit each in their EPT entries; this is the list for all others.

use crate::sync::{AtomicU64, Ordering};
use crate::units::{Hpa, PAGE_SIZE};

/// Runs that are kept.
const RUNS: usize = 128;

struct Run {
    /// Start of the first page; 0 where there is none (page 0 is never anybody's).
    start: AtomicU64,
    pages: AtomicU64,
}

/// The list. One writer at a time but for an #MC, which may come in the middle of a write and write too.
pub struct Retired {
    runs: [Run; RUNS],
    /// Pages that found no room.
    unlisted: AtomicU64,
    /// The page that is being removed, or 0: its run is changing.
    leaving: AtomicU64,
}

impl Retired {
    /// Nothing is out of use.
    pub const fn new() -> Self {
        Self {
            runs: [const {
                Run {
                    start: AtomicU64::new(0),
                    pages: AtomicU64::new(0),
                }
            }; RUNS],
            unlisted: AtomicU64::new(0),
            leaving: AtomicU64::new(0),
        }
    }

    /// Adds a page. Returns whether that is new.
    pub fn add(&self, page: Hpa) -> bool {
        let leaving = self.leaving.load(Ordering::SeqCst);
        if leaving != page.0 && self.holds(page) {
            return false;
        }
        // What is added to a run that is changing would be lost with the change.
        let before =
            |(start, pages): (u64, u64)| leaving == 0 && start + pages * PAGE_SIZE == page.0;
        if let Some(run) = self.runs.iter().find(|run| run.get().is_some_and(before)) {
            run.pages.fetch_add(1, Ordering::AcqRel);
            return true;
        }
        if !self.add_run(page.0, 1) {
            self.unlisted.fetch_add(1, Ordering::Relaxed);
        }
        true
    }

    /// Takes a page from the list. False if it is not there, or there is no room for what is left of its run.
    pub fn remove(&self, page: Hpa) -> bool {
        self.remove_while(page, || {})
    }

    /// As [`Retired::remove`]; an #MC in the middle does `meanwhile`.
    fn remove_while(&self, page: Hpa, meanwhile: impl FnOnce()) -> bool {
        self.leaving.store(page.0, Ordering::SeqCst);
        let was_there = self.take_out(page, meanwhile);
        self.leaving.store(0, Ordering::SeqCst);
        was_there
    }

    fn take_out(&self, page: Hpa, meanwhile: impl FnOnce()) -> bool {
        let Some(run) = self.runs.iter().find(|run| run.holds(page)) else {
            return false;
        };
        let Some((start, pages)) = run.get() else {
            return false;
        };
        let ahead = (page.0 - start) / PAGE_SIZE;
        let behind = pages - ahead - 1;
        meanwhile();
        if ahead != 0 && behind != 0 && !self.add_run(page.0 + PAGE_SIZE, behind) {
            return false;
        }
        match (ahead, behind) {
            (0, 0) => run.start.store(0, Ordering::Release),
            (0, behind) => {
                run.pages.store(behind, Ordering::Release);
                run.start.store(page.0 + PAGE_SIZE, Ordering::Release);
            }
            (ahead, _) => run.pages.store(ahead, Ordering::Release),
        }
        true
    }

    /// The page is on the list.
    pub fn holds(&self, page: Hpa) -> bool {
        self.runs.iter().any(|run| run.holds(page))
    }

    /// Start and number of pages of each run.
    pub fn runs(&self) -> impl Iterator<Item = (Hpa, u64)> + '_ {
        self.runs
            .iter()
            .filter_map(Run::get)
            .map(|(start, pages)| (Hpa(start), pages))
    }

    /// How many pages found no room in the list.
    pub fn unlisted(&self) -> u64 {
        self.unlisted.load(Ordering::Relaxed)
    }

    fn add_run(&self, start: u64, pages: u64) -> bool {
        let take = |run: &&Run| {
            run.start
                .compare_exchange(0, start, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        };
        match self.runs.iter().find(take) {
            Some(run) => {
                run.pages.store(pages, Ordering::Release);
                true
            }
            None => false,
        }
    }
}

impl Default for Retired {
    fn default() -> Self {
        Self::new()
    }
}

impl Run {
    fn get(&self) -> Option<(u64, u64)> {
        let start = self.start.load(Ordering::Acquire);
        (start != 0).then(|| (start, self.pages.load(Ordering::Acquire)))
    }

    fn holds(&self, page: Hpa) -> bool {
        self.get()
            .is_some_and(|(start, pages)| (start..start + pages * PAGE_SIZE).contains(&page.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(retired: &Retired) -> Vec<(u64, u64)> {
        retired
            .runs()
            .map(|(start, pages)| (start.0, pages))
            .collect()
    }

    #[test]
    fn pages_side_by_side_are_one_run() {
        let retired = Retired::new();
        assert!(retired.add(Hpa(0x5000)));
        assert!(retired.add(Hpa(0x6000)));
        assert!(!retired.add(Hpa(0x5000)));
        assert!(retired.add(Hpa(0x9000)));
        assert_eq!(runs(&retired), [(0x5000, 2), (0x9000, 1)]);
        assert!(retired.holds(Hpa(0x6000)) && !retired.holds(Hpa(0x7000)));
    }

    #[test]
    fn a_page_that_is_removed_is_gone_and_its_neighbours_stay() {
        let retired = Retired::new();
        (5..10).for_each(|page| assert!(retired.add(Hpa(page << 12))));
        assert!(retired.remove(Hpa(0x7000)));
        assert!(!retired.remove(Hpa(0x7000)));
        assert_eq!(runs(&retired), [(0x5000, 2), (0x8000, 2)]);
        assert!(retired.remove(Hpa(0x5000)) && retired.remove(Hpa(0x9000)));
        assert_eq!(runs(&retired), [(0x6000, 1), (0x8000, 1)]);
        assert!(retired.remove(Hpa(0x6000)) && retired.remove(Hpa(0x8000)));
        assert_eq!(runs(&retired), []);
    }

    #[test]
    fn a_page_that_is_added_while_another_one_is_removed_stays() {
        // Behind the run that changes, in whose middle or at whose end the other one is, and that page itself.
        for (removed, added) in [(5, 8), (6, 8), (7, 8), (7, 7), (5, 5)] {
            let retired = Retired::new();
            (5..8).for_each(|page| assert!(retired.add(Hpa(page << 12))));
            let add = || assert!(retired.add(Hpa(added << 12)));
            assert!(retired.remove_while(Hpa(removed << 12), add));
            assert!(retired.holds(Hpa(added << 12)), "{removed} {added}");
            assert_eq!(retired.holds(Hpa(removed << 12)), removed == added);
        }
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let retired = Retired::new();
        for page in 1..=RUNS as u64 + 3 {
            assert!(retired.add(Hpa(page << 13)));
        }
        assert_eq!((retired.runs().count(), retired.unlisted()), (RUNS, 3));
    }
}
