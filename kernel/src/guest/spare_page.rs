//! Whose a spare page is, in one word, so that a page that goes out of use is not handed out at the same time or later.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::units::{Gpa, GuestId};

/// A guest's: its number in bits 7:0, and the page's address there, which leaves them free.
const USED: u64 = 1 << 63;
/// Not yet the guest's: it is being filled.
const RESERVED: u64 = 1 << 61;
/// Out of use: nobody's any more when it is given back.
const OUT_OF_USE: u64 = 1 << 62;

/// Whose one page is. Nobody's in the beginning.
#[derive(Default)]
pub struct SparePage(AtomicU64);

impl SparePage {
    /// The guest that has it, and where. None while it is being filled: what happens to it then does not concern the guest.
    pub fn owner(&self) -> Option<(GuestId, Gpa)> {
        let word = self.0.load(Ordering::Acquire);
        let at = Gpa(word & !(USED | RESERVED | OUT_OF_USE)).page();
        (word & (USED | RESERVED) == USED).then_some((GuestId(word as u8), at))
    }

    /// Reserves it for a guest. False if it is somebody's, or out of use.
    pub fn reserve(&self, guest: GuestId, gpa: Gpa) -> bool {
        let word = USED | RESERVED | gpa.page().0 | u64::from(guest.0);
        self.0
            .compare_exchange(0, word, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Gives it to the guest for which it was reserved. False if it has gone out of use since.
    pub fn give(&self) -> bool {
        let give = |word: u64| (word & OUT_OF_USE == 0).then_some(word & !RESERVED);
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, give)
            .is_ok()
    }

    /// It is no guest's any more, or has not become one's.
    pub fn give_back(&self) {
        self.0.fetch_and(OUT_OF_USE, Ordering::AcqRel);
    }

    /// It is not handed out from now on. In any context.
    pub fn take_out_of_use(&self) {
        self.0.fetch_or(OUT_OF_USE, Ordering::AcqRel);
    }

    /// It may be handed out again.
    pub fn put_back(&self) {
        self.0.fetch_and(!OUT_OF_USE, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUEST: GuestId = GuestId(3);
    const PLACE: Gpa = Gpa(0x7000);

    fn take(page: &SparePage, guest: GuestId, gpa: Gpa) -> bool {
        page.reserve(guest, gpa) && page.give()
    }

    #[test]
    fn a_page_has_one_owner_at_a_time() {
        let page = SparePage::default();
        assert_eq!(page.owner(), None);
        assert!(take(&page, GUEST, PLACE));
        assert_eq!(page.owner(), Some((GUEST, PLACE)));
        assert!(!take(&page, GuestId(1), PLACE));
        page.give_back();
        assert!(take(&page, GuestId(1), PLACE));
    }

    #[test]
    fn a_page_out_of_use_is_not_handed_out_whenever_that_came() {
        let page = SparePage::default();
        page.take_out_of_use();
        assert_eq!(page.owner(), None);
        assert!(!take(&page, GUEST, PLACE));
        page.put_back();
        assert!(take(&page, GUEST, PLACE));
        page.take_out_of_use();
        assert_eq!(page.owner(), Some((GUEST, PLACE)));
        page.give_back();
        assert_eq!(page.owner(), None);
        assert!(!take(&page, GUEST, PLACE));
    }

    #[test]
    fn a_page_that_is_being_filled_is_not_the_guests() {
        let page = SparePage::default();
        assert!(page.reserve(GUEST, PLACE));
        assert_eq!(page.owner(), None);
        page.take_out_of_use();
        assert!(!page.give());
        assert_eq!(page.owner(), None);
        page.give_back();
        assert!(!page.reserve(GUEST, PLACE));
        page.put_back();
        assert!(page.reserve(GUEST, PLACE) && page.give());
        assert_eq!(page.owner(), Some((GUEST, PLACE)));
    }
}
