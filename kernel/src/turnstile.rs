//! One processor at a time, and who waits can leave: what a lock of ordinary context is made of.
//!
//! Whoever is inside can see that somebody waits, and step out between two pieces of its work. Who has been waiting then goes first: without
//! that, the one that has just stepped out would be back before the other one has noticed.

use crate::sync::{AtomicBool, AtomicU32, Ordering, constructor, spin_loop};

/// For how many looks one that comes, and finds somebody waiting, lets that one go first: it may be away in a machine check.
const COURTESY: u32 = if cfg!(loom) { 1 } else { 1000 };

/// Lets one processor in at a time.
pub struct Turnstile {
    taken: AtomicBool,
    waiting: AtomicU32,
}

impl Turnstile {
    constructor! {
        /// Nobody is inside.
        pub fn new() -> Self {
            Self { taken: AtomicBool::new(false), waiting: AtomicU32::new(0) }
        }
    }

    /// Goes in, when nobody else is inside. False if `gives_up` has said so while there was somebody: it is asked again and again.
    #[inline(always)]
    pub fn enter(&self, gives_up: impl Fn() -> bool) -> bool {
        (self.waiting.load(Ordering::Relaxed) == 0 && self.try_enter()) || self.wait(gives_up)
    }

    /// Comes out.
    #[inline(always)]
    pub fn leave(&self) {
        self.taken.store(false, Ordering::Release);
    }

    /// Somebody wants to go in.
    #[inline(always)]
    pub fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) != 0
    }

    /// Whether somebody was inside, who does not come out any more: the caller is, from now on.
    pub fn take_over(&self) -> bool {
        self.taken.swap(true, Ordering::Acquire)
    }

    #[inline(always)]
    fn try_enter(&self) -> bool {
        self.taken
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    #[cold]
    fn wait(&self, gives_up: impl Fn() -> bool) -> bool {
        for _ in 0..COURTESY {
            if !self.is_wanted() || self.taken.load(Ordering::Relaxed) {
                break;
            }
            if gives_up() {
                return false;
            }
            spin_loop();
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let entered = loop {
            if !self.taken.load(Ordering::Relaxed) && self.try_enter() {
                break true;
            }
            if gives_up() {
                break false;
            }
            spin_loop();
        };
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        entered
    }
}

impl Default for Turnstile {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn who_waits_leaves_when_something_comes_up() {
        let turnstile = Turnstile::new();
        assert!(turnstile.enter(|| true), "free: nothing is asked");
        let looks = Cell::new(0);
        let comes_up = || {
            looks.set(looks.get() + 1);
            assert!(turnstile.is_wanted());
            looks.get() == 3
        };
        assert!(!turnstile.enter(comes_up));
        assert_eq!(looks.get(), 3);
        assert!(!turnstile.is_wanted(), "it does not wait any more");
        turnstile.leave();
        assert!(turnstile.enter(|| false), "and has left it as it was");
    }

    /// One that has just come out lets in who waits, and comes after.
    #[test]
    fn who_waits_goes_before_who_comes_back() {
        let turnstile = Turnstile::new();
        turnstile.waiting.store(1, Ordering::Relaxed);
        let looks = Cell::new(0);
        let the_other_one = || {
            looks.set(looks.get() + 1);
            match looks.get() {
                3 => {
                    assert!(turnstile.try_enter(), "nobody is before the other one");
                    turnstile.waiting.fetch_sub(1, Ordering::Relaxed);
                }
                6 => turnstile.leave(),
                _ => {}
            }
            false
        };
        assert!(turnstile.enter(the_other_one));
        assert_eq!(looks.get(), 6);
        assert!(!turnstile.is_wanted());
    }

    /// One that waits, and is away, keeps nobody out.
    #[test]
    fn nobody_waits_for_who_is_away() {
        let turnstile = Turnstile::new();
        turnstile.waiting.store(1, Ordering::Relaxed);
        let looks = Cell::new(0);
        let count = || {
            looks.set(looks.get() + 1);
            false
        };
        assert!(turnstile.enter(count));
        assert_eq!(looks.get(), COURTESY);
    }
}
