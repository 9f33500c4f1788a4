//! What an administrator names at boot beside an interface: `extra=cap:27,msr:0x4d0`.
//!
//! A guest that comes from a newer host may have been promised what this one does not know. A capability bit, a record's
//! tag and MSRs that are named here are taken on: the bit stays in the guest's capability word, the item is dropped, the MSRs
//! read zero and ignore writes. What the interface itself lists is not touched. Looked at only on the way to a #GP.

use core::fmt;

/// Most MSR ranges, and most tags, that one list names.
pub const MOST: usize = 16;

/// What a version lets an administrator name; nothing, if its spec has no `extra` section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtraLimits<'l> {
    /// How many bits, tags and ranges of MSRs in all.
    pub most: usize,
    /// Where the MSRs may lie, inclusive at both ends.
    pub msrs: &'l [(u32, u32)],
    /// Bits of the capability register.
    pub capability: u64,
}

/// A list of extras.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extra {
    capability: u64,
    tags: [u16; MOST],
    tag_count: usize,
    msrs: [(u32, u32); MOST],
    msr_count: usize,
}

impl Extra {
    /// Nothing is named.
    pub const NONE: Self = Self {
        capability: 0,
        tags: [0; MOST],
        tag_count: 0,
        msrs: [(0, 0); MOST],
        msr_count: 0,
    };

    /// Reads `cap:BIT`, `tag:NUMBER`, `msr:ADDRESS` and `msr:FIRST-LAST`, with commas between them. Numbers are decimal, or
    /// hexadecimal after `0x`.
    ///
    /// # Errors
    /// The first part that is not one of these.
    pub fn parse(text: &str) -> Result<Self, ExtraError<'_>> {
        let mut extra = Self::NONE;
        for part in text.split(',') {
            extra.take(part)?;
        }
        Ok(extra)
    }

    fn take<'t>(&mut self, part: &'t str) -> Result<(), ExtraError<'t>> {
        let form = ExtraError::Form(part);
        let (kind, value) = part.split_once(':').ok_or(form)?;
        match kind {
            "cap" => {
                let bit = number(value).filter(|bit| *bit < 64).ok_or(form)?;
                self.capability |= 1 << bit;
            }
            "tag" => {
                // Tag 0 is no register's: it says of what a record is.
                let tag = number(value).filter(|tag| *tag != 0);
                let tag = tag.and_then(|tag| u16::try_from(tag).ok());
                let to = self.tags.get_mut(self.tag_count);
                *to.ok_or(ExtraError::TooMany(part))? = tag.ok_or(form)?;
                self.tag_count += 1;
            }
            "msr" => {
                let (first, last) = value.split_once('-').unwrap_or((value, value));
                let address = |text| number(text).and_then(|msr| u32::try_from(msr).ok());
                let (first, last) = (address(first).ok_or(form)?, address(last).ok_or(form)?);
                if first > last {
                    return Err(form);
                }
                let to = self.msrs.get_mut(self.msr_count);
                *to.ok_or(ExtraError::TooMany(part))? = (first, last);
                self.msr_count += 1;
            }
            _ => return Err(form),
        }
        Ok(())
    }

    /// The capability bits.
    pub const fn capability(&self) -> u64 {
        self.capability
    }

    /// An item with this tag is dropped.
    pub fn has_tag(&self, tag: u16) -> bool {
        self.tags().contains(&tag)
    }

    /// The MSR reads zero and ignores writes, unless an interface lists it.
    pub fn has_msr(&self, msr: u32) -> bool {
        self.msrs()
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&msr))
    }

    fn tags(&self) -> &[u16] {
        self.tags.get(..self.tag_count).unwrap_or(&[])
    }

    fn msrs(&self) -> &[(u32, u32)] {
        self.msrs.get(..self.msr_count).unwrap_or(&[])
    }

    /// Whether a version with these limits takes the list.
    ///
    /// # Errors
    /// What it does not take.
    pub fn within(&self, limits: &ExtraLimits<'_>) -> Result<(), ExtraRefusal> {
        let named = self.capability.count_ones() as usize + self.tag_count + self.msr_count;
        if named != 0 && limits.most == 0 {
            return Err(ExtraRefusal::Nothing);
        }
        if named > limits.most {
            return Err(ExtraRefusal::TooMany(limits.most));
        }
        let bits = self.capability & !limits.capability;
        if bits != 0 {
            return Err(ExtraRefusal::Capability(bits.trailing_zeros()));
        }
        let inside = |(first, last): &(u32, u32)| {
            let mut windows = limits.msrs.iter();
            windows.any(|(low, high)| low <= first && last <= high)
        };
        match self.msrs().iter().find(|range| !inside(range)) {
            Some((first, _)) => Err(ExtraRefusal::Msr(*first)),
            None => Ok(()),
        }
    }
}

