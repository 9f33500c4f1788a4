//! A guest's memory: one range of host memory, mapped by EPT in 2 MiB pages, or in 4 KiB pages where one of them is out of use
//! (SDM vol. 3, 29.3).
//!
//! The 4 KiB tables were filled in at boot, one for each 2 MiB page. So a page is taken out of use, in #MC context, by two
//! stores: its 4 KiB entry, and the 2 MiB entry, which points to the table from then on. Nothing is left for later,
//! and a page costs the same whether it is the first of its 2 MiB or not.

use core::sync::atomic::{AtomicU64, Ordering};

use kernel::guest::page_entry::{ADDRESS, PageEntry, READ_WRITE_EXECUTE, WRITE_BACK};
use kernel::handover::arena::OutOfMemory;
use kernel::mca::Kept;
use kernel::units::{Gpa, Hpa, LARGE_PAGE_SIZE, PAGE_SIZE};

use crate::machine::guest_copy::{self, Raise, Unreadable};
use crate::machine::lock::Lock;
use crate::machine::memory;

const LARGE: u64 = 1 << 7;
const ENTRIES: u64 = 512;
/// EPTP: four levels, write-back tables.
const EPTP: u64 = 3 << 3 | 6;

/// A guest's memory.
pub struct GuestMemory {
    base: Hpa,
    /// Bytes, a multiple of 2 MiB.
    size: u64,
    root: Hpa,
    /// An entry for each 2 MiB.
    directory: &'static [AtomicU64],
    /// An entry for each 4 KiB: absent if it is out of use, with its address all the same. The processor looks at a table once a page
    /// of its 2 MiB has been out of use.
    tables: &'static [PageEntry],
    /// Held while a page moves, by whoever moves it, and by those who wait for that because their guest touches it.
    moving: Lock<()>,
}

/// What an EPT violation turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The page is in use (by now): the guest tries again.
    InUse,
    /// The page is out of use.
    Retired,
    /// No memory of this guest.
    Outside,
}

impl GuestMemory {
    /// `size` bytes (a multiple of 2 MiB) of zeroed memory from guest-physical 0 on.
    pub fn create(size: u64) -> Result<Self, OutOfMemory> {
        let large_pages = size / LARGE_PAGE_SIZE;
        let base = memory::large_pages(large_pages)?;
        let directories = large_pages.div_ceil(ENTRIES);
        let directory: &[AtomicU64] = entries(directories)?;
        let tables: &[PageEntry] = entries(large_pages)?;
        let root: &[AtomicU64] = entries(2)?;
        let (root, pointers) = root.split_at(ENTRIES as usize);
        root[0].store(address(pointers) | READ_WRITE_EXECUTE, Ordering::Relaxed);
        for (pointer, index) in pointers.iter().zip(0..directories) {
            let directory = address(directory) + index * PAGE_SIZE;
            pointer.store(directory | READ_WRITE_EXECUTE, Ordering::Relaxed);
        }
        for (entry, index) in directory.iter().zip(0..large_pages) {
            let page = base.0 + index * LARGE_PAGE_SIZE;
            entry.store(
                page | LARGE | WRITE_BACK | READ_WRITE_EXECUTE,
                Ordering::Relaxed,
            );
        }
        for (entry, index) in tables.iter().zip(0..size / PAGE_SIZE) {
            let page = base.0 + index * PAGE_SIZE;
            entry.fill(Hpa(page));
        }
        Ok(Self {
            base,
            size,
            root: Hpa(address(root)),
            directory,
            tables,
            moving: Lock::new(()),
        })
    }

    /// The EPT pointer for the VMCS.
    pub fn eptp(&self) -> u64 {
        self.root.0 | EPTP
    }

    /// Number of the first 2 MiB page of the host's memory that it has, and how many there are.
    pub fn large_pages(&self) -> (usize, usize) {
        let number = |bytes: u64| (bytes / LARGE_PAGE_SIZE) as usize;
        (number(self.base.0), number(self.size))
    }

    /// Host address of a guest address, whether in use or not.
    pub fn host_address(&self, address: Gpa) -> Option<Hpa> {
        let page = self.page_of(address)?;
        Some(page.plus(address.0 - address.page().0))
    }

