//! The saved record of one vCPU, or of what a guest's vCPUs share.
//!
//! Little-endian. A header of [`HEADER`] bytes: magic, the interface's name (zero-padded), the version that wrote it, the
//! whole length in bytes, and a CRC-32C over everything but itself. Then items: tag, length of the payload, payload. Tag 0 is
//! no register's: as the first item, with [`OF_GUEST`], it marks the record of what a guest's vCPUs share. To a reader of a vCPU's
//! record that is an item that it does not know, so that also one that was built before there were such records refuses it.
//! Nothing in it is trusted.

use core::fmt;

/// The first bytes of a record.
pub const MAGIC: [u8; 4] = *b"MSR1";
/// Bytes before the first item.
pub const HEADER: usize = 20;
/// Bytes of an item before its payload.
pub const ITEM: usize = 4;
/// The tag of the item that says of what a record is; a vCPU's has none.
pub const KIND: u16 = 0;
/// What that item holds in the record of what a guest's vCPUs share.
pub const OF_GUEST: u64 = 1;
/// No record is longer.
pub const LONGEST: usize = 4096;

const CRC_AT: usize = 16;

/// Why a record is refused. A refused record changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// Fewer bytes than the header says, or than a header has.
    Short,
    /// More bytes than the header says, or than any record has.
    Long,
    /// The magic is another: these bytes are no record.
    NoRecord,
    /// The record is of another interface.
    OtherInterface([u8; 8]),
    /// The checksum does not fit the bytes.
    Damaged,
    /// An item of this tag has a length that it cannot have.
    ItemLength(u16),
    /// Two items of one tag.
    ItemTwice(u16),
    /// An item that this version does not know, and that is not zero.
    UnknownItem(u16),
    /// An item's value has bits that this version does not accept.
    Refused {
        /// The item's tag.
        tag: u16,
        /// The register's name.
        register: &'static str,
        /// The bits.
        bits: u64,
    },
    /// An item's value is none that a guest can have.
    Illegal {
        /// The item's tag.
        tag: u16,
        /// The register's name.
        register: &'static str,
        /// The value.
        value: u64,
    },
    /// The record of what a guest's vCPUs share was expected, and this is none.
    NotOfGuest,
    /// The buffer for a new record is too small.
    NoSpace,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("the record is cut off"),
            Self::Long => f.write_str("the record is longer than it says"),
            Self::NoRecord => f.write_str("these bytes are no record"),
            Self::OtherInterface(name) => {
                f.write_str("the record is of interface ")?;
                name.iter()
                    .take_while(|byte| **byte != 0)
                    .try_for_each(|byte| write!(f, "{}", byte.escape_ascii()))
            }
            Self::Damaged => f.write_str("the record is damaged: its checksum differs"),
            Self::ItemLength(tag) => write!(f, "item {tag} has a wrong length"),
            Self::ItemTwice(tag) => write!(f, "item {tag} is there twice"),
            Self::UnknownItem(KIND) => {
                f.write_str("item 0: the record is of what a guest's vCPUs share, not of a vCPU")
            }
            Self::UnknownItem(tag) => write!(f, "item {tag} is unknown and not zero"),
            Self::Refused {
                tag,
                register,
                bits,
            } => {
                write!(
                    f,
                    "item {tag}: {register} with bits {bits:#x} is not accepted"
                )
            }
            Self::Illegal {
                tag,
                register,
                value,
            } => {
                write!(
                    f,
                    "item {tag}: {register} with the value {value:#x} is not accepted"
                )
            }
            Self::NotOfGuest => f.write_str(
                "the record is not of what a guest's vCPUs share: item 0 does not say so",
            ),
            Self::NoSpace => f.write_str("no space for the record"),
        }
    }
}

/// CRC-32C (Castagnoli) continued over `bytes`, by table-free shifts. A hypervisor gives its processor's instruction
/// instead.
pub fn crc32c(crc: u32, bytes: &[u8]) -> u32 {
    let step = |crc: u32| {
        if crc & 1 == 1 {
            crc >> 1 ^ 0x82f6_3b78
        } else {
            crc >> 1
        }
    };
    !bytes.iter().fold(!crc, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc))
    })
}

