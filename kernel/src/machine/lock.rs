//! A lock for ordinary context. Whoever holds it is not interrupted by anyone who wants it: NMI and #MC take none, which `cargo boot` checks in
//! the image: it looks for calls of [`take`].

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, Ordering};

/// Waits until it is false, and makes it true. Never inlined, so that whoever takes a lock can be seen in the image.
#[inline(never)]
pub fn take(taken: &AtomicBool) {
    while taken.swap(true, Ordering::Acquire) {
        core::hint::spin_loop();
    }
}

/// A value that one processor at a time touches.
pub struct Lock<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached through a guard, and there is one at a time.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    /// A free lock.
    pub const fn new(value: T) -> Self {
        Self {
            taken: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// Waits for the value.
    pub fn lock(&self) -> Guard<'_, T> {
        take(&self.taken);
        Guard(self)
    }

    /// Frees it, whoever holds it: for a processor's last words, when nothing goes on.
    pub fn break_open(&self) {
        self.taken.store(false, Ordering::Release);
    }
}

/// The right to the value until it is dropped.
pub struct Guard<'a, T>(&'a Lock<T>);

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
        self.0.taken.store(false, Ordering::Release);
    }
}
