//! MCACOD in words (SDM vol. 3, "Interpreting Machine-Check Error Codes").

/// The architectural error code of a bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u16);

/// Bit 12 of a compound code only says that reports of corrected errors are being filtered.
const FILTERED: u16 = 1 << 12;

impl ErrorCode {
    /// Memory scrub, on a channel that is not named.
    pub const MEMORY_SCRUB: Self = Self(0x00cf);

    const fn unfiltered(self) -> u16 {
        self.0 & !FILTERED
    }

    /// Memory scrub or L3 explicit writeback: the codes with which an SRAO names a memory page.
    pub const fn is_known_optional(self) -> bool {
        matches!(self.unfiltered(), 0x00c0..=0x00cf | 0x017a)
    }

    /// Data load or instruction fetch: the codes with which an SRAR can be recovered.
    pub const fn is_known_required(self) -> bool {
        matches!(self.unfiltered(), 0x0134 | 0x0150)
    }

    /// Every word that a code can have.
    pub const WORDS: &[&str] = &[
        "none",
        "unclassified",
        "microcode-rom-parity",
        "external",
        "functional-redundancy",
        "internal-parity",
        "smm-handler-code",
        "internal-timer",
        "internal",
        "io",
        "data-load",
        "instruction-fetch",
        "l3-explicit-writeback",
        "memory-scrub",
        "cache-hierarchy-generic",
        "tlb",
        "memory-controller",
        "memory-read",
        "memory-write",
        "memory-command",
        "cache-hierarchy",
        "memory-as-cache",
        "bus-interconnect",
        "unknown",
    ];

    /// What the code means, in one word for an event.
    pub const fn word(self) -> &'static str {
        match self.0 {
            0x0000 => return "none",
            0x0001 => return "unclassified",
            0x0002 => return "microcode-rom-parity",
            0x0003 => return "external",
            0x0004 => return "functional-redundancy",
            0x0005 => return "internal-parity",
            0x0006 => return "smm-handler-code",
            0x0400 => return "internal-timer",
            0x0401..=0x07ff => return "internal",
            0x0e0b => return "io",
            _ => {}
        }
        match self.unfiltered() {
            0x0134 => "data-load",
            0x0150 => "instruction-fetch",
            0x017a => "l3-explicit-writeback",
            0x00c0..=0x00cf => "memory-scrub",
            0x000c..=0x000f => "cache-hierarchy-generic",
            0x0010..=0x001f => "tlb",
            0x0080..=0x008f => "memory-controller",
            0x0090..=0x009f => "memory-read",
            0x00a0..=0x00af => "memory-write",
            0x00b0..=0x00bf => "memory-command",
            0x0100..=0x01ff => "cache-hierarchy",
            0x0280..=0x02ff => "memory-as-cache",
            0x0800..=0x0fff => "bus-interconnect",
            _ => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_that_can_be_recovered() {
        for code in 0..=u16::MAX {
            let plain = code & !FILTERED;
            assert_eq!(
                ErrorCode(code).is_known_optional(),
                (0xc0..=0xcf).contains(&plain) || plain == 0x17a
            );
            assert_eq!(
                ErrorCode(code).is_known_required(),
                plain == 0x134 || plain == 0x150
            );
        }
    }

    #[test]
    fn every_word_is_listed_and_every_listed_word_is_one() {
        let mut left = ErrorCode::WORDS.to_vec();
        for code in 0..=u16::MAX {
            let word = ErrorCode(code).word();
            assert!(ErrorCode::WORDS.contains(&word), "{word}");
            left.retain(|listed| *listed != word);
        }
        assert_eq!(left, [""; 0]);
    }

    #[test]
    fn words() {
        let word = |code| ErrorCode(code).word();
        assert_eq!(word(0x00cf), "memory-scrub");
        assert_eq!(word(0x10c0), "memory-scrub");
        assert_eq!(word(0x009f), "memory-read");
        assert_eq!(word(0x017a), "l3-explicit-writeback");
        assert_eq!(word(0x0134), "data-load");
        assert_eq!(word(0x0150), "instruction-fetch");
        assert_eq!(word(0x0135), "cache-hierarchy");
        assert_eq!(word(0x000e), "cache-hierarchy-generic");
        assert_eq!(word(0x0014), "tlb");
        assert_eq!(word(0x0400), "internal-timer");
        assert_eq!(word(0x0405), "internal");
        assert_eq!(word(0x0e0b), "io");
        assert_eq!(word(0x0e0f), "bus-interconnect");
        assert_eq!(word(0x0005), "internal-parity");
        assert_eq!(word(0x8000), "unknown");
    }
}
