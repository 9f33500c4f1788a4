//! What the boot loader and the firmware hand over: multiboot2 information, ACPI tables, memory. Pure readers of bytes.
//!
//! Nothing here is trusted: a truncated or senseless table gives an error value or is passed over, never a panic.

pub mod acpi;
pub mod arena;
pub mod command_line;
pub mod layout;
pub mod module;
pub mod multiboot;

/// A little-endian number at `offset`, where the bytes reach that far.
fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let field = bytes.get(offset..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*field))
}

/// A little-endian number at `offset`, where the bytes reach that far.
fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    let field = bytes.get(offset..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*field))
}
