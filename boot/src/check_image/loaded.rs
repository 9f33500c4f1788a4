//! How large the image is.

use object::read::elf::ElfFile64;
use object::{Object, ObjectSegment};

/// Bytes that are loaded from the file: text, constants, data; not what starts as zero.
pub fn loaded(file: &ElfFile64<'_>) -> u64 {
    file.segments().map(|segment| segment.file_range().1).sum()
}
