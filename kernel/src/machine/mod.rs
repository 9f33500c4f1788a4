//! The physical machine: processors, interrupts, memory, time, ports. The only place with I/O.
//!
//! Principles: ordinary context runs with interrupts off and never waits for another processor that might wait for it; NMI
//! and #MC have their own stacks and touch only what is said to be theirs.

pub mod apic;
pub mod clock;
pub mod descriptors;
pub mod guest_copy;
pub mod identity;
pub mod lock;
pub mod log;
pub mod machine_check;
pub mod mem_functions;
pub mod memory;
pub mod messages;
pub mod own_cell;
pub mod power;
pub mod processor;
pub mod serial;
pub mod serial_input;
pub mod slots;
pub mod smp;
pub mod traps;

/// The time stamp counter.
#[inline(always)]
pub fn tsc() -> u64 {
    // SAFETY: RDTSC is available on every processor with long mode and has no effect but its result.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// RDMSR.
///
/// # Safety
/// The MSR exists on this processor.
#[inline(always)]
pub unsafe fn rdmsr(msr: u32) -> u64 {
    // SAFETY: by the caller.
    unsafe { x86::msr::rdmsr(msr) }
}

/// WRMSR.
///
/// # Safety
/// The MSR exists on this processor, accepts the value, and what it changes does not break Rust's view of memory.
#[inline(always)]
pub unsafe fn wrmsr(msr: u32, value: u64) {
    // SAFETY: by the caller.
    unsafe { x86::msr::wrmsr(msr, value) }
}

/// Does nothing, for ever; NMI and #MC still come.
pub fn halt() -> ! {
    loop {
        // SAFETY: halting with interrupts off only waits for an NMI or a machine check.
        unsafe { core::arch::asm!("cli", "hlt", options(nomem, nostack)) };
    }
}
