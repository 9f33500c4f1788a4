//! Which memory an error is about.

use msr_runtime::ErrorRecord;

use crate::mc::registers::{Misc, Status};
use crate::units::{Gpa, Hpa, PAGE_SIZE};

/// Pages of physical memory that an error makes unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Start of the first page.
    pub first: Hpa,
    /// How many pages of 4 KiB.
    pub pages: u32,
    /// Offset of the error in the page; 0 if there are several.
    pub offset: u64,
}

/// An address that is good for more than 1 GiB says nothing.
const MAX_LSB: u8 = 30;

impl Extent {
    /// The memory that a bank names, if it names any: ADDR counts with ADDRV, and is a memory page with MISCV and address mode
    /// "physical"; its bits below MISC's LSB are not valid.
    #[inline(always)]
    pub fn of(record: &ErrorRecord) -> Option<Self> {
        let status = Status::from(record.status);
        let misc = Misc::from(record.misc);
        if !status.addrv()
            || !status.miscv()
            || misc.mode() != Misc::PHYSICAL
            || misc.lsb() > MAX_LSB
        {
            return None;
        }
        let valid = record.address & !((1 << misc.lsb()) - 1);
        Some(Self {
            first: Hpa(valid).page(),
            pages: 1 << misc.lsb().saturating_sub(Misc::PAGE_LSB),
            offset: valid & (PAGE_SIZE - 1),
        })
    }

    /// The record for the guest that has the page at `gpa`.
    #[inline(always)]
    pub fn record(self, record: &ErrorRecord, gpa: Gpa) -> ErrorRecord {
        ErrorRecord {
            address: gpa.0 + self.offset,
            ..*record
        }
    }

    /// Start of each page.
    pub fn pages(self) -> impl Iterator<Item = Hpa> {
        (0..u64::from(self.pages)).map(move |page| self.first.plus(page * PAGE_SIZE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: u64 = 0xbd00_0000_0000_00cf;

    fn extent(status: u64, address: u64, misc: u64) -> Option<(u64, u32, u64)> {
        Extent::of(&ErrorRecord {
            status,
            address,
            misc,
        })
        .map(|e| (e.first.0, e.pages, e.offset))
    }

    #[test]
    fn an_address_counts_only_with_its_valid_bits_and_in_physical_mode() {
        assert_eq!(extent(STATUS, 0x1234_5678, 0x8c), Some((0x1234_5000, 1, 0)));
        assert_eq!(
            extent(STATUS & !(1 << 58), 0x1234_5678, 0x8c),
            None,
            "ADDRV"
        );
        assert_eq!(
            extent(STATUS & !(1 << 59), 0x1234_5678, 0x8c),
            None,
            "MISCV"
        );
        for mode in (0..8).filter(|&mode| mode != 2) {
            assert_eq!(
                extent(STATUS, 0x1234_5678, mode << 6 | 12),
                None,
                "mode {mode}"
            );
        }
    }

    #[test]
    fn bits_below_lsb_are_not_valid() {
        assert_eq!(
            extent(STATUS, 0x1234_5fff, 0x86),
            Some((0x1234_5000, 1, 0xfc0))
        );
        assert_eq!(
            extent(STATUS, 0x1234_5fff, 0x80),
            Some((0x1234_5000, 1, 0xfff))
        );
        assert_eq!(extent(STATUS, 0x1234_5fff, 0x8d), Some((0x1234_4000, 2, 0)));
        assert_eq!(
            extent(STATUS, 0x1234_5fff, 0x80 | 21),
            Some((0x1220_0000, 512, 0))
        );
        assert_eq!(
            extent(STATUS, 0x7fff_ffff, 0x80 | 30),
            Some((0x4000_0000, 1 << 18, 0))
        );
        assert_eq!(extent(STATUS, 0x7fff_ffff, 0x80 | 31), None);
        assert_eq!(extent(STATUS, u64::MAX, 0x80 | 63), None);
    }
}
