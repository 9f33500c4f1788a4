//! The entry of a 4 KiB page in a guest's EPT (SDM vol. 3, 29.3.2): where the page lies, and whether it is there, in one word, so that an
//! #MC that takes it out of use is seen by whoever was about to map it.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::units::Hpa;

/// Access by reads, writes and instruction fetches.
pub const READ_WRITE_EXECUTE: u64 = 7;
/// Memory type.
pub const WRITE_BACK: u64 = 6 << 3;
/// The address in an entry.
pub const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Out of use: a bit that the processor ignores.
const OUT_OF_USE: u64 = 1 << 52;

/// The entry of one page. All zero it is absent, at address 0.
#[repr(transparent)]
pub struct PageEntry(AtomicU64);

impl PageEntry {
    /// Maps the page at `to`, before the guest runs.
    pub fn fill(&self, to: Hpa) {
        self.0
            .store(to.0 | WRITE_BACK | READ_WRITE_EXECUTE, Ordering::Relaxed);
    }

    /// Where the page lies, whether it is there or not.
    #[inline(always)]
    pub fn address(&self) -> Hpa {
        Hpa(self.0.load(Ordering::Acquire) & ADDRESS)
    }

    /// The page is out of use.
    #[inline(always)]
    pub fn is_out_of_use(&self) -> bool {
        self.0.load(Ordering::Acquire) & OUT_OF_USE != 0
    }

    /// Takes the page out of use. In any context. True if it was in use.
    #[inline(always)]
    pub fn take_out_of_use(&self) -> bool {
        let before = self.change(|word| (word | OUT_OF_USE) & !READ_WRITE_EXECUTE);
        before & OUT_OF_USE == 0
    }

    /// Maps the page again that was out of use. False if it was in use.
    pub fn put_back(&self) -> bool {
        let before = self.change(|word| {
            if word & OUT_OF_USE == 0 {
                word
            } else {
                word & !OUT_OF_USE | READ_WRITE_EXECUTE
            }
        });
        before & OUT_OF_USE != 0
    }

    /// Makes the page absent for a while.
    pub fn hide(&self) {
        self.0.fetch_and(!READ_WRITE_EXECUTE, Ordering::SeqCst);
    }

    /// Maps the page at `to`; one that is out of use stays absent.
    pub fn map(&self, to: Hpa) {
        self.change(|word| {
            let rest = match word & OUT_OF_USE {
                0 => READ_WRITE_EXECUTE,
                out_of_use => out_of_use,
            };
            to.0 | WRITE_BACK | rest
        });
    }

    /// One change, seen whole or not at all. Returns what was there before.
    #[inline(always)]
    fn change(&self, to: impl Fn(u64) -> u64) -> u64 {
        let mut before = self.0.load(Ordering::Relaxed);
        loop {
            let try_it =
                self.0
                    .compare_exchange(before, to(before), Ordering::SeqCst, Ordering::Relaxed);
            match try_it {
                Ok(before) => return before,
                Err(now) => before = now,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> PageEntry {
        let entry = PageEntry(AtomicU64::new(0));
        entry.fill(Hpa(0x5000));
        entry
    }

    fn word(entry: &PageEntry) -> u64 {
        entry.0.load(Ordering::Relaxed)
    }

    #[test]
    fn a_page_that_goes_out_of_use_while_it_moves_is_not_shown() {
        let entry = entry();
        entry.hide();
        assert!(entry.take_out_of_use());
        entry.map(Hpa(0x9000));
        assert_eq!(word(&entry) & READ_WRITE_EXECUTE, 0);
        assert!(entry.is_out_of_use() && entry.address() == Hpa(0x9000));
        assert!(!entry.take_out_of_use());
    }

    #[test]
    fn a_page_that_stays_in_use_is_shown_where_it_went() {
        let entry = entry();
        entry.hide();
        assert_eq!(word(&entry), 0x5000 | WRITE_BACK);
        entry.map(Hpa(0x9000));
        assert_eq!(word(&entry), 0x9000 | WRITE_BACK | READ_WRITE_EXECUTE);
    }

    #[test]
    fn a_page_is_put_back_once() {
        let entry = entry();
        let before = word(&entry);
        assert!(!entry.put_back());
        assert!(entry.take_out_of_use());
        assert!(entry.put_back());
        assert_eq!(word(&entry), before);
        assert!(!entry.put_back());
    }
}
