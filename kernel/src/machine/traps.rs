//! Exceptions and NMI in root mode: entry code, the IDT, and who handles what.

mod entry;

use core::arch::global_asm;

use super::descriptors::{Gate, IST_EXCEPTION, IST_MACHINE_CHECK, IST_NMI, TablePointer};
use super::guest_copy;
use super::memory::Once;
use super::processor::{
    MACHINE_CHECK_STACK_BOTTOM, MACHINE_CHECK_STACK_TOP, NMI_STACK_BOTTOM, NMI_STACK_TOP,
};
use entry::{machine_check_entry, nmi_entry};

const VECTORS: usize = 32;
const NMI: usize = 2;
const MACHINE_CHECK: usize = 18;

/// What the processor pushed, and the entry code below it.
#[repr(C)]
pub struct Frame {
    /// The interrupted instruction.
    pub rip: u64,
    cs: u64,
    rflags: u64,
    /// The interrupted stack.
    pub rsp: u64,
    ss: u64,
}

unsafe extern "C" {
    static idle_check: [u8; 0];
    static idle_end: [u8; 0];
    static exception_stubs: [u8; 0];
    static try_wrmsr_at: [u8; 0];
    static try_rdmsr_at: [u8; 0];
    static try_msr_refused: [u8; 0];
    fn try_wrmsr(msr: u32, value: u64) -> bool;
    fn try_rdmsr(msr: u32) -> u64;
    fn idle(requests: *const u32);
}

global_asm!(
    r#"
    # Every other exception is the hypervisor's own fault: a stub of 16 bytes each, vector in RSI.
    .balign 16
    .globl exception_stubs
exception_stubs:
    .set vector, 0
    .rept {vectors}
    .balign 16
    mov esi, vector
    jmp exception_entry
    .set vector, vector + 1
    .endr
exception_entry:
    mov rdi, rsp
    and rsp, -16
    call {exception}                        # comes back with a frame, if there is a way on: only from a function's call
    mov rsp, rax
    iretq

    # try_wrmsr(msr, value): whether the MSR took the value.
    .globl try_wrmsr
try_wrmsr:
    mov ecx, edi
    mov eax, esi
    mov rdx, rsi
    shr rdx, 32
    .globl try_wrmsr_at
try_wrmsr_at:
    wrmsr
    mov eax, 1
    ret
    .globl try_msr_refused
try_msr_refused:
    xor eax, eax
    ret

    # try_rdmsr(msr): what the MSR holds; 0 where there is none.
    .globl try_rdmsr
try_rdmsr:
    mov ecx, edi
    .globl try_rdmsr_at
try_rdmsr_at:
    rdmsr
    shl rdx, 32
    or rax, rdx
    ret

    # idle(requests): halts unless somebody asks for something. An NMI between the check and HLT skips the HLT.
    .globl idle
idle:
    .globl idle_check
idle_check:
    cmp dword ptr [rdi], 0
    jne idle_end
    hlt
    .globl idle_end
idle_end:
    ret

    .section .rodata
    .balign 4
    .globl default_mxcsr
default_mxcsr: .long 0x1f80
    .text
    "#,
    exception = sym exception,
    vectors = const VECTORS,
);

struct Idt(core::cell::UnsafeCell<[Gate; VECTORS]>);

// SAFETY: written by `init` alone, before another processor runs.
unsafe impl Sync for Idt {}

static IDT: Idt = Idt(core::cell::UnsafeCell::new([Gate::ABSENT; VECTORS]));

/// Who handles what comes in root mode.
pub struct Handlers {
    /// An NMI.
    pub nmi: fn(),
    /// A machine check; whether it interrupted a copy that can be made to fail. Returns whether it has to.
    pub machine_check: fn(bool) -> bool,
    /// Any other exception: the hypervisor's own fault.
    pub exception: fn(Exception) -> !,
}

/// An exception that should not have come.
#[derive(Clone, Copy, Debug)]
pub struct Exception {
    /// Its vector.
    pub vector: u32,
    /// The instruction that met it.
    pub rip: u64,
    /// CR2.
    pub address: u64,
}

static HANDLERS: Once<Handlers> = Once::new();

/// Fills the IDT. Once, by processor 0.
pub fn init(handlers: Handlers) {
    HANDLERS.set(handlers);
    let stubs = (&raw const exception_stubs) as u64;
    // SAFETY: no other processor runs yet.
    let gates = unsafe { &mut *IDT.0.get() };
    for (vector, gate) in gates.iter_mut().enumerate() {
        *gate = match vector {
            NMI => Gate::new(nmi_entry as *const () as u64, IST_NMI),
            MACHINE_CHECK => Gate::new(machine_check_entry as *const () as u64, IST_MACHINE_CHECK),
            _ => Gate::new(stubs + 16 * vector as u64, IST_EXCEPTION),
        };
    }
}

