//! A lock for ordinary context. Whoever holds it is not interrupted by anyone who wants it: NMI and #MC take none, which `cargo boot` checks in
//! the image: it looks for calls of [`take`].

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU32, Ordering};

/// Who comes first goes first: one that takes a lock again and again, as for the log, keeps nobody out.
pub struct Queue {
    next: AtomicU32,
    served: AtomicU32,
}

impl Queue {
    /// Nobody waits, and nobody has it.
    pub const fn new() -> Self {
        Self {
            next: AtomicU32::new(0),
            served: AtomicU32::new(0),
        }
    }

    /// The turn of the next one, from whoever had its turn.
    pub fn pass_on(&self) {
        self.served.fetch_add(1, Ordering::Release);
    }

    /// Takes it if nobody has it.
    pub fn try_take(&self) -> bool {
        let own = self.served.load(Ordering::Acquire);
        let after = own.wrapping_add(1);
        let taken = (self.next).compare_exchange(own, after, Ordering::Acquire, Ordering::Relaxed);
        taken.is_ok()
    }

    /// Frees it, whoever has it or waits, when nothing goes on. Returns whether somebody had it.
    pub fn break_open(&self) -> bool {
        let next = self.next.load(Ordering::Relaxed);
        self.served.swap(next, Ordering::AcqRel) != next
    }
}

/// Waits for its turn. Never inlined, so that whoever takes a lock can be seen in the image.
#[inline(never)]
pub fn take(queue: &Queue) {
    let own = queue.next.fetch_add(1, Ordering::Relaxed);
    while queue.served.load(Ordering::Acquire) != own {
        core::hint::spin_loop();
    }
}

/// A value that one processor at a time touches.
pub struct Lock<T> {
    queue: Queue,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached through a guard, and there is one at a time.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    /// A free lock.
    pub const fn new(value: T) -> Self {
        Self {
            queue: Queue::new(),
            value: UnsafeCell::new(value),
        }
    }

    /// Waits for the value.
    pub fn lock(&self) -> Guard<'_, T> {
        take(&self.queue);
        Guard(self)
    }

    /// The value, if nobody has it.
    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        self.queue.try_take().then(|| Guard(self))
    }

    /// Frees it, whoever holds it or waits: for a processor's last words, when nothing goes on.
    pub fn break_open(&self) {
        self.queue.break_open();
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
        self.0.queue.pass_on();
    }
}
