//! What a build must keep true of the image: its size, and that the fast exit path leaves vector state alone.

mod fast_path;
mod jump_table;
mod loaded;

use object::read::elf::ElfFile64;

pub use fast_path::check as check_fast_path;
use loaded::loaded;

use crate::error::{Error, Result};

/// Text and data of the image, at most, in bytes.
pub const SIZE_BUDGET: u64 = 256 << 10;

/// What the VM-exit assembly calls while XMM still holds the guest's values: a function for each version of an interface.
pub const FAST_EXIT: &str = "fast_exit";

/// Checks an image.
///
/// # Errors
/// The first thing that is not so.
pub fn check(elf: &[u8]) -> Result<()> {
    let file = parse(elf)?;
    let size = loaded(&file);
    if size > SIZE_BUDGET {
        return Err(Error::Impossible(format!(
            "the image has {size} bytes of text and data, more than {SIZE_BUDGET}"
        )));
    }
    check_fast_path(&file, FAST_EXIT).map_err(Error::Impossible)
}

/// Text and data of an image, in bytes.
///
/// # Errors
/// It is no ELF64.
pub fn size(elf: &[u8]) -> Result<u64> {
    Ok(loaded(&parse(elf)?))
}

fn parse(elf: &[u8]) -> Result<ElfFile64<'_>> {
    ElfFile64::parse(elf).map_err(|why| Error::Impossible(format!("the image is no ELF64: {why}")))
}

#[cfg(test)]
mod tests;
