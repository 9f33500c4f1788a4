//! Machine-check banks as a guest's handler reads them (SDM volume 3, Machine-Check Architecture).

use crate::msr;

/// Global capabilities; bits 7:0 are the number of banks.
pub const MCG_CAP: u32 = 0x179;
/// Global status.
pub const MCG_STATUS: u32 = 0x17a;

/// MCi_STATUS: the record is valid.
pub const VALID: u64 = 1 << 63;

/// Registers of a bank, in their order from 0x400 + 4 * bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Register {
    /// MCi_CTL
    Control = 0,
    /// MCi_STATUS
    Status = 1,
    /// MCi_ADDR
    Address = 2,
    /// MCi_MISC
    Misc = 3,
}

/// Address of a bank's register.
pub const fn address(bank: usize, register: Register) -> u32 {
    0x400 + 4 * bank as u32 + register as u32
}

/// What a bank says about an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// MCi_STATUS
    pub status: u64,
    /// MCi_ADDR
    pub address: u64,
    /// MCi_MISC
    pub misc: u64,
}

/// How many banks MCG_CAP announces.
pub fn banks() -> usize {
    read(MCG_CAP) as usize & 0xff
}

/// Reads a bank.
pub fn record(bank: usize) -> Record {
    let register = |register| read(address(bank, register));
    Record {
        status: register(Register::Status),
        address: register(Register::Address),
        misc: register(Register::Misc),
    }
}

/// Clears a bank.
pub fn clear(bank: usize) {
    for register in [Register::Status, Register::Address, Register::Misc] {
        write_zero(address(bank, register));
    }
}

/// Reads a register that must be there.
///
/// # Panics
/// When it faults.
pub fn read(address: u32) -> u64 {
    msr::read(address).unwrap_or_else(|| panic!("reading MSR {address:#x} faults"))
}

/// Clears a register that must be there.
///
/// # Panics
/// When it faults.
pub fn write_zero(address: u32) {
    // SAFETY: machine-check registers change nothing that Rust relies on.
    let taken = unsafe { msr::write(address, 0) };
    taken.unwrap_or_else(|| panic!("writing 0 to MSR {address:#x} faults"));
}

/// Sets CR4.MCE: from now on machine checks are exceptions; before, they shut the guest down.
pub fn enable() {
    const MCE: u64 = 1 << 6;
    // SAFETY: the interrupt descriptor table has the vector.
    unsafe {
        core::arch::asm!(
            "mov {scratch}, cr4", "or {scratch}, {bit}", "mov cr4, {scratch}",
            scratch = out(reg) _, bit = const MCE,
            options(nostack),
        );
    }
}
