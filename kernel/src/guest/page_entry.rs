//! The entry of a 4 KiB page in a guest's EPT (SDM vol. 3, 29.3.2): where the page lies, and whether it is there, in one word, so that an
//! #MC that takes it out of use is seen by whoever was about to map it.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::mc::machine::Kept;
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

    /// Puts another page in the place of this one, while the guest runs: its processors that touch it meanwhile wait. In ordinary context, by one
    /// processor at a time. `flush` has every processor flush its translations, and says whether all have; `copy` fills the other page, from where this
    /// one lies, and hands it over.
    ///
    /// # Errors
    /// Why the page stays where it is.
    pub fn replace(
        &self,
        by: Hpa,
        flush: impl FnOnce() -> bool,
        copy: impl FnOnce(Hpa) -> Result<(), Kept>,
    ) -> Result<(), Kept> {
        let old = self.address();
        if self.is_out_of_use() {
            return Err(Kept::OutOfUse);
        }
        self.hide();
        let moved = if !flush() {
            // Somebody may still write to it.
            Err(Kept::Unflushed)
        } else if self.is_out_of_use() {
            // It has failed for good meanwhile: nobody must read it.
            Err(Kept::OutOfUse)
        } else {
            // Nobody changes the page now. An error that is met there takes it out of use.
            copy(old)
        };
        self.map(if moved.is_ok() { by } else { old });
        moved
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
    fn a_page_is_replaced_when_nobody_can_change_it_any_more() {
        let is_hidden = |entry: &PageEntry| word(entry) & READ_WRITE_EXECUTE == 0;
        let filled = |entry: &PageEntry| word(entry) & !ADDRESS == WRITE_BACK | READ_WRITE_EXECUTE;
        let page = entry();
        let flush = || {
            assert!(is_hidden(&page));
            true
        };
        let copy = |from| {
            assert!(is_hidden(&page) && from == Hpa(0x5000));
            Ok(())
        };
        assert_eq!(page.replace(Hpa(0x9000), flush, copy), Ok(()));
        assert!(filled(&page) && page.address() == Hpa(0x9000));

        // A processor has not flushed: it may be writing to the page.
        let page = entry();
        let moved = page.replace(Hpa(0x9000), || false, |_| panic!("it is not copied"));
        assert_eq!(moved, Err(Kept::Unflushed));
        assert!(filled(&page) && page.address() == Hpa(0x5000));

        let unreadable = |_| Err(Kept::Unreadable);
        let moved = page.replace(Hpa(0x9000), || true, unreadable);
        assert_eq!(moved, Err(Kept::Unreadable));
        assert!(filled(&page) && page.address() == Hpa(0x5000));

        // An error comes while all flush, and then there is nothing to replace.
        let fails = || page.take_out_of_use();
        let moved = page.replace(Hpa(0x9000), fails, |_| panic!("nobody reads it"));
        assert_eq!(moved, Err(Kept::OutOfUse));
        let moved = page.replace(Hpa(0x9000), || panic!("nobody flushes"), |_| Ok(()));
        assert_eq!(moved, Err(Kept::OutOfUse));
        assert!(is_hidden(&page) && page.address() == Hpa(0x5000));
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
