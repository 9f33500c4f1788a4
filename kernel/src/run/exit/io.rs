//! I/O ports: a guest has no devices. As on a bus where nothing answers, reads give all ones and writes go nowhere.

use crate::vmx::registers::Registers;

/// A string instruction, which would touch the guest's memory.
pub struct Unsupported;

/// IN or OUT by its exit qualification (SDM vol. 3, table 28-5).
pub fn access(qualification: u64, registers: &mut Registers) -> Result<(), Unsupported> {
    const IN: u64 = 1 << 3;
    const STRING: u64 = 1 << 4;
    if qualification & STRING != 0 {
        return Err(Unsupported);
    }
    if qualification & IN != 0 {
        // One, two or four bytes; a write to EAX clears the upper half of RAX.
        registers.rax = match qualification & 7 {
            0 => registers.rax | 0xff,
            1 => registers.rax | 0xffff,
            _ => 0xffff_ffff,
        };
    }
    Ok(())
}
