//! How bad an error is: the table of SDM vol. 3, "Software Recovery of Uncorrected Errors", as the bank's bits give it.

use super::registers::Status;

/// The class of a bank's content, from harmless to fatal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// The bank holds nothing.
    None,
    /// Corrected by the hardware.
    Corrected,
    /// Uncorrected but not enabled: not what this #MC is about.
    Spurious,
    /// Uncorrected, no action required.
    Ucna,
    /// Software recoverable, action optional.
    Srao,
    /// Software recoverable, action required.
    Srar,
    /// The machine cannot go on.
    Fatal,
}

impl Class {
    /// Every class, from harmless to fatal.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Corrected,
        Self::Spurious,
        Self::Ucna,
        Self::Srao,
        Self::Srar,
        Self::Fatal,
    ];

    /// The word for each, in the same order.
    pub const WORDS: &[&str] = &{
        let mut words = [""; Self::ALL.len()];
        let mut rank = 0;
        while rank < words.len() {
            words[rank] = Self::ALL[rank].word();
            rank += 1;
        }
        words
    };

    /// The word for it in events.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Corrected => "corrected",
            Self::Spurious => "spurious",
            Self::Ucna => "ucna",
            Self::Srao => "srao",
            Self::Srar => "srar",
            Self::Fatal => "fatal",
        }
    }

    /// The class that [`Class::rank`] numbered so; the worst for a number that is none.
    pub const fn from_rank(rank: u8) -> Self {
        match rank {
            0 => Self::None,
            1 => Self::Corrected,
            2 => Self::Spurious,
            3 => Self::Ucna,
            4 => Self::Srao,
            5 => Self::Srar,
            _ => Self::Fatal,
        }
    }

    /// Its place in the order, 0 for the most harmless.
    pub const fn rank(self) -> u8 {
        self as u8
    }
}

/// The class of what a bank shows in #MC context. `recovery` is MCG_CAP.MCG_SER_P of the processor that reads it.
#[inline]
pub fn grade(status: Status, recovery: bool) -> Class {
    Grades::of(recovery).class(status)
}

