//! What a build must keep true of the image: its size, that the fast exit path leaves vector state alone, and that nothing that interrupts takes
//! a lock, waits for ever, or lets a guest run on that has mail.

mod fast_path;
mod jump_table;
mod loaded;
mod loops;
mod machine_check;
mod walk;

use object::read::elf::ElfFile64;

use loaded::loaded;

use crate::error::{Error, Result};

/// Text and data of the image, at most, in bytes.
pub const SIZE_BUDGET: u64 = 256 << 10;

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
    for rule in [
        fast_path::RULE,
        machine_check::RULE,
        machine_check::LEAVES_GUEST,
    ] {
        walk::walk(&file, &rule).map_err(Error::Impossible)?;
    }
    Ok(())
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
