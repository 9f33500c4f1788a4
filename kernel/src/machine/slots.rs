//! Tables of things that live for ever, filled at boot and read from any context.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// One place for a reference.
pub struct Slot<T: 'static>(AtomicPtr<T>);

impl<T> Slot<T> {
    /// An empty place.
    pub const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// What is there.
    #[inline(always)]
    pub fn get(&self) -> Option<&'static T> {
        // SAFETY: null, or made from a `&'static T`.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// Puts something there, or nothing. Returns what was there.
    pub fn replace(&self, value: Option<&'static T>) -> Option<&'static T> {
        let new = value.map_or(ptr::null_mut(), |value| ptr::from_ref(value).cast_mut());
        // SAFETY: as in `get`.
        unsafe { self.0.swap(new, Ordering::AcqRel).as_ref() }
    }
}

/// A table of `N` places.
pub struct Slots<T: 'static, const N: usize>([Slot<T>; N]);

impl<T, const N: usize> Slots<T, N> {
    /// An empty table.
    pub const fn new() -> Self {
        Self([const { Slot::new() }; N])
    }

    /// What is at `index`.
    #[inline(always)]
    pub fn get(&self, index: usize) -> Option<&'static T> {
        self.0.get(index)?.get()
    }

    /// Puts something at `index`; false beyond the end.
    pub fn set(&self, index: usize, value: &'static T) -> bool {
        let slot = self.0.get(index);
        slot.map(|slot| slot.replace(Some(value))).is_some()
    }

    /// Everything up to the first empty place.
    pub fn iter(&self) -> impl Iterator<Item = &'static T> {
        self.0.iter().map_while(Slot::get)
    }
}
