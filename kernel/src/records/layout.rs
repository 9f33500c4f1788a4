//! A record as the privileged guest reads it: 64 bytes, little-endian.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | number of the record, from 1 in each boot, without gaps |
//! | 8 | 8 | time stamp counter when the error was met; 0 if nobody knows (an error from before the reset) |
//! | 16 | 8 | MCi_STATUS |
//! | 24 | 8 | MCi_ADDR, as the host counts; 0 if the bank had none |
//! | 32 | 8 | MCi_MISC; 0 if the bank had none |
//! | 40 | 8 | MCG_STATUS of the processor, of an error that an #MC told of; else 0 |
//! | 48 | 8 | how many: see [`Kind`] |
//! | 56 | 2 | number of the processor |
//! | 58 | 1 | number of the bank |
//! | 59 | 1 | [`Kind`] |
//! | 60 | 1 | [`Class::rank`]; 0 of an error from before the reset, which nobody grades, and of [`Kind::Lost`] |
//! | 61 | 3 | 0 |

use crate::mc::grade::Class;
use crate::units::{Bank, Pcpu, Tsc};

/// Size of a record, in bytes.
pub const RECORD_BYTES: usize = 64;

/// Where a record comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Something was lost here: `count` is how many records found no room, and events that no processor could keep (`records.lost`), of which any
    /// may have been a record. Nothing else is said.
    Lost = 0,
    /// A machine check (`mc.bank` in the log).
    MachineCheck = 1,
    /// A bank, at boot: from before the reset (`mc.earlier`).
    Earlier = 2,
    /// A poll found a corrected error (`mc.corrected`); `count` is how many its page has had.
    Corrected = 3,
    /// A poll found an uncorrected error that needs no action (`mc.uncorrected`).
    Uncorrected = 4,
}

impl Kind {
    /// The kind of that number.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Lost,
            1 => Self::MachineCheck,
            2 => Self::Earlier,
            3 => Self::Corrected,
            4 => Self::Uncorrected,
            _ => return None,
        })
    }
}

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number, from 1 in each boot.
    pub number: u64,
    /// When the error was met; 0 if nobody knows.
    pub at: Tsc,
    /// MCi_STATUS.
    pub status: u64,
    /// MCi_ADDR, as the host counts.
    pub address: u64,
    /// MCi_MISC.
    pub misc: u64,
    /// MCG_STATUS of the processor; 0 without an #MC. Where events of that processor were lost ([`Kind::Lost`]), perhaps 0 or an earlier machine check's.
    pub mcg_status: u64,
    /// How many: see [`Kind`].
    pub count: u64,
    /// The processor.
    pub processor: Pcpu,
    /// The bank.
    pub bank: Bank,
    /// Where it comes from.
    pub kind: Kind,
    /// How bad it was; [`Class::None`] where nobody has graded it.
    pub class: Class,
}

impl Record {
    /// As the guest reads it.
    pub fn to_bytes(self) -> [u8; RECORD_BYTES] {
        let [low, high] = self.processor.0.to_le_bytes();
        let last = [
            low,
            high,
            self.bank.0,
            self.kind as u8,
            self.class.rank(),
            0,
            0,
            0,
        ];
        let words = [
            self.number,
            self.at.0,
            self.status,
            self.address,
            self.misc,
            self.mcg_status,
            self.count,
            u64::from_le_bytes(last),
        ];
        let mut bytes = [0; RECORD_BYTES];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// What a guest has read; none for what is no record.
    pub fn from_bytes(bytes: &[u8; RECORD_BYTES]) -> Option<Self> {
        let mut words = [0; RECORD_BYTES / 8];
        for (word, place) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(place.try_into().ok()?);
        }
        let [number, at, status, address, misc, mcg_status, count, last] = words;
        let [low, high, bank, kind, class, ..] = last.to_le_bytes();
        Some(Self {
            number,
            at: Tsc(at),
            status,
            address,
            misc,
            mcg_status,
            count,
            processor: Pcpu(u16::from_le_bytes([low, high])),
            bank: Bank(bank),
            kind: Kind::from_number(kind)?,
            class: Class::from_rank(class),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each field where the table above puts it.
    #[test]
    fn the_layout_is_as_documented() {
        let record = Record {
            number: 0x0102_0304_0506_0708,
            at: Tsc(2),
            status: 0xbd00_0000_0000_00cf,
            address: 0x1234_5000,
            misc: 0x8c,
            mcg_status: 5,
            count: 7,
            processor: Pcpu(0x1122),
            bank: Bank(31),
            kind: Kind::Corrected,
            class: Class::Srao,
        };
        let bytes = record.to_bytes();
        assert_eq!(bytes[..8], [8, 7, 6, 5, 4, 3, 2, 1]);
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!(
            [8, 16, 24, 32, 40, 48].map(word),
            [2, 0xbd00_0000_0000_00cf, 0x1234_5000, 0x8c, 5, 7]
        );
        assert_eq!(bytes[56..], [0x22, 0x11, 31, 3, 4, 0, 0, 0]);
        assert_eq!(Record::from_bytes(&bytes), Some(record));
        for number in 0..=255 {
            let mut other = bytes;
            other[59] = number;
            let read = Record::from_bytes(&other);
            assert_eq!(read.is_some(), number <= 4, "{number}");
            assert!(read.is_none_or(|read| read.to_bytes() == other));
        }
    }
}
