//! A value that belongs to one processor.

use core::cell::UnsafeCell;

/// A value that only one processor touches, in ordinary context.
#[repr(transparent)]
pub struct OwnCell<T>(UnsafeCell<T>);

// SAFETY: `borrow`'s contract keeps all but one processor out.
unsafe impl<T: Send> Sync for OwnCell<T> {}

impl<T> OwnCell<T> {
    /// The value before it has found its processor.
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// The value.
    ///
    /// # Safety
    /// The caller runs in ordinary context on the processor that the value belongs to, and no other borrow of it is used again.
    #[allow(clippy::mut_from_ref)] // that is what the contract is for
    #[inline(always)]
    pub unsafe fn borrow(&self) -> &mut T {
        // SAFETY: by the caller.
        unsafe { &mut *self.0.get() }
    }
}