/// The table for one processor.
#[derive(Clone, Copy)]
pub(crate) struct Grades(&'static Table);

impl Grades {
    /// `recovery` is the processor's MCG_CAP.MCG_SER_P.
    #[inline(always)]
    pub fn of(recovery: bool) -> Self {
        let [without, with] = &CLASSES;
        Self(if recovery { with } else { without })
    }

    /// The class of what a bank of that processor shows in #MC context.
    #[inline(always)]
    pub fn class(self, status: Status) -> Class {
        let Self(classes) = self;
        classes
            .get((u64::from(status) >> LOWEST) as usize)
            .copied()
            .unwrap_or(Class::Fatal)
    }
}

type Table = [Class; 1 << (64 - LOWEST)];

/// AR is the lowest of the bits that matter: they are those from here up.
const LOWEST: u32 = 55;

/// The class for every value of those bits, without and with MCG_SER_P. In a table, since it is asked for each bank of each
/// processor in each machine check.
static CLASSES: [Table; 2] = [classes(false), classes(true)];

const fn classes(recovery: bool) -> Table {
    let mut classes = [Class::None; 1 << (64 - LOWEST)];
    let mut bits = 0;
    while bits < classes.len() {
        classes[bits] = class(Status::from_bits((bits as u64) << LOWEST), recovery);
        bits += 1;
    }
    classes
}

const fn class(status: Status, recovery: bool) -> Class {
    if !status.val() {
        Class::None
    } else if !status.uc() {
        Class::Corrected
    } else if !recovery {
        Class::Fatal
    } else if !status.en() {
        Class::Spurious
    } else if status.pcc() {
        Class::Fatal
    } else {
        match (status.s(), status.ar(), status.over()) {
            (false, false, _) => Class::Ucna,
            (true, false, _) => Class::Srao,
            (true, true, false) => Class::Srar,
            // Action was required twice and one record is lost, or a combination the SDM does not define.
            (true, true, true) | (false, true, _) => Class::Fatal,
        }
    }
}

/// The class of what a bank shows to a poll or a CMCI, which never reset the machine: what was signalled (UC and S) is left
/// to the #MC handler and gives `None`.
pub fn grade_poll(status: Status, recovery: bool) -> Option<Class> {
    if !status.val() {
        Some(Class::None)
    } else if !status.uc() {
        Some(Class::Corrected)
    } else if recovery && !status.pcc() && !status.s() {
        Some(Class::Ucna)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of the table; `None` stands for "any".
    type Row = ([Option<bool>; 7], Class);

    const fn row(bits: [u8; 7], class: Class) -> Row {
        let mut any = [None; 7];
        let mut i = 0;
        while i < 7 {
            any[i] = match bits[i] {
                b'0' => Some(false),
                b'1' => Some(true),
                _ => None,
            };
            i += 1;
        }
        (any, class)
    }

    // VAL UC EN PCC S AR OVER
    const TABLE: [Row; 9] = [
        row(*b"0      ", Class::None),
        row(*b"10     ", Class::Corrected),
        row(*b"110    ", Class::Spurious),
        row(*b"1111   ", Class::Fatal),
        row(*b"111000 ", Class::Ucna),
        row(*b"111010 ", Class::Srao),
        row(*b"1110110", Class::Srar),
        row(*b"1110111", Class::Fatal),
        row(*b"111001 ", Class::Fatal),
    ];

    fn status(bits: u8) -> (Status, [bool; 7]) {
        let at = |n: u8| bits & 1 << n != 0;
        let all = [at(0), at(1), at(2), at(3), at(4), at(5), at(6)];
        let status = Status::new()
            .with_val(all[0])
            .with_uc(all[1])
            .with_en(all[2])
            .with_pcc(all[3])
            .with_s(all[4])
            .with_ar(all[5])
            .with_over(all[6]);
        (status, all)
    }

    #[test]
    fn every_combination_is_as_the_table_says() {
        for bits in 0..1 << 7 {
            let (status, all) = status(bits);
            let rows: Vec<_> = TABLE
                .iter()
                .filter(|(row, _)| {
                    row.iter()
                        .zip(all)
                        .all(|(want, is)| want.is_none_or(|want| want == is))
                })
                .collect();
            assert_eq!(rows.len(), 1, "{all:?} is in exactly one row");
            assert_eq!(grade(status, true), rows[0].1, "{all:?}");
            let without = if all[0] && all[1] {
                Class::Fatal
            } else {
                rows[0].1
            };
            assert_eq!(grade(status, false), without, "{all:?} without SER_P");
        }
    }

    #[test]
    fn the_bits_are_where_the_manual_has_them() {
        assert_eq!(
            grade(Status::from(0xbd00_0000_0000_00cf), true),
            Class::Srao
        );
        assert_eq!(
            grade(Status::from(0xbd80_0000_0000_0134), true),
            Class::Srar
        );
        assert_eq!(
            grade(Status::from(0xfd80_0000_0000_0134), true),
            Class::Fatal
        );
        assert_eq!(
            grade(Status::from(0xbe00_0000_0000_0134), true),
            Class::Fatal
        );
        assert_eq!(
            grade(Status::from(0xa000_0000_0000_0000), true),
            Class::Spurious
        );
        assert_eq!(
            grade(Status::from(0x9c00_0000_0000_009f), true),
            Class::Corrected
        );
        assert_eq!(
            grade(Status::from(0xbc00_0000_0000_009f), true),
            Class::Ucna
        );
    }

    #[test]
    fn a_poll_takes_only_what_was_not_signalled() {
        for bits in 0..1 << 7 {
            let (status, [val, uc, _, pcc, s, _, _]) = status(bits);
            let want = match (val, uc, pcc, s) {
                (false, ..) => Some(Class::None),
                (true, false, ..) => Some(Class::Corrected),
                (true, true, false, false) => Some(Class::Ucna),
                _ => None,
            };
            assert_eq!(grade_poll(status, true), want);
        }
    }

    #[test]
    fn ranks_and_classes_correspond() {
        for class in Class::ALL {
            assert_eq!(Class::from_rank(class.rank()), class);
        }
    }
}
