//! The MSR bitmap (SDM vol. 3, 25.6.9): made from the pass-through lines of the guest's specs; whatever they do not list exits.

use kernel::handover::arena::OutOfMemory;
use kernel::units::{Hpa, PAGE_SIZE};
use msr_runtime::PassThrough;

use crate::machine::memory;

const READ_LOW: usize = 0;
const READ_HIGH: usize = 1024;
const WRITE_LOW: usize = 2048;
const WRITE_HIGH: usize = 3072;
const HIGH: u32 = 0xc000_0000;
/// MSRs in each half.
const HALF: u32 = 0x2000;

/// A bitmap page in which exactly `pass` does not exit.
pub fn create<'a>(pass: impl Iterator<Item = &'a PassThrough>) -> Result<Hpa, OutOfMemory> {
    let bitmap = memory::place([0xffu8; PAGE_SIZE as usize])?;
    for range in pass {
        for msr in range.first..=range.last {
            if range.read {
                clear(bitmap, READ_LOW, READ_HIGH, msr);
            }
            if range.write {
                clear(bitmap, WRITE_LOW, WRITE_HIGH, msr);
            }
        }
    }
    Ok(Hpa(bitmap.as_ptr() as u64))
}

/// An MSR outside both halves always exits; there is no bit to clear.
fn clear(bitmap: &mut [u8; PAGE_SIZE as usize], low: usize, high: usize, msr: u32) {
    let (part, index) = if msr < HALF {
        (low, msr)
    } else {
        (high, msr.wrapping_sub(HIGH))
    };
    if index < HALF {
        bitmap[part + index as usize / 8] &= !(1 << (index % 8));
    }
}
