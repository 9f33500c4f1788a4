//! A guest's memory: one range of host memory, mapped by EPT in 2 MiB pages, or in 4 KiB pages where one of them is out of use
//! (SDM vol. 3, 29.3).
//!
//! The 4 KiB tables were filled in at boot, one for each 2 MiB page. So a page is taken out of use, in #MC context, by three
//! stores: its bit, its 4 KiB entry, and the 2 MiB entry, which points to the table from then on. Nothing is left for later,
//! and a page costs the same whether it is the first of its 2 MiB or not.

use core::sync::atomic::{AtomicU64, Ordering};

use kernel::handover::arena::OutOfMemory;
use kernel::units::{Gpa, Hpa, LARGE_PAGE_SIZE, PAGE_SIZE};

use crate::machine::memory;

const READ_WRITE_EXECUTE: u64 = 7;
const WRITE_BACK: u64 = 6 << 3;
const LARGE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
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
    /// An entry for each 4 KiB: absent if it is out of use. The processor looks at a table once a page of its 2 MiB has been.
    tables: &'static [AtomicU64],
    /// A bit for each 4 KiB: out of use.
    retired: &'static [AtomicU64],
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
        let directory = entries(directories)?;
        let tables = entries(large_pages)?;
        let retired = entries(size.div_ceil(PAGE_SIZE * 64).div_ceil(ENTRIES))?;
        let root = entries(2)?;
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
            entry.store(page | WRITE_BACK | READ_WRITE_EXECUTE, Ordering::Relaxed);
        }
        Ok(Self {
            base,
            size,
            root: Hpa(address(root)),
            directory,
            tables,
            retired,
        })
    }

    /// The EPT pointer for the VMCS.
    pub fn eptp(&self) -> u64 {
        self.root.0 | EPTP
    }

    /// Where it lies in the host.
    pub fn base(&self) -> Hpa {
        self.base
    }

    /// Host address of a guest address, whether in use or not. The injector asks.
    #[cfg(feature = "faults")]
    pub fn host_address(&self, address: Gpa) -> Option<Hpa> {
        (address.0 < self.size).then(|| self.base.plus(address.0))
    }

    /// Guest address of a host address.
    pub fn guest_address(&self, address: Hpa) -> Option<Gpa> {
        address
            .0
            .checked_sub(self.base.0)
            .filter(|&offset| offset < self.size)
            .map(Gpa)
    }

    /// Everything, before the guest runs.
    pub fn contents(&mut self) -> &mut [u8] {
        // SAFETY: the range is this guest's alone and mapped; whoever has `self` to himself has not yet shown it to a processor.
        unsafe { core::slice::from_raw_parts_mut(self.base.0 as *mut u8, self.size as usize) }
    }

    /// Reads 8 aligned bytes of a guest that may be running. None outside its memory, and in a page that is out of use: the guest
    /// knows which those are, and must not have the hypervisor touch them for it.
    pub fn read_u64(&self, at: Gpa) -> Option<u64> {
        let (word, bit) = self.retired_bit(at.page())?;
        if word.load(Ordering::Acquire) & bit != 0 {
            return None;
        }
        let within = at.0.is_multiple_of(8) && at.0 < self.size;
        // SAFETY: RAM of this guest, mapped and never handed out again; a racing guest store gives one value or the other.
        within.then(|| unsafe { ((self.base.0 + at.0) as *const u64).read_volatile() })
    }

    /// Takes a page out of use. In #MC context. True if it was in use until now. Until a processor has flushed its translations
    /// it may go on with either mapping.
    pub fn retire(&self, page: Gpa) -> bool {
        let Some((word, bit)) = self.retired_bit(page) else {
            return false;
        };
        let was_in_use = word.fetch_or(bit, Ordering::AcqRel) & bit == 0;
        let large_page = page.0 / LARGE_PAGE_SIZE;
        if let Some(entry) = self.tables.get((page.0 / PAGE_SIZE) as usize)
            && let Some(large) = self.directory.get(large_page as usize)
        {
            let table = address(self.tables) + large_page * PAGE_SIZE;
            // In this order: whoever finds the table finds the page absent in it.
            entry.store(0, Ordering::Release);
            large.store(table | READ_WRITE_EXECUTE, Ordering::Release);
        }
        was_in_use
    }

    /// Answers an EPT violation.
    pub fn violation(&self, at: Gpa) -> Violation {
        match self.retired_bit(at.page()) {
            None => Violation::Outside,
            Some((word, bit)) if word.load(Ordering::Acquire) & bit != 0 => Violation::Retired,
            Some(_) => Violation::InUse,
        }
    }

    fn retired_bit(&self, page: Gpa) -> Option<(&AtomicU64, u64)> {
        let number = (page.0 < self.size).then_some(page.0 / PAGE_SIZE)?;
        Some((self.retired.get(number as usize / 64)?, 1 << (number % 64)))
    }
}

fn entries(pages: u64) -> Result<&'static [AtomicU64], OutOfMemory> {
    let start = memory::pages(pages)?;
    // SAFETY: fresh zeroed pages, ours for ever; AtomicU64 has the layout of u64.
    Ok(unsafe {
        core::slice::from_raw_parts(start.0 as *const AtomicU64, (pages * ENTRIES) as usize)
    })
}

fn address(table: &[AtomicU64]) -> u64 {
    table.as_ptr() as u64 & ADDRESS
}
