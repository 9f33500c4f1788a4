//! A value that belongs to one processor.

use core::cell::UnsafeCell;

/// A value that only one processor at a time touches, in ordinary context. Another one begins when it has seen that the one before has given it up.
#[repr(transparent)]
pub struct OwnCell<T>(UnsafeCell<T>);

// SAFETY: `borrow`'s contract keeps all but one processor out, and has the next one see what the one before has written.
unsafe impl<T: Send> Sync for OwnCell<T> {}

impl<T> OwnCell<T> {
    /// The value before it has found its processor.
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// The value.
    ///
    /// # Safety
    /// The caller runs in ordinary context on the processor that the value belongs to, and no other borrow of it is used again. If it was another processor's
    /// before, that one has given it up (release), and this one has seen that (acquire).
    #[allow(clippy::mut_from_ref)] // that is what the contract is for
    #[inline(always)]
    pub unsafe fn borrow(&self) -> &mut T {
        // SAFETY: by the caller.
        unsafe { &mut *self.0.get() }
    }
}
