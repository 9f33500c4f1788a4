//! MSRs, with a fault (#GP) as an answer instead of an end.

use core::arch::global_asm;

use crate::exceptions::Frame;

// Answers in RAX (value, or whether the write was taken) and RDX (whether the read was). A fault in `*_at` goes on at
// `*_fault`.
global_asm!(
    ".pushsection .text.msr, \"ax\"",
    "msr_read:",
    "mov ecx, edi",
    "msr_read_at:",
    "rdmsr",
    "shl rdx, 32",
    "or rax, rdx",
    "mov edx, 1",
    "ret",
    "msr_read_fault:",
    "xor eax, eax",
    "xor edx, edx",
    "ret",
    "msr_write:",
    "mov ecx, edi",
    "mov eax, esi",
    "mov rdx, rsi",
    "shr rdx, 32",
    "msr_write_at:",
    "wrmsr",
    "mov eax, 1",
    "ret",
    "msr_write_fault:",
    "xor eax, eax",
    "ret",
    ".popsection",
);

#[repr(C)]
struct Read {
    value: u64,
    taken: u64,
}

unsafe extern "C" {
    safe fn msr_read(address: u32) -> Read;
    fn msr_write(address: u32, value: u64) -> u64;
    static msr_read_at: u8;
    static msr_read_fault: u8;
    static msr_write_at: u8;
    static msr_write_fault: u8;
}

/// Reads an MSR; `None` when that faults.
pub fn read(address: u32) -> Option<u64> {
    let Read { value, taken } = msr_read(address);
    (taken != 0).then_some(value)
}

/// Writes an MSR; `None` when that faults.
///
/// # Safety
/// The MSR must not change what Rust relies on: paging, segment bases, the processor's mode.
#[must_use]
pub unsafe fn write(address: u32, value: u64) -> Option<()> {
    // SAFETY: as the caller promises.
    (unsafe { msr_write(address, value) } != 0).then_some(())
}

/// Sends a #GP of an MSR access to its fix-up; false when the fault came from elsewhere.
pub(crate) fn fix_up(frame: &mut Frame) -> bool {
    let pairs = [
        (&raw const msr_read_at, &raw const msr_read_fault),
        (&raw const msr_write_at, &raw const msr_write_fault),
    ];
    let found = pairs.iter().find(|(at, _)| at.addr() as u64 == frame.rip);
    if let Some((_, fault)) = found {
        frame.rip = fault.addr() as u64;
    }
    found.is_some()
}
