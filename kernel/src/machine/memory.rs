//! Physical memory as the hypervisor reaches it: mapped one to one.

use core::cell::UnsafeCell;
use core::slice;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kernel::handover::arena::{Arena, OutOfMemory};
use kernel::handover::layout::{Kind, Layout};
use kernel::mca::Owner;
use kernel::retired::Retired;
use kernel::units::{Hpa, LARGE_PAGE_SIZE, PAGE_SIZE};

use super::lock::Lock;

/// What the entry code maps, and so how far the hypervisor reaches, in bytes.
pub const MAPPED: Hpa = Hpa(4 << 30);

/// Bytes at a physical address, read as a slice.
///
/// # Safety
/// The range is RAM below [`MAPPED`] that nobody writes while the slice lives.
pub unsafe fn bytes(start: Hpa, length: usize) -> &'static [u8] {
    // SAFETY: by the caller; memory is mapped one to one.
    unsafe { slice::from_raw_parts(start.0 as *const u8, length) }
}

static ARENA: Lock<Option<Arena>> = Lock::new(None);

/// The range that is still free, for readers in any context.
static FREE: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

/// Where the arena began: what lies between that and the free range is the hypervisor's.
static ARENA_START: AtomicU64 = AtomicU64::new(0);

static LAYOUT: Once<Layout> = Once::new();

/// Pages that are no guest's and out of use.
static RETIRED: Retired = Retired::new();

/// Gives the hypervisor its memory. Once, by processor 0.
pub fn init(arena: Arena, layout: Layout) {
    ARENA_START.store(arena.bottom().0, Ordering::Release);
    LAYOUT.set(layout);
    FREE[0].store(arena.bottom().0, Ordering::Release);
    FREE[1].store(arena.top().0, Ordering::Release);
    *ARENA.lock() = Some(arena);
}

/// The range that is still free.
pub fn free_range() -> (Hpa, Hpa) {
    let [bottom, top] = FREE.each_ref().map(|end| Hpa(end.load(Ordering::Acquire)));
    (bottom, top)
}

/// Whose a page is that is no guest's, in logarithmic time. In any context.
pub fn owner_of(page: Hpa) -> Owner {
    let arena = ARENA_START.load(Ordering::Acquire)..FREE[0].load(Ordering::Acquire);
    if arena.contains(&page.0) {
        return Owner::Hypervisor;
    }
    match LAYOUT.get().map(|layout| layout.kind_of(page)) {
        Some(Kind::Ram) => Owner::Free,
        Some(Kind::Occupied) => Owner::Hypervisor,
        Some(Kind::Other) | None => Owner::Firmware,
    }
}

/// Pages that are no guest's and out of use.
pub fn retired() -> &'static Retired {
    &RETIRED
}

/// `count` zeroed 4 KiB pages in a row, the caller's for ever.
pub fn pages(count: u64) -> Result<Hpa, OutOfMemory> {
    take(count * PAGE_SIZE, |arena| arena.pages(count))
}

/// `count` zeroed 2 MiB pages in a row, for a guest.
pub fn large_pages(count: u64) -> Result<Hpa, OutOfMemory> {
    take(count * LARGE_PAGE_SIZE, |arena| arena.large_pages(count))
}

fn take(
    size: u64,
    mut cut: impl FnMut(&mut Arena) -> Result<Hpa, OutOfMemory>,
) -> Result<Hpa, OutOfMemory> {
    let mut arena = ARENA.lock();
    let arena = arena.as_mut().ok_or(OutOfMemory)?;
    let mut start = cut(arena)?;
    let is_retired = |start: Hpa| {
        RETIRED
            .runs()
            .any(|(first, pages)| first < start.plus(size) && start < first.plus(pages * PAGE_SIZE))
    };
    while is_retired(start) {
        start = cut(arena)?;
    }
    FREE[0].store(arena.bottom().0, Ordering::Release);
    FREE[1].store(arena.top().0, Ordering::Release);
    // SAFETY: the arena hands out each page once; it is RAM and mapped.
    unsafe { core::ptr::write_bytes(start.0 as *mut u8, 0, size as usize) };
    Ok(start)
}

/// Moves a value to pages of its own, where it stays.
pub fn place<T>(value: T) -> Result<&'static mut T, OutOfMemory> {
    let size = size_of::<T>() as u64;
    let start = pages(size.div_ceil(PAGE_SIZE).max(1))?;
    const { assert!(align_of::<T>() <= PAGE_SIZE as usize) };
    let place = start.0 as *mut T;
    // SAFETY: fresh pages of sufficient size and alignment, given to nobody else.
    unsafe {
        place.write(value);
        Ok(&mut *place)
    }
}

/// A slice of the first `count` of `values`, or of all if there are fewer, in pages of its own, where it stays.
pub fn place_each<T>(
    count: usize,
    values: impl Iterator<Item = T>,
) -> Result<&'static [T], OutOfMemory> {
    const { assert!(align_of::<T>() <= PAGE_SIZE as usize) };
    let size = size_of::<T>() as u64 * count as u64;
    let start = pages(size.div_ceil(PAGE_SIZE))?.0 as *mut T;
    let mut written = 0;
    // SAFETY: fresh pages of sufficient size, given to nobody else; the slice is of those elements that have been written.
    unsafe {
        for value in values.take(count) {
            start.add(written).write(value);
            written += 1;
        }
        Ok(core::slice::from_raw_parts(start, written))
    }
}

/// The ACPI table at an address: its header says how long it is.
pub fn acpi_table(address: Hpa) -> Option<&'static [u8]> {
    const HEADER: u64 = 36;
    const LONGEST: usize = 1 << 20;
    if address.0 == 0 || address.0.checked_add(LONGEST as u64)? > MAPPED.0 {
        return None;
    }
    // SAFETY: below MAPPED; ACPI tables lie in memory that firmware does not write any more.
    unsafe {
        let length = ((address.0 + 4) as *const u32).read_unaligned() as usize;
        (HEADER as usize..=LONGEST)
            .contains(&length)
            .then(|| bytes(address, length))
    }
}

/// A value that is set once, at boot, and then only read.
pub struct Once<T>(UnsafeCell<Option<T>>, AtomicBool);

// SAFETY: written before `set` publishes it, only read after.
unsafe impl<T: Sync> Sync for Once<T> {}

impl<T> Once<T> {
    /// Not set.
    pub const fn new() -> Self {
        Self(UnsafeCell::new(None), AtomicBool::new(false))
    }

    /// Sets it. Once, by processor 0.
    pub fn set(&self, value: T) {
        if !self.1.load(Ordering::Acquire) {
            // SAFETY: not published yet, so nobody reads.
            unsafe { *self.0.get() = Some(value) };
            self.1.store(true, Ordering::Release);
        }
    }

    /// The value, if it has been set.
    pub fn get(&self) -> Option<&T> {
        // SAFETY: published, so nobody writes.
        self.1
            .load(Ordering::Acquire)
            .then(|| unsafe { (*self.0.get()).as_ref() })
            .flatten()
    }
}