/// An interface's name as a record has it.
pub const fn name(text: &str) -> [u8; 8] {
    let (mut out, bytes) = ([0; 8], text.as_bytes());
    let mut i = 0;
    while i < 8 && i < bytes.len() {
        out[i] = bytes[i];
        i += 1;
    }
    out
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// CRC-32C continued over `bytes`, by the processor's instruction (SDM vol. 2, CRC32).
///
/// # Safety
/// The processor has SSE4.2 (CPUID leaf 1, ECX bit 20); nothing else is asked for.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
pub fn crc32c_sse42(crc: u32, bytes: &[u8]) -> u32 {
    use core::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u32, _mm_crc32_u64};
    let word = |crc, word: &[u8; 8]| _mm_crc32_u64(crc, u64::from_le_bytes(*word));
    // Blocks spare most of the loop's own instructions; of each smaller size there is one at most.
    let (blocks, rest) = bytes.as_chunks::<128>();
    let (large, rest) = rest.as_chunks::<64>();
    let (medium, rest) = rest.as_chunks::<32>();
    let (small, rest) = rest.as_chunks::<16>();
    let (words, rest) = rest.as_chunks::<8>();
    let (halves, rest) = rest.as_chunks::<4>();
    let crc = blocks.iter().fold(u64::from(!crc), |crc, block| {
        block.as_chunks().0.iter().fold(crc, word)
    });
    let crc = large
        .iter()
        .fold(crc, |crc, block| block.as_chunks().0.iter().fold(crc, word));
    let crc = medium
        .iter()
        .fold(crc, |crc, block| block.as_chunks().0.iter().fold(crc, word));
    let crc = small
        .iter()
        .fold(crc, |crc, block| block.as_chunks().0.iter().fold(crc, word));
    let crc = words.iter().fold(crc, word) as u32;
    let crc = halves.iter().fold(crc, |crc, half| {
        _mm_crc32_u32(crc, u32::from_le_bytes(*half))
    });
    !rest.iter().fold(crc, |crc, byte| _mm_crc32_u8(crc, *byte))
}

/// Puts an item of 64-bit words at a place. It has to fit, which generated code sees to.
#[inline(always)]
pub fn put<const W: usize>(items: &mut [u8], at: usize, tag: u16, words: &[u64; W]) {
    let Some((head, payload)) = items.get_mut(at..).and_then(<[u8]>::split_first_chunk_mut) else {
        return;
    };
    *head = head_of::<W>(tag);
    for (to, word) in payload.as_chunks_mut().0.iter_mut().zip(words) {
        *to = word.to_le_bytes();
    }
}

/// The words of the item at a place, little-endian, if it is this one and has so many.
#[inline(always)]
pub fn take<const W: usize>(items: &[u8], at: usize, tag: u16) -> Option<&[[u8; 8]; W]> {
    let (head, payload) = items.get(at..)?.split_first_chunk()?;
    if *head != head_of::<W>(tag) {
        return None;
    }
    payload.as_chunks().0.first_chunk()
}

/// Tag and length of an item.
#[inline(always)]
fn head_of<const W: usize>(tag: u16) -> [u8; ITEM] {
    (u32::from(tag) | (8 * W as u32) << 16).to_le_bytes()
}

/// The header of a record of `length` bytes, not yet sealed.
pub const fn header(interface: [u8; 8], version: u16, length: u16) -> [u8; HEADER] {
    let [m0, m1, m2, m3] = MAGIC;
    let [n0, n1, n2, n3, n4, n5, n6, n7] = interface;
    let ([v0, v1], [l0, l1]) = (version.to_le_bytes(), length.to_le_bytes());
    [
        m0, m1, m2, m3, n0, n1, n2, n3, n4, n5, n6, n7, v0, v1, l0, l1, 0, 0, 0, 0,
    ]
}

/// Puts the checksum into a header.
#[inline(always)]
pub fn seal(head: &mut [u8; HEADER], items: &[u8], crc32c: impl Fn(u32, &[u8]) -> u32) {
    if let Some((sealed, crc)) = head.split_last_chunk_mut() {
        *crc = crc32c(crc32c(0, sealed), items).to_le_bytes();
    }
}

type Fields = ([u8; 4], [u8; 8], [u8; 2], [u8; 2], [u8; 4]);

/// Magic, name, version, length and checksum of a header.
#[inline(always)]
fn fields(head: &[u8; HEADER]) -> Option<Fields> {
    let (magic, rest) = head.split_first_chunk()?;
    let (name, rest) = rest.split_first_chunk()?;
    let (version, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    Some((*magic, *name, *version, *length, *rest.first_chunk()?))
}

/// A record whose header and checksum are right.
#[derive(Clone, Copy, Debug)]
pub struct Record<'r> {
    /// The version that wrote it.
    pub version: u16,
    items: &'r [u8],
}