    /// Where a page lies, whether it is in use or not.
    fn page_of(&self, address: Gpa) -> Option<Hpa> {
        self.entry(address).map(PageEntry::address)
    }

    /// The entry of a page; none outside the memory.
    #[inline(always)]
    fn entry(&self, address: Gpa) -> Option<&PageEntry> {
        let entry = self.tables.get((address.0 / PAGE_SIZE) as usize)?;
        (address.0 < self.size).then_some(entry)
    }

    /// The page would lie there if it had never been replaced.
    #[inline(always)]
    pub fn is_at_home(&self, address: Gpa, page: Hpa) -> bool {
        page.0.wrapping_sub(self.base.0) == address.0
    }

    /// Guest address of a page of the host's memory; none for one that is not, or not any more, the guest's.
    #[inline(always)]
    pub fn guest_address(&self, page: Hpa) -> Option<Gpa> {
        let gpa = Gpa(page.0.checked_sub(self.base.0)?);
        (self.page_of(gpa) == Some(page)).then_some(gpa)
    }

    /// Everything, before the guest runs.
    pub fn contents(&mut self) -> &mut [u8] {
        // SAFETY: the range is this guest's alone and mapped; whoever has `self` to himself has not yet shown it to a processor.
        unsafe { core::slice::from_raw_parts_mut(self.base.0 as *mut u8, self.size as usize) }
    }

    /// Reads 8 aligned bytes of a guest that may be running. None outside its memory, and in a page that is out of use: the guest
    /// knows which those are, and must not have the hypervisor touch them for it.
    pub fn read_u64(&self, at: Gpa) -> Option<u64> {
        if self.entry(at)?.is_out_of_use() {
            return None;
        }
        if !at.0.is_multiple_of(8) {
            return None;
        }
        let mut bytes = [0; 8];
        let from = self.page_of(at)?.plus(at.0 - at.page().0);
        guest_copy::copy(from, &mut bytes, Raise::Nothing).ok()?;
        Some(u64::from_le_bytes(bytes))
    }

    /// Copies `to.len()` bytes out of the memory of a guest that may be running.
    pub fn read(&self, at: Gpa, to: &mut [u8], raise: Raise) -> Result<(), Unreadable> {
        let mut at = at;
        let mut rest = to;
        while !rest.is_empty() {
            if self.entry(at).ok_or(Unreadable)?.is_out_of_use() {
                return Err(Unreadable);
            }
            let within = at.0 - at.page().0;
            let length = rest.len().min((PAGE_SIZE - within) as usize);
            let (now, later) = rest.split_at_mut_checked(length).ok_or(Unreadable)?;
            let from = self.page_of(at).ok_or(Unreadable)?.plus(within);
            guest_copy::copy(from, now, raise)?;
            at = at.plus(length as u64);
            rest = later;
        }
        Ok(())
    }

    /// Copies `from` to the memory of a guest that may be running. In ordinary context. After an error part of it may be there.
    pub fn write(&self, at: Gpa, from: &[u8], raise: Raise) -> Result<(), Unreadable> {
        // What is written to a page on its way to another place would be lost.
        let _still = self.moving.lock();
        let mut at = at;
        let mut rest = from;
        while !rest.is_empty() {
            let entry = self.entry(at).ok_or(Unreadable)?;
            if entry.is_out_of_use() {
                return Err(Unreadable);
            }
            let within = at.0 - at.page().0;
            let length = rest.len().min((PAGE_SIZE - within) as usize);
            let (now, later) = rest.split_at_checked(length).ok_or(Unreadable)?;
            guest_copy::copy_into(now, entry.address().plus(within), raise)?;
            at = at.plus(length as u64);
            rest = later;
        }
        Ok(())
    }

    /// Takes a page out of use. In #MC context. True if it was in use until now. Until a processor has flushed its translations
    /// it may go on with either mapping.
    #[inline(always)]
    pub fn retire(&self, page: Gpa) -> bool {
        let large_page = page.0 / LARGE_PAGE_SIZE;
        let (Some(entry), Some(large)) =
            (self.entry(page), self.directory.get(large_page as usize))
        else {
            return false;
        };
        // In this order: whoever finds the table finds the page absent in it.
        let was_in_use = entry.take_out_of_use();
        let table = address(self.tables) + large_page * PAGE_SIZE;
        large.store(table | READ_WRITE_EXECUTE, Ordering::Release);
        was_in_use
    }

