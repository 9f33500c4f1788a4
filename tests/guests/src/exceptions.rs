//! Exceptions: machine checks go to the program's handler, faults of MSR accesses to their fix-up, everything else
//! ends the guest with a line that says where.

use core::arch::global_asm;
use core::mem::{size_of, transmute};
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::tables::{CODE, ExceptionStack, MOST_VCPUS, Shared};
use crate::{console, hypercall, msr, platform};

/// Vector of a general protection fault.
const GENERAL_PROTECTION: u64 = 13;
/// Vector of a machine check.
pub const MACHINE_CHECK: usize = 18;

/// Exit code of a guest that took an exception nobody expected.
pub const UNEXPECTED: u64 = 102;

/// Exceptions, and a few vectors for interrupts.
const VECTORS: usize = 40;

/// A vector for interrupts.
pub const INTERRUPT: usize = 35;

/// What an exception interrupted. What a handler changes here is what the interrupted code goes on with.
#[derive(Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the processor's registers, by their names")]
pub struct Frame {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rax: u64,
    pub vector: u64,
    pub error: u64,
    pub rip: u64,
    pub cs: u64,
    pub flags: u64,
    pub rsp: u64,
    pub ss: u64,
}

/// A handler of exceptions.
pub type Handler = fn(&mut Frame);

/// The program's handlers, or 0.
static HANDLERS: [AtomicUsize; VECTORS] = [const { AtomicUsize::new(0) }; VECTORS];

/// From now on machine checks of every vCPU go to `handler`.
pub fn on_machine_check(handler: Handler) {
    on(MACHINE_CHECK, handler);
}

/// From now on exceptions and interrupts with that vector go to `handler`, on every vCPU.
///
/// # Panics
/// When there is no gate for that vector.
pub fn on(vector: usize, handler: Handler) {
    HANDLERS[vector].store(handler as usize, Ordering::Release);
}

/// Where the processor goes with that vector.
pub fn entry(vector: usize) -> usize {
    (&raw const exception_stubs).addr() + vector * STUB_BYTES
}

extern "C" fn exception(frame: &mut Frame) {
    let handler = HANDLERS[frame.vector as usize % VECTORS].load(Ordering::Acquire);
    if handler != 0 {
        // SAFETY: only `on` stores there, and a `Handler`.
        let handler = unsafe { transmute::<usize, Handler>(handler) };
        handler(frame);
    } else if frame.vector != GENERAL_PROTECTION || !msr::fix_up(frame) {
        unexpected(frame);
    }
}

fn unexpected(frame: &Frame) -> ! {
    let Frame {
        vector,
        error,
        rip,
        rsp,
        ..
    } = frame;
    let vcpu = platform::this_vcpu();
    console::line_now(format_args!(
        "exception vcpu={vcpu} vector={vector} error={error:#x} rip={rip:#x} rsp={rsp:#x}"
    ));
    hypercall::shutdown(UNEXPECTED)
}

/// An interrupt gate of the table (SDM volume 3, 6.14.1).
#[derive(Clone, Copy)]
#[repr(C)]
struct Gate {
    low: u64,
    high: u64,
}

impl Gate {
    const ABSENT: Self = Self { low: 0, high: 0 };

    fn new(code: u64, stack: ExceptionStack) -> Self {
        let low = code & 0xffff
            | u64::from(CODE) << 16
            | (stack as u64) << 32
            | 0x8e << 40
            | (code >> 16 & 0xffff) << 48;
        Self {
            low,
            high: code >> 32,
        }
    }
}

static TABLE: Shared<[Gate; VECTORS]> = Shared::new([Gate::ABSENT; VECTORS]);

/// Address and limit of the interrupt descriptor table, which vCPU 0 fills before any other runs.
pub(crate) fn table(vcpu: usize) -> (u64, u16) {
    assert!(vcpu < MOST_VCPUS);
    if vcpu == 0 {
        for vector in 0..VECTORS {
            let stack = match vector {
                MACHINE_CHECK => ExceptionStack::MachineCheck,
                _ => ExceptionStack::Other,
            };
            set(vector, Gate::new(entry(vector) as u64, stack));
        }
    }
    (TABLE.get() as u64, size_of::<[Gate; VECTORS]>() as u16 - 1)
}

/// Sends machine checks straight to the code at that address, which is entered as the processor does it and leaves by
/// IRETQ.
pub fn machine_check_gate(code: usize) {
    set(
        MACHINE_CHECK,
        Gate::new(code as u64, ExceptionStack::MachineCheck),
    );
}

fn set(vector: usize, gate: Gate) {
    let place = TABLE.get().cast::<Gate>().wrapping_add(vector);
    // SAFETY: the vector is in the table; vCPU 0 alone writes there, at times when that exception cannot come.
    unsafe { place.write_volatile(gate) }
}

/// Distance of the stubs: one for each vector, with a zero where the processor pushes no error code.
const STUB_BYTES: usize = 16;

unsafe extern "C" {
    static exception_stubs: u8;
}

macro_rules! stubs {
    ($($vector:literal $zero:literal)*) => {
        global_asm!(
            ".pushsection .text.exceptions, \"ax\"",
            ".balign 16",
            "exception_stubs:",
            $(".balign 16", $zero, concat!("push ", $vector), "jmp exception_common",)*
            "exception_common:",
            "push rax", "push rcx", "push rdx", "push rbx", "push rbp", "push rsi", "push rdi",
            "push r8", "push r9", "push r10", "push r11", "push r12", "push r13", "push r14", "push r15",
            "mov rdi, rsp",
            "mov rbp, rsp",
            "sub rsp, 512",
            "and rsp, -16",
            "fxsave64 [rsp]",
            "cld",
            "call {exception}",
            "fxrstor64 [rsp]",
            "mov rsp, rbp",
            "pop r15", "pop r14", "pop r13", "pop r12", "pop r11", "pop r10", "pop r9", "pop r8",
            "pop rdi", "pop rsi", "pop rbp", "pop rbx", "pop rdx", "pop rcx", "pop rax",
            "add rsp, 16",
            "iretq",
            ".popsection",
            exception = sym exception,
        );
    };
}

stubs! {
    0 "push 0"   1 "push 0"   2 "push 0"   3 "push 0"   4 "push 0"   5 "push 0"   6 "push 0"   7 "push 0"
    8 ""         9 "push 0"  10 ""        11 ""        12 ""        13 ""        14 ""        15 "push 0"
    16 "push 0" 17 ""        18 "push 0"  19 "push 0"  20 "push 0"  21 ""        22 "push 0"  23 "push 0"
    24 "push 0" 25 "push 0"  26 "push 0"  27 "push 0"  28 "push 0"  29 ""        30 ""        31 "push 0"
    32 "push 0" 33 "push 0"  34 "push 0"  35 "push 0"  36 "push 0"  37 "push 0"  38 "push 0"  39 "push 0"
}