impl<'r> Record<'r> {
    /// Checks everything that does not depend on the version.
    ///
    /// # Errors
    /// All but those about items.
    #[inline(always)]
    pub fn open(
        bytes: &'r [u8],
        interface: [u8; 8],
        crc32c: impl Fn(u32, &[u8]) -> u32,
    ) -> Result<Self, RecordError> {
        let (head, items) = bytes.split_first_chunk::<HEADER>().ok_or(match bytes {
            [m0, m1, m2, m3, _, _, _, _, _, _, _, _, ..] if [*m0, *m1, *m2, *m3] != MAGIC => {
                RecordError::NoRecord
            }
            _ => RecordError::Short,
        })?;
        let (magic, name, version, length, crc) = fields(head).ok_or(RecordError::Short)?;
        if magic != MAGIC {
            return Err(RecordError::NoRecord);
        }
        let length = usize::from(u16::from_le_bytes(length));
        if bytes.len() < length || length < HEADER {
            return Err(RecordError::Short);
        }
        if bytes.len() > length || length > LONGEST {
            return Err(RecordError::Long);
        }
        let sealed: &[u8] = head.first_chunk::<CRC_AT>().ok_or(RecordError::Short)?;
        if crc != crc32c(crc32c(0, sealed), items).to_le_bytes() {
            return Err(RecordError::Damaged);
        }
        if name != interface {
            return Err(RecordError::OtherInterface(name));
        }
        Ok(Self {
            version: u16::from_le_bytes(version),
            items,
        })
    }

    /// The record without the item that says that it is of what a guest's vCPUs share.
    ///
    /// # Errors
    /// [`RecordError::NotOfGuest`] if there is no such item.
    pub fn of_guest(&self) -> Result<Self, RecordError> {
        let kind = take::<1>(self.items, 0, KIND).copied();
        match self.items.split_first_chunk::<{ ITEM + 8 }>() {
            Some((_, items)) if kind == Some([OF_GUEST.to_le_bytes()]) => Ok(Self {
                version: self.version,
                items,
            }),
            _ => Err(RecordError::NotOfGuest),
        }
    }

    /// Its items as bytes, if they are exactly so many.
    #[inline(always)]
    pub fn exactly<const N: usize>(&self) -> Option<&'r [u8; N]> {
        self.items.try_into().ok()
    }

    /// Its items: tag and payload.
    pub fn items(&self) -> Items<'r> {
        Items { rest: self.items }
    }
}

/// Items of a record. One that does not fit ends the iteration with an error.
#[derive(Clone, Debug)]
pub struct Items<'r> {
    rest: &'r [u8],
}

impl<'r> Iterator for Items<'r> {
    type Item = Result<(u16, &'r [u8]), RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((tag, length)) = u16_at(self.rest, 0).zip(u16_at(self.rest, 2)) else {
            self.rest = &[];
            return Some(Err(RecordError::Short));
        };
        let end = ITEM + usize::from(length);
        let Some((item, rest)) = self.rest.split_at_checked(end) else {
            self.rest = &[];
            return Some(Err(RecordError::ItemLength(tag)));
        };
        self.rest = rest;
        Some(Ok((tag, item.get(ITEM..).unwrap_or(&[]))))
    }
}

/// The words of an item; missing ones keep what `words` holds, and words too many have to be zero.
///
/// # Errors
/// [`RecordError::ItemLength`] when the payload is not whole words, or holds more that are not zero.
pub fn words(tag: u16, payload: &[u8], words: &mut [u64]) -> Result<(), RecordError> {
    let (chunks, rest) = payload.as_chunks::<8>();
    if !rest.is_empty() || chunks.is_empty() {
        return Err(RecordError::ItemLength(tag));
    }
    let mut to = words.iter_mut();
    for chunk in chunks {
        match to.next() {
            Some(word) => *word = u64::from_le_bytes(*chunk),
            None if *chunk == [0; 8] => {}
            None => return Err(RecordError::ItemLength(tag)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        // RFC 3720, B.4.
        assert_eq!(crc32c(0, &[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(0, &[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(crc32c(0, b"1234"), b"56789"), 0xe306_9283);
    }
}