fn number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    // The standard library would take a sign.
    let right = digits.chars().all(|c| c.is_digit(radix));
    right.then(|| u64::from_str_radix(digits, radix).ok())?
}

/// Why a text is no list of extras.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtraError<'t> {
    /// A part has another form.
    Form(&'t str),
    /// There is no room for this part.
    TooMany(&'t str),
}

impl fmt::Display for ExtraError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(part) => write!(
                f,
                "`{part}` is not cap:BIT, tag:NUMBER, msr:ADDRESS or msr:FIRST-LAST"
            ),
            Self::TooMany(part) => write!(f, "`{part}` is one too many: at most {MOST} of a kind"),
        }
    }
}

/// Why a version does not take a list of extras.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtraRefusal {
    /// It takes none.
    Nothing,
    /// It takes so many.
    TooMany(usize),
    /// Not this capability bit.
    Capability(u32),
    /// Not MSRs there.
    Msr(u32),
}

impl ExtraRefusal {
    /// In a few words, without the numbers.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Nothing => "the interface takes no extras",
            Self::TooMany(_) => "more extras than the interface takes",
            Self::Capability(_) => "an extra capability bit that the interface does not take",
            Self::Msr(_) => "an extra MSR where the interface takes none",
        }
    }
}

impl fmt::Display for ExtraRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())?;
        match self {
            Self::Nothing => Ok(()),
            Self::TooMany(most) => write!(f, ": at most {most}"),
            Self::Capability(bit) => write!(f, ": {bit}"),
            Self::Msr(msr) => write!(f, ": {msr:#x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ExtraLimits<'static> = ExtraLimits {
        most: 3,
        msrs: &[(0, 0x1fff)],
        capability: !0xff,
    };

    #[test]
    fn a_list_is_read() {
        let extra = Extra::parse("cap:27,msr:0x4d0,msr:1232-0x4d3,tag:11").unwrap();
        assert_eq!(extra.capability(), 1 << 27);
        assert!(extra.has_tag(11) && !extra.has_tag(0));
        let named = |msr| extra.has_msr(msr);
        assert!(named(0x4d0) && named(0x4d3) && !named(0x4d4) && !named(0));
    }

    #[test]
    fn what_is_no_list_is_named() {
        for wrong in [
            "",
            "cap",
            "cap:",
            "cap:64",
            "cap:+1",
            "msr:0x100000000",
            "msr:2-1",
            "tag:65536",
            "msr:0x",
            "cpa:1",
            "msr:1 ",
        ] {
            assert_eq!(Extra::parse(wrong), Err(ExtraError::Form(wrong)));
        }
        assert_eq!(Extra::parse("cap:1,,msr:1"), Err(ExtraError::Form("")));
        let many = ["msr:1"; MOST + 1].join(",");
        assert_eq!(Extra::parse(&many), Err(ExtraError::TooMany("msr:1")));
    }

    #[test]
    fn limits_hold() {
        let within = |text| Extra::parse(text).unwrap().within(&LIMITS);
        assert_eq!(within("cap:8,tag:1,msr:0x1fff"), Ok(()));
        assert_eq!(
            within("cap:8,tag:1,tag:2,msr:1"),
            Err(ExtraRefusal::TooMany(3))
        );
        assert_eq!(within("cap:7"), Err(ExtraRefusal::Capability(7)));
        assert_eq!(within("msr:0x1fff-0x2000"), Err(ExtraRefusal::Msr(0x1fff)));
        let none = ExtraLimits { most: 0, ..LIMITS };
        assert_eq!(
            Extra::parse("tag:1").unwrap().within(&none),
            Err(ExtraRefusal::Nothing)
        );
        assert_eq!(Extra::NONE.within(&none), Ok(()));
    }
}
