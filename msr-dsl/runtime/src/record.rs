//! The saved record of one vCPU.
//!
//! Little-endian. A header of [`HEADER`] bytes: magic, the interface's name (zero-padded), the version that wrote it, the
//! whole length in bytes, and a CRC-32C over everything but itself. Then items: tag, length of the payload, payload.
//! Nothing in it is trusted.

use core::fmt;

/// The first bytes of a record.
pub const MAGIC: [u8; 4] = *b"MSR1";
/// Bytes before the first item.
pub const HEADER: usize = 20;
/// Bytes of an item before its payload.
pub const ITEM: usize = 4;
/// No record is longer.
pub const LONGEST: usize = 4096;

const NAME: core::ops::Range<usize> = 4..12;
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

/// Writes a record, item by item.
#[derive(Debug)]
pub struct Writer<'b> {
    out: &'b mut [u8],
    at: usize,
}

impl<'b> Writer<'b> {
    /// A record that will have `length` bytes in all.
    ///
    /// # Errors
    /// [`RecordError::NoSpace`].
    pub fn new(
        out: &'b mut [u8],
        interface: [u8; 8],
        version: u16,
        length: usize,
    ) -> Result<Self, RecordError> {
        let out = out.get_mut(..length).ok_or(RecordError::NoSpace)?;
        let mut writer = Self { out, at: 0 };
        writer.put(&MAGIC)?;
        writer.put(&interface)?;
        writer.put(&version.to_le_bytes())?;
        writer.put(&(length as u16).to_le_bytes())?;
        writer.put(&[0; 4])?;
        Ok(writer)
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), RecordError> {
        let to = self
            .out
            .get_mut(self.at..self.at + bytes.len())
            .ok_or(RecordError::NoSpace)?;
        to.copy_from_slice(bytes);
        self.at += bytes.len();
        Ok(())
    }

    /// An item of 64-bit words.
    ///
    /// # Errors
    /// [`RecordError::NoSpace`].
    #[inline]
    pub fn item(&mut self, tag: u16, words: &[u64]) -> Result<(), RecordError> {
        self.put(&tag.to_le_bytes())?;
        self.put(&((words.len() * 8) as u16).to_le_bytes())?;
        words
            .iter()
            .try_for_each(|word| self.put(&word.to_le_bytes()))
    }

    /// Seals the record; gives its length in bytes.
    ///
    /// # Errors
    /// [`RecordError::NoSpace`].
    pub fn finish(self, crc32c: impl Fn(u32, &[u8]) -> u32) -> Result<usize, RecordError> {
        let crc = checksum(self.out, crc32c).ok_or(RecordError::NoSpace)?;
        let at = self
            .out
            .get_mut(CRC_AT..HEADER)
            .ok_or(RecordError::NoSpace)?;
        at.copy_from_slice(&crc.to_le_bytes());
        Ok(self.at)
    }
}

fn checksum(bytes: &[u8], crc32c: impl Fn(u32, &[u8]) -> u32) -> Option<u32> {
    Some(crc32c(
        crc32c(0, bytes.get(..CRC_AT)?),
        bytes.get(HEADER..)?,
    ))
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
    pub fn open(
        bytes: &'r [u8],
        interface: [u8; 8],
        crc32c: impl Fn(u32, &[u8]) -> u32,
    ) -> Result<Self, RecordError> {
        let (magic, written) = (
            bytes.get(..4).ok_or(RecordError::Short)?,
            bytes.get(NAME).ok_or(RecordError::Short)?,
        );
        if magic != MAGIC {
            return Err(RecordError::NoRecord);
        }
        let version = u16_at(bytes, 12).ok_or(RecordError::Short)?;
        let length = usize::from(u16_at(bytes, 14).ok_or(RecordError::Short)?);
        if bytes.len() < HEADER || bytes.len() < length || length < HEADER {
            return Err(RecordError::Short);
        }
        if bytes.len() > length || length > LONGEST {
            return Err(RecordError::Long);
        }
        let crc = bytes
            .get(CRC_AT..HEADER)
            .and_then(|crc| crc.first_chunk())
            .map(|crc| u32::from_le_bytes(*crc));
        if crc != checksum(bytes, crc32c) {
            return Err(RecordError::Damaged);
        }
        if written != interface {
            let mut name = [0; 8];
            name.iter_mut()
                .zip(written)
                .for_each(|(to, from)| *to = *from);
            return Err(RecordError::OtherInterface(name));
        }
        Ok(Self {
            version,
            items: bytes.get(HEADER..).ok_or(RecordError::Short)?,
        })
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
