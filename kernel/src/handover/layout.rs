//! Which memory is what: RAM that the memory map leaves to us, what the image and the loader's input occupy, and the rest.

use arrayvec::ArrayVec;

use super::multiboot::Ram;
use crate::units::{Hpa, PAGE_SIZE};

/// What a page of physical memory is, before anybody has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RAM in which nothing of ours lies.
    Ram,
    /// The image, the loader's structure, a module, the start-up code.
    Occupied,
    /// Firmware's, a device's, or nothing at all.
    Other,
}

/// Ranges of either kind, at most. What does not fit counts as not there.
const RANGES: usize = 64;

/// Ranges without overlap, in the order of their addresses.
#[derive(Clone, Debug, Default)]
struct Ranges(ArrayVec<Ram, RANGES>);

/// Which memory is what.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    ram: Ranges,
    occupied: Ranges,
}

/// Start-up code runs in real mode: below 1 MiB.
const START_UP_END: u64 = 1 << 20;
/// Above the interrupt vectors, the BIOS data area and what boot loaders leave below.
const START_UP_FIRST: u64 = 0x8000;
/// The first page that may be used if those are taken: the vectors are in page 0.
const START_UP_LAST_RESORT: u64 = 0x1000;

impl Layout {
    /// The layout of `ram`, with `occupied` in it.
    pub fn new(ram: impl Iterator<Item = Ram>, occupied: impl Iterator<Item = Ram>) -> Self {
        let mut layout = Self::default();
        ram.for_each(|range| layout.ram.add(range));
        occupied.for_each(|range| layout.occupy(range));
        layout
    }

    /// Something lies there from now on. Every page that it touches is taken.
    pub fn occupy(&mut self, range: Ram) {
        self.occupied.add(Ram {
            start: range.start.page(),
            end: range.end.plus(PAGE_SIZE - 1).page(),
        });
    }

    /// What a page is, in logarithmic time.
    pub fn kind_of(&self, page: Hpa) -> Kind {
        if self.occupied.hold(page) {
            Kind::Occupied
        } else if self.ram.hold(page) && self.ram.hold(page.plus(PAGE_SIZE - 1)) {
            Kind::Ram
        } else {
            Kind::Other
        }
    }

    /// A page for the start-up code of the other processors: RAM in which nothing lies, below 1 MiB, as SIPI demands (SDM vol. 3,
    /// 10.4.4).
    pub fn start_up_page(&self) -> Option<Hpa> {
        let usual = START_UP_FIRST..START_UP_END;
        let last_resort = START_UP_LAST_RESORT..START_UP_FIRST;
        let step = PAGE_SIZE as usize;
        usual
            .step_by(step)
            .chain(last_resort.step_by(step))
            .map(Hpa)
            .find(|&page| self.kind_of(page) == Kind::Ram)
    }
}

impl Ranges {
    fn add(&mut self, mut new: Ram) {
        if new.start >= new.end {
            return;
        }
        // Those that it overlaps or touches become one with it.
        self.0.retain(|old| {
            let apart = old.end < new.start || new.end < old.start;
            if !apart {
                new.start = new.start.min(old.start);
                new.end = new.end.max(old.end);
            }
            apart
        });
        let at = self.0.partition_point(|old| old.start < new.start);
        let _ = self.0.try_insert(at, new);
    }

    fn hold(&self, address: Hpa) -> bool {
        let after = self.0.partition_point(|range| range.start <= address);
        let range = after.checked_sub(1).and_then(|at| self.0.get(at));
        range.is_some_and(|range| address < range.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> Ram {
        Ram {
            start: Hpa(start),
            end: Hpa(end),
        }
    }

    fn layout(ram: &[Ram], occupied: &[Ram]) -> Layout {
        Layout::new(ram.iter().copied(), occupied.iter().copied())
    }

    #[test]
    fn a_page_is_what_the_map_and_the_loader_say() {
        let layout = layout(
            &[
                range(0x10_0000, 0x20_0800),
                range(0, 0x9_fc00),
                range(0x18_0000, 0x20_0000),
            ],
            &[range(0x10_0000, 0x11_2345), range(0x1f_fff0, 0x1f_fff8)],
        );
        for (page, kind) in [
            (0, Kind::Ram),
            (0x9_e000, Kind::Ram),
            (0x9_f000, Kind::Other),
            (0xa_0000, Kind::Other),
            (0x10_0000, Kind::Occupied),
            (0x11_2000, Kind::Occupied),
            (0x11_3000, Kind::Ram),
            (0x1f_f000, Kind::Occupied),
            (0x20_0000, Kind::Other),
            (1 << 40, Kind::Other),
        ] {
            assert_eq!(layout.kind_of(Hpa(page)), kind, "{page:#x}");
        }
    }

    #[test]
    fn the_start_up_page_is_ram_and_nobodys() {
        let page = |ram: &[Ram], occupied: &[Ram]| layout(ram, occupied).start_up_page();
        let low = range(0, 0x9_f000);
        assert_eq!(page(&[low], &[]), Some(Hpa(0x8000)));
        assert_eq!(page(&[low], &[range(0x8800, 0xa001)]), Some(Hpa(0xb000)));
        assert_eq!(page(&[low], &[range(0x7000, 0x9_f000)]), Some(Hpa(0x1000)));
        assert_eq!(
            page(&[range(0, 0x1000), range(1 << 20, 2 << 20)], &[]),
            None
        );
    }

    #[test]
    fn more_ranges_than_fit_are_not_there() {
        let many: Vec<_> = (0..100)
            .map(|n| range(n << 20, (n << 20) + 0x1000))
            .collect();
        let layout = layout(&many, &[]);
        assert_eq!(layout.kind_of(Hpa(63 << 20)), Kind::Ram);
        assert_eq!(layout.kind_of(Hpa(64 << 20)), Kind::Other);
    }
}
