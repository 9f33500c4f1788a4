//! Memory for the hypervisor and its guests, cut once at boot from one range of RAM.
//!
//! The hypervisor's pages come from the bottom, guests' 2 MiB pages from the top; what lies between stays free.

use super::multiboot::Ram;
use crate::units::{Hpa, LARGE_PAGE_SIZE, PAGE_SIZE};

/// One range of free RAM, handed out from both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arena {
    bottom: u64,
    top: u64,
}

/// There is not that much free memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

impl Arena {
    /// The largest range of `ram` below `limit` and above everything `in_use` (image, boot information, modules), which
    /// loaders place low.
    pub fn new(
        ram: impl Iterator<Item = Ram>,
        in_use: impl Iterator<Item = Ram>,
        limit: Hpa,
    ) -> Self {
        let floor = in_use.map(|range| range.end.0).max().unwrap_or(0);
        let usable = ram.map(|range| {
            let bottom = range
                .start
                .0
                .max(floor)
                .checked_next_multiple_of(PAGE_SIZE)
                .unwrap_or(u64::MAX);
            let top = range.end.0.min(limit.0) & !(PAGE_SIZE - 1);
            Self {
                bottom,
                top: top.max(bottom),
            }
        });
        usable
            .max_by_key(|range| range.top - range.bottom)
            .unwrap_or(Self { bottom: 0, top: 0 })
    }

    /// `count` 4 KiB pages in a row for the hypervisor.
    pub fn pages(&mut self, count: u64) -> Result<Hpa, OutOfMemory> {
        let size = count.checked_mul(PAGE_SIZE).ok_or(OutOfMemory)?;
        if size > self.top - self.bottom {
            return Err(OutOfMemory);
        }
        let start = self.bottom;
        self.bottom += size;
        Ok(Hpa(start))
    }

    /// `count` 2 MiB pages in a row for a guest.
    pub fn large_pages(&mut self, count: u64) -> Result<Hpa, OutOfMemory> {
        let size = count.checked_mul(LARGE_PAGE_SIZE).ok_or(OutOfMemory)?;
        let top = self.top & !(LARGE_PAGE_SIZE - 1);
        let start = top
            .checked_sub(size)
            .filter(|&start| start >= self.bottom)
            .ok_or(OutOfMemory)?;
        self.top = start;
        Ok(Hpa(start))
    }

    /// The first byte that is still free.
    pub const fn bottom(&self) -> Hpa {
        Hpa(self.bottom)
    }

    /// One past the last byte that is still free.
    pub const fn top(&self) -> Hpa {
        Hpa(self.top)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ram(start: u64, end: u64) -> Ram {
        Ram {
            start: Hpa(start),
            end: Hpa(end),
        }
    }

    #[test]
    fn takes_the_largest_range_above_what_is_in_use() {
        let map = [
            ram(0, 0x9_f000),
            ram(0x10_0000, 0x800_0000),
            ram(0x1_0000_0000, 0x9_0000_0000),
        ];
        let in_use = [ram(0x10_0000, 0x18_0000), ram(0x30_0000, 0x34_5678)];
        let arena = Arena::new(map.into_iter(), in_use.into_iter(), Hpa(1 << 32));
        assert_eq!(
            (arena.bottom(), arena.top()),
            (Hpa(0x34_6000), Hpa(0x800_0000))
        );
    }

    #[test]
    fn both_ends_meet_and_no_further() {
        let mut arena = Arena::new(
            [ram(0x10_0000, 0x80_1000)].into_iter(),
            [].into_iter(),
            Hpa(u64::MAX),
        );
        assert_eq!(arena.large_pages(2), Ok(Hpa(0x40_0000)));
        assert_eq!(arena.pages(3), Ok(Hpa(0x10_0000)));
        assert_eq!(arena.large_pages(1), Ok(Hpa(0x20_0000)));
        assert_eq!(arena.large_pages(1), Err(OutOfMemory));
        assert_eq!(arena.pages(0x100), Err(OutOfMemory));
        assert_eq!(arena.pages(0xfd), Ok(Hpa(0x10_3000)));
        assert_eq!(arena.pages(1), Err(OutOfMemory));
        assert_eq!(arena.pages(u64::MAX), Err(OutOfMemory));
    }

    #[test]
    fn no_ram_is_no_memory() {
        let mut arena = Arena::new([].into_iter(), [].into_iter(), Hpa(u64::MAX));
        assert_eq!(arena.pages(1), Err(OutOfMemory));
    }
}