    /// Puts a page back into use that was out of it. In ordinary context. False if it was in use.
    pub fn put_back(&self, page: Gpa) -> bool {
        let _still = self.moving.lock();
        self.entry(page).is_some_and(PageEntry::put_back)
    }

    /// Puts another page in the place of one, with the same content, while the guest runs: its processors that touch it meanwhile
    /// wait. In ordinary context. `flush` has every processor flush its translations, and says whether all have. `give` makes
    /// the other page, which is filled, the guest's; false if it has failed meanwhile.
    ///
    /// # Errors
    /// Why the page stays where it is.
    pub fn replace(
        &self,
        page: Gpa,
        by: Hpa,
        flush: impl FnOnce() -> bool,
        give: impl FnOnce() -> bool,
    ) -> Result<(), Kept> {
        let _moves = self.moving.lock();
        let (Some(entry), Some(large)) = (
            self.entry(page),
            self.directory.get((page.0 / LARGE_PAGE_SIZE) as usize),
        ) else {
            return Err(Kept::OutOfUse);
        };
        let table = address(self.tables) + page.0 / LARGE_PAGE_SIZE * PAGE_SIZE;
        let flush = || {
            large.store(table | READ_WRITE_EXECUTE, Ordering::SeqCst);
            flush()
        };
        entry.replace(by, flush, |from| {
            guest_copy::copy_page(from, by).map_err(|Unreadable| Kept::Unreadable)?;
            give().then_some(()).ok_or(Kept::NoSpare)
        })
    }

    /// Start and number of pages of each run that is out of use.
    pub fn retired_runs(&self) -> impl Iterator<Item = (Gpa, u64)> + '_ {
        let is_retired = |number: u64| {
            self.entry(Gpa(number * PAGE_SIZE))
                .is_some_and(PageEntry::is_out_of_use)
        };
        let mut next = 0;
        core::iter::from_fn(move || {
            let pages = self.size / PAGE_SIZE;
            let first = (next..pages).find(|&number| is_retired(number))?;
            let end = (first..pages).find(|&number| !is_retired(number));
            next = end.unwrap_or(pages);
            Some((Gpa(first * PAGE_SIZE), next - first))
        })
    }

    /// Makes a page that is in use absent until [`GuestMemory::show`]. The injector asks; ordinary context.
    #[cfg(feature = "faults")]
    pub fn hide(&self, page: Gpa) -> bool {
        let _still = self.moving.lock();
        let large_page = page.0 / LARGE_PAGE_SIZE;
        let (Some(entry), Some(large)) =
            (self.entry(page), self.directory.get(large_page as usize))
        else {
            return false;
        };
        entry.hide();
        let table = address(self.tables) + large_page * PAGE_SIZE;
        large.store(table | READ_WRITE_EXECUTE, Ordering::SeqCst);
        true
    }

    /// Maps a hidden page again, unless it has gone out of use meanwhile.
    #[cfg(feature = "faults")]
    pub fn show(&self, page: Gpa) {
        let _still = self.moving.lock();
        if let Some(entry) = self.entry(page) {
            entry.map(entry.address());
        }
    }

    /// Answers an EPT violation.
    pub fn violation(&self, at: Gpa) -> Violation {
        let Some(entry) = self.entry(at) else {
            return Violation::Outside;
        };
        // A page on its way to another place is absent until it is there.
        drop(self.moving.lock());
        if entry.is_out_of_use() {
            Violation::Retired
        } else {
            Violation::InUse
        }
    }
}

fn entries<T>(pages: u64) -> Result<&'static [T], OutOfMemory> {
    const { assert!(size_of::<T>() == size_of::<AtomicU64>()) }
    let start = memory::pages(pages)?;
    // SAFETY: fresh zeroed pages, ours for ever; both kinds of entry are an AtomicU64, which has the layout of u64.
    Ok(unsafe { core::slice::from_raw_parts(start.0 as *const T, (pages * ENTRIES) as usize) })
}

fn address<T>(table: &[T]) -> u64 {
    table.as_ptr() as u64 & ADDRESS
}
