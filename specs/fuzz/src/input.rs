//! How an input of the record target reads.

use msr_runtime::record::{HEADER, crc32c, seal};

/// A record, and what to do with it.
pub struct Input {
    /// Which version restores it, modulo their number.
    pub version: usize,
    /// To which version it is converted.
    pub to: usize,
    /// The bytes.
    pub record: Vec<u8>,
}

/// In the third byte: length and checksum are to be mended.
pub const MEND: u8 = 1;

impl Input {
    /// From libFuzzer's bytes: version, the version to convert to, flags, and the record. No fuzzer finds a checksum: mostly it is put in.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let ([version, to, flags], record) = bytes.split_first_chunk()?;
        let mut record = record.to_vec();
        if flags & MEND != 0 {
            mend(&mut record);
        }
        Some(Self {
            version: usize::from(*version),
            to: usize::from(*to),
            record,
        })
    }
}

fn mend(record: &mut [u8]) {
    let length = record.len() as u16;
    if let Some((head, items)) = record.split_first_chunk_mut::<HEADER>() {
        head[14..16].copy_from_slice(&length.to_le_bytes());
        seal(head, items, crc32c);
    }
}
