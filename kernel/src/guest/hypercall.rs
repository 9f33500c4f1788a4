//! The one table of hypercalls.
//!
//! `VMCALL` at CPL 0 with the number in RAX and arguments in RDI, RSI, RDX, R10, R8; the result comes back in RAX. Every other
//! register is kept. A result with the top bit set is an [`Error`].

/// Number of each hypercall (RAX).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Hypercall {
    /// Console output: RDI holds up to 8 bytes, first byte lowest; RSI how many (1 to 8). A line feed ends a line.
    Console = 1,
    /// The guest ends: RDI is its exit code.
    Shutdown = 2,
    /// Raises a fault (images with the `faults` feature): RDI = bank | flags << 8 ([`FAULT_BROADCAST`],
    /// [`FAULT_GUEST_PHYSICAL`], [`FAULT_OTHER_GUEST`], [`FAULT_ON_TOUCH`], [`FAULT_ON_ENTRY`]) | processor << 16 (0xffff: this one) | guest << 32 | page << 40, RSI = MCi_STATUS, RDX = MCG_STATUS,
    /// R10 = MCi_ADDR, R8 = MCi_MISC. Returns 0 when the machine check has been handled.
    Fault = 3,
    /// Time stamp counter at the moment the last fault was raised (`faults` feature).
    FaultTime = 4,
    /// Console output from memory: RDI is the guest-physical address of the bytes, RSI how many (1 to [`MAX_BUFFER`]). Returns
    /// [`Error::Memory`] where they cannot be read; then nothing is written.
    ConsoleBuffer = 5,
}

/// Bytes that one [`Hypercall::ConsoleBuffer`] takes.
pub const MAX_BUFFER: usize = 256;

/// Flag of [`Hypercall::Fault`]: every processor gets the #MC.
pub const FAULT_BROADCAST: u64 = 1 << 0;
/// Flag of [`Hypercall::Fault`]: the address is this guest's guest-physical address.
pub const FAULT_GUEST_PHYSICAL: u64 = 1 << 1;
/// Flag of [`Hypercall::Fault`]: the address is guest-physical in the guest with the number in RDI's bits 39:32.
pub const FAULT_OTHER_GUEST: u64 = 1 << 2;
/// Flag of [`Hypercall::Fault`]: the error is raised when a vCPU of this guest on this processor next touches this guest's page with the
/// number in RDI's bits 63:40, by that VM exit and on the processor that touches it. With a MCi_STATUS of 0 nothing is raised: there is but
/// the exit. One page at a time.
pub const FAULT_ON_TOUCH: u64 = 1 << 3;
/// Flag of [`Hypercall::Fault`]: the error comes in the middle of the next VM entry on this processor that is to deliver an event. That entry
/// is not made; it is answered as one that has failed by a machine check (exit reason 41). One such error at a time.
pub const FAULT_ON_ENTRY: u64 = 1 << 4;

impl Hypercall {
    /// The hypercall of that number.
    pub const fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::Console,
            2 => Self::Shutdown,
            3 => Self::Fault,
            4 => Self::FaultTime,
            5 => Self::ConsoleBuffer,
            _ => return None,
        })
    }
}

/// What a refused hypercall returns in RAX (as two's complement).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum Error {
    /// No such hypercall in this image.
    Unknown = -1,
    /// An argument is out of range.
    Argument = -2,
    /// The caller is not the guest's kernel (CPL is not 0).
    Privilege = -3,
    /// Memory that the hypervisor should read is not the guest's, is out of use, or has an error. The guest's machine check follows
    /// if it is that.
    Memory = -4,
}

/// CPUID leaf with the signature `BankshotHV\0\0` in EBX, ECX, EDX and the highest hypervisor leaf in EAX.
pub const LEAF_SIGNATURE: u32 = 0x4000_0000;
/// CPUID leaf: EAX vCPUs of this guest, EBX index of this vCPU, ECX version of this table.
pub const LEAF_GUEST: u32 = 0x4000_0001;
/// Version of this table.
pub const ABI_VERSION: u32 = 2;