/// Address of the IDT, for the VMCS.
pub fn idt_base() -> u64 {
    IDT.0.get() as u64
}

/// Loads the IDT on this processor.
pub fn load() {
    let pointer = TablePointer {
        limit: (size_of::<Gate>() * VECTORS) as u16 - 1,
        base: idt_base(),
    };
    // SAFETY: the table lives for ever and its gates are filled.
    unsafe {
        core::arch::asm!("lidt [{}]", in(reg) &pointer, options(nostack, readonly, preserves_flags))
    };
}

/// Sleeps until an NMI or a machine check, unless `requests` is not zero.
pub fn sleep(requests: &core::sync::atomic::AtomicU32) {
    // SAFETY: `idle` reads the word and halts; interrupts are off, and NMI and #MC wake it.
    unsafe { idle(requests.as_ptr()) };
}

/// Lets NMIs through again: they stay blocked after a VM exit that one caused until an IRET (SDM vol. 3, 28.2).
pub fn unblock_nmi() {
    // SAFETY: returns to the next instruction with the same stack, flags and segments.
    unsafe {
        core::arch::asm!(
            "mov {rsp}, rsp",
            "mov {ss:e}, ss",
            "push {ss}",
            "push {rsp}",
            "pushfq",
            "mov {ss:e}, cs",
            "push {ss}",
            "lea {rsp}, [rip + 2f]",
            "push {rsp}",
            "iretq",
            "2:",
            rsp = out(reg) _,
            ss = out(reg) _,
        );
    }
}

/// Raises vector 18 on this processor, by the same way through the IDT as hardware takes.
pub fn raise_machine_check() {
    // SAFETY: the gate leads to `machine_check_entry`, which returns with everything restored.
    unsafe { core::arch::asm!("int 18") };
}

extern "C" fn nmi(frame: &mut Frame) {
    skip_halt(frame);
    if let Some(handlers) = HANDLERS.get() {
        (handlers.nmi)();
    }
}

extern "C" fn machine_check(frame: &mut Frame) {
    skip_halt(frame);
    let fix_up = guest_copy::fix_up(frame.rip);
    if let Some(handlers) = HANDLERS.get()
        && (handlers.machine_check)(fix_up.is_some())
        && let Some(fix_up) = fix_up
    {
        frame.rip = fix_up;
    }
}

/// What came between the idle loop's check and its HLT must not be slept over.
fn skip_halt(frame: &mut Frame) {
    let (check, end) = ((&raw const idle_check) as u64, (&raw const idle_end) as u64);
    if (check..end).contains(&frame.rip) {
        frame.rip = end;
    }
}

/// RDMSR of an MSR that may not be there: 0 where it faults.
pub fn read_if_there(msr: u32) -> u64 {
    // SAFETY: reading has no effect; a fault of this one instruction is caught.
    unsafe { try_rdmsr(msr) }
}

/// WRMSR of a value that the MSR may refuse: false where it faults.
///
/// # Safety
/// What the MSR changes does not break Rust's view of memory.
pub unsafe fn write_if_accepted(msr: u32, value: u64) -> bool {
    // SAFETY: by the caller; a fault of this one instruction is caught.
    unsafe { try_wrmsr(msr, value) }
}

extern "C" fn exception(stack: *mut u64, vector: u32) -> *mut u64 {
    const GENERAL_PROTECTION: u32 = 13;
    let has_error_code = matches!(vector, 8 | 10..=14 | 17 | 21);
    // SAFETY: the processor pushed the error code, where the vector has one, and the frame.
    let frame = unsafe { stack.add(usize::from(has_error_code)) };
    // SAFETY: the frame begins with RIP.
    let rip = unsafe { frame.read() };
    // Either function then goes on at the end that says no.
    let is_caught = [&raw const try_wrmsr_at, &raw const try_rdmsr_at]
        .iter()
        .any(|at| rip == *at as u64);
    if vector == GENERAL_PROTECTION && is_caught {
        // SAFETY: what a call may change has been changed.
        unsafe { frame.write((&raw const try_msr_refused) as u64) };
        return frame;
    }
    let address: u64;
    // SAFETY: reading CR2 has no effect.
    unsafe { core::arch::asm!("mov {}, cr2", out(reg) address) };
    match HANDLERS.get() {
        Some(handlers) => (handlers.exception)(Exception {
            vector,
            rip,
            address,
        }),
        None => super::halt(),
    }
}
