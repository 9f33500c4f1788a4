//! A guest's MSR bitmap, in a page of its own.

use kernel::guest::msr_bitmap::{EVERYTHING_EXITS, let_through};
use kernel::handover::arena::OutOfMemory;
use kernel::units::Hpa;
use msr_runtime::PassThrough;

use crate::machine::memory;

/// A bitmap page in which exactly `pass` does not exit.
pub fn create<'a>(pass: impl Iterator<Item = &'a PassThrough>) -> Result<Hpa, OutOfMemory> {
    let bitmap = memory::place(EVERYTHING_EXITS)?;
    let_through(bitmap, pass);
    Ok(Hpa(bitmap.as_ptr() as u64))
}
