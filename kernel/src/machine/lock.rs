//! A lock for ordinary context. Whoever holds it is not interrupted by anyone who wants it: NMI and #MC take none, which `cargo boot` checks in
//! the image: it looks for calls of [`take`].

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};

use kernel::turnstile::Turnstile;

/// Waits until nobody else has it, and takes it. Never inlined, so that whoever takes a lock can be seen in the image.
///
/// False if `gives_up` has said so before: whoever waits asks it again and again.
#[inline(never)]
pub fn take(turnstile: &Turnstile, gives_up: &dyn Fn() -> bool) -> bool {
    turnstile.enter(gives_up)
}

/// A value that one processor at a time touches.
pub struct Lock<T> {
    turnstile: Turnstile,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached through a guard, and there is one at a time.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    /// A free lock.
    pub const fn new(value: T) -> Self {
        Self {
            turnstile: Turnstile::new(),
            value: UnsafeCell::new(value),
        }
    }

    /// Waits for the value.
    pub fn lock(&self) -> Guard<'_, T> {
        take(&self.turnstile, &|| false);
        Guard(self)
    }

    /// Waits for the value until `gives_up` says otherwise.
    pub fn lock_unless(&self, gives_up: &dyn Fn() -> bool) -> Option<Guard<'_, T>> {
        // Not `then_some`: there must be no guard, not even for a moment, without the right to it.
        take(&self.turnstile, gives_up).then(|| Guard(self))
    }

    /// Frees it, whoever holds it: for a processor's last words, when nothing goes on.
    pub fn break_open(&self) {
        self.turnstile.leave();
    }
}

/// The right to the value until it is dropped.
pub struct Guard<'a, T>(&'a Lock<T>);

impl<T> Guard<'_, T> {
    /// Another processor waits for the value.
    pub fn is_wanted(&self) -> bool {
        self.0.turnstile.is_wanted()
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is ours.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is ours.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        self.0.turnstile.leave();
    }
}
