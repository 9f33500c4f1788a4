//! The one table of hypercalls.
//!
//! `VMCALL` at CPL 0 with the number in RAX and arguments in RDI, RSI, RDX, R10, R8; the result comes back in RAX. Every other
//! register is kept. A result with the top bit set is an [`Error`].

use crate::mc::refused::Refused;

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
    /// The privileged guest asks to be told of errors: from now on each record ([`crate::records`]) gives the calling vCPU one interrupt with the vector
    /// in RDI ([`FIRST_VECTOR`] to 255; 0: no interrupts any more). Returns how many records wait to be read, those from before the reset among them;
    /// for these no interrupt comes. Calling it again replaces what was said before, on whichever vCPU.
    ///
    /// The interrupt is external, as one of an 8259: the task priority does not hold it up, and it needs no EOI. INIT of the vCPU ends it.
    RecordNotify = 6,
    /// The privileged guest reads the oldest record, which is then gone: [`crate::records::RECORD_BYTES`] bytes are written to guest-physical RDI;
    /// RSI says how many there is room for. Returns 1, or 0 if no record waits. [`Error::Memory`]: it could not be written, and is still there.
    RecordRead = 7,
    /// The privileged guest takes a page out of use: of the guest with the number in RDI ([`HOST`]: as the host counts) the one with the address in
    /// RSI. A guest that touches it is stopped; its content stays. Returns 0.
    PageOut = 8,
    /// The privileged guest puts a page back into use that is out of it. Arguments and result as for [`Hypercall::PageOut`].
    PageBack = 9,
    /// The privileged guest takes the processor with the number in RDI (as in records) out of use: its vCPUs, the caller perhaps among them, go on on
    /// others before they execute anything more. Returns 0.
    ProcessorOut = 10,
    /// The privileged guest puts the processor with the number in RDI back into use: its vCPUs come back to it. Returns 0.
    ProcessorBack = 11,
}

/// Whose address it is, in a hypercall about a page: the host's.
pub const HOST: u64 = u64::MAX;

/// The first vector that [`Hypercall::RecordNotify`] takes: those before it are exceptions'.
pub const FIRST_VECTOR: u64 = 32;

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
/// Flag of [`Hypercall::Fault`]: the error comes in the middle of the next VM entry of the vCPU that asks that is to deliver an event which has waited
/// for it: an NMI, an interrupt, what an exit or #MC has put off. That entry is not made; it is answered, on the processor that the vCPU is on then, as one that has
/// failed by a machine check (exit reason 41). One such error at a time.
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
            6 => Self::RecordNotify,
            7 => Self::RecordRead,
            8 => Self::PageOut,
            9 => Self::PageBack,
            10 => Self::ProcessorOut,
            11 => Self::ProcessorBack,
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
    /// The caller is not the guest's kernel (CPL is not 0), or its guest is not the privileged one.
    Privilege = -3,
    /// Memory that the hypervisor should read or write is not the guest's, is out of use, or has an error. The guest's machine check follows
    /// if it is that.
    Memory = -4,
    /// There is no such page, or the memory map does not leave it to the hypervisor.
    NoPage = -5,
    /// The page is the hypervisor's, which cannot do without it.
    HypervisorPage = -6,
    /// It is out of use already.
    OutOfUse = -7,
    /// It is in use.
    InUse = -8,
    /// A processor has still to flush its translations of pages that went out of use.
    Unflushed = -9,
    /// There is no such processor.
    NoProcessor = -10,
    /// The processor keeps house for all others, and stays in use.
    KeepsHouse = -11,
}

impl From<Refused> for Error {
    fn from(reason: Refused) -> Self {
        match reason {
            Refused::NoGuestMemory | Refused::NoMemory => Self::NoPage,
            Refused::HypervisorPage => Self::HypervisorPage,
            Refused::OutOfUse => Self::OutOfUse,
            Refused::InUse => Self::InUse,
            Refused::Unflushed => Self::Unflushed,
            Refused::NoProcessor => Self::NoProcessor,
            Refused::KeepsHouse => Self::KeepsHouse,
            _ => Self::Argument,
        }
    }
}

/// CPUID leaf with the signature `BankshotHV\0\0` in EBX, ECX, EDX and the highest hypervisor leaf in EAX.
pub const LEAF_SIGNATURE: u32 = 0x4000_0000;
/// CPUID leaf: EAX vCPUs of this guest, EBX index of this vCPU, ECX version of this table.
pub const LEAF_GUEST: u32 = 0x4000_0001;
/// Version of this table.
pub const ABI_VERSION: u32 = 3;
