//! The machine-check MSRs of the physical machine (SDM vol. 3, "Machine-Check MSRs").

use bitfield_struct::bitfield;

use super::code::ErrorCode;
use crate::units::{Bank, PAGE_SIZE};

/// IA32_FEATURE_CONTROL.
pub const FEATURE_CONTROL: u32 = 0x3a;
/// IA32_MCG_CAP.
pub const MCG_CAP: u32 = 0x179;
/// IA32_MCG_STATUS.
pub const MCG_STATUS: u32 = 0x17a;
/// IA32_MCG_CTL, present with MCG_CTL_P.
pub const MCG_CTL: u32 = 0x17b;
/// IA32_MC0_CTL2, present with MCG_CMCI_P; the others follow one by one.
pub const MC0_CTL2: u32 = 0x280;
/// IA32_MC0_CTL; STATUS, ADDR, MISC follow, then the next bank.
pub const MC0_CTL: u32 = 0x400;
/// IA32_MCG_EXT_CTL, present with MCG_LMCE_P.
pub const MCG_EXT_CTL: u32 = 0x4d0;

/// Banks that have an address: MSRs from 0x480 on are something else.
pub const MAX_BANKS: usize = 32;

/// FEATURE_CONTROL: the register is locked.
pub const FEATURE_CONTROL_LOCKED: u64 = 1 << 0;
/// FEATURE_CONTROL: local machine checks may be enabled.
pub const FEATURE_CONTROL_LMCE_ON: u64 = 1 << 20;
/// MCG_EXT_CTL: local machine checks are enabled.
pub const LMCE_EN: u64 = 1 << 0;

impl Bank {
    /// MSR number of this bank's MCi_CTL.
    pub const fn ctl(self) -> u32 {
        MC0_CTL + 4 * self.0 as u32
    }

    /// MSR number of this bank's MCi_STATUS.
    pub const fn status(self) -> u32 {
        self.ctl() + 1
    }

    /// MSR number of this bank's MCi_ADDR.
    pub const fn addr(self) -> u32 {
        self.ctl() + 2
    }

    /// MSR number of this bank's MCi_MISC.
    pub const fn misc(self) -> u32 {
        self.ctl() + 3
    }
}

/// IA32_MCG_CAP.
#[bitfield(u64)]
#[derive(PartialEq, Eq)]
pub struct McgCap {
    /// How many banks the processor has.
    pub count: u8,
    /// MCG_CTL exists.
    pub ctl_p: bool,
    /// Extended state registers exist.
    pub ext_p: bool,
    /// Corrected errors can raise an interrupt (CMCI).
    pub cmci_p: bool,
    /// Threshold-based error status.
    pub tes_p: bool,
    #[bits(4)]
    __: u8,
    /// How many extended state registers.
    pub ext_count: u8,
    /// Software error recovery: S and AR of MCi_STATUS mean something.
    pub ser_p: bool,
    __: bool,
    /// Enhanced logging.
    pub elog_p: bool,
    /// Local machine checks.
    pub lmce_p: bool,
    #[bits(36)]
    __: u64,
}

impl McgCap {
    /// How many banks there are to read.
    pub fn banks(self) -> u8 {
        self.count().min(MAX_BANKS as u8)
    }
}

/// IA32_MCG_STATUS.
#[bitfield(u64)]
#[derive(PartialEq, Eq)]
pub struct McgStatus {
    /// The interrupted context can go on.
    pub ripv: bool,
    /// The interrupted instruction is the one that met the error.
    pub eipv: bool,
    /// A machine check is being handled.
    pub mcip: bool,
    /// This #MC went to this processor alone.
    pub lmce_s: bool,
    #[bits(60)]
    __: u64,
}

impl McgStatus {
    /// A shared bank shows its error here, but this processor's context has nothing to do with it.
    pub fn is_bystander(self) -> bool {
        self.ripv() && !self.eipv()
    }
}

/// IA32_MCi_STATUS.
#[bitfield(u64)]
#[derive(PartialEq, Eq)]
pub struct Status {
    /// MCACOD, the architectural error code.
    pub mcacod: u16,
    /// MSCOD, the model-specific code.
    pub mscod: u16,
    #[bits(23)]
    __: u32,
    /// With MCG_SER_P: action required.
    pub ar: bool,
    /// With MCG_SER_P: signalled by an #MC.
    pub s: bool,
    /// The processor's context is corrupt.
    pub pcc: bool,
    /// MCi_ADDR holds an address.
    pub addrv: bool,
    /// MCi_MISC holds something.
    pub miscv: bool,
    /// The error was enabled in MCi_CTL.
    pub en: bool,
    /// Uncorrected.
    pub uc: bool,
    /// An earlier error was lost.
    pub over: bool,
    /// The bank holds an error.
    pub val: bool,
}

impl Status {
    /// MCACOD, to be read.
    pub fn code(self) -> ErrorCode {
        ErrorCode(self.mcacod())
    }

    /// An error that requires action, for a guest of whose contexts none consumed it: to that guest it is what a memory scrub has
    /// found. With AR its handler would look for the instruction that met it, which there is not: Linux panics.
    pub fn without_consumer(self) -> Self {
        self.with_ar(false).with_mcacod(ErrorCode::MEMORY_SCRUB.0)
    }
}

/// IA32_MCi_MISC, as a bank with MCG_SER_P reports an address ("UCR errors" in the SDM).
#[bitfield(u64)]
#[derive(PartialEq, Eq)]
pub struct Misc {
    /// Number of the lowest valid bit of the address.
    #[bits(6)]
    pub lsb: u8,
    /// Kind of the address; see [`Misc::PHYSICAL`].
    #[bits(3)]
    pub mode: u8,
    #[bits(55)]
    __: u64,
}

impl Misc {
    /// Address mode: a physical memory address.
    pub const PHYSICAL: u8 = 2;
    /// The LSB field of an address that is good for one 4 KiB page.
    pub const PAGE_LSB: u8 = PAGE_SIZE.trailing_zeros() as u8;
}
