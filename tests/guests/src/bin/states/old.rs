//! Real mode and 32-bit protected mode, on vCPU 1, in assembly: each takes a machine check and a general-protection fault.

use core::arch::global_asm;
use core::ptr::{copy_nonoverlapping, with_exposed_provenance, with_exposed_provenance_mut};
use core::sync::atomic::{AtomicU32, Ordering};

use guests::tables::{GDT, GDT_BYTES, Shared};
use guests::{line, smp};

use super::{MISC, SRAR, error_on_touch};

/// Where the real-mode code runs; a multiple of 4 KiB.
const CODE: usize = 0x9000;
/// Pages that are touched in real mode and in protected mode.
const REAL_TOUCHES: u64 = 0xb000;
const PROTECTED_TOUCHES: u64 = 0xc000;
/// Ticks that each may take.
const PATIENCE: u64 = 500_000_000;

/// What the assembly leaves, in words from this address on.
const RESULTS: usize = 0x5000;
/// How far it has come; whether it may go on; how many machine checks.
const STEP: usize = 0;
const GO: usize = 1;
const COUNT: usize = 2;
/// What a handler of #MC saw: instruction pointer, CS, flags, MCG_STATUS, MCi_STATUS low and high, MCi_ADDR, MCi_MISC.
const REAL: usize = 4;
const PROTECTED: usize = 16;
/// What a handler of #GP saw: instruction pointer, CS, and in protected mode the error code.
const REAL_FAULT: usize = 12;
const PROTECTED_FAULT: usize = 24;

pub fn run() -> bool {
    prepare();
    error_on_touch(REAL_TOUCHES, 16);
    smp::init(1);
    smp::start_up_at(1, CODE);
    if !reaches(1) {
        return false;
    }
    error_on_touch(PROTECTED_TOUCHES, 17);
    write(GO, 1);
    if !reaches(2) {
        return false;
    }
    let start = (&raw const old_start).addr();
    let in_copy = |place: *const u8| (place.addr() - start) as u32;
    tell("real", REAL, in_copy(&raw const old_real_at));
    let [ip, cs, _] = [0, 1, 2].map(|n| read(REAL_FAULT + n));
    let wanted = in_copy(&raw const old_real_gp_at);
    line!("real gp at={} cs={cs:#x}", ip.wrapping_sub(wanted) as i32);
    tell(
        "protected",
        PROTECTED,
        (&raw const old_protected_at).addr() as u32,
    );
    let [ip, cs, error] = [0, 1, 2].map(|n| read(PROTECTED_FAULT + n));
    let wanted = (&raw const old_protected_gp_at).addr() as u32;
    line!(
        "protected gp at={} cs={cs:#x} error={error:#x}",
        ip.wrapping_sub(wanted) as i32
    );
    line!("old machine-checks={}", read(COUNT));
    true
}

fn tell(state: &str, results: usize, wanted: u32) {
    /// TF, IF, DF, and CF, which the code sets.
    const FLAGS: u32 = 0x701;
    let [ip, cs, flags, mcg_status, low, high, address, misc] =
        [0, 1, 2, 3, 4, 5, 6, 7].map(|n| read(results + n));
    let record = u64::from(high) << 32 | u64::from(low);
    let is_right = record == SRAR && u64::from(misc) == MISC;
    line!(
        "{state} mc at={} cs={cs:#x} flags={:#x} mcg_status={mcg_status:#x} addr={address:#x} record={}",
        ip.wrapping_sub(wanted) as i32,
        flags & FLAGS,
        u8::from(is_right)
    );
}

fn place(word: usize) -> &'static AtomicU32 {
    // SAFETY: memory of this guest that nothing but the assembly here uses.
    unsafe { &*with_exposed_provenance::<AtomicU32>(RESULTS + 4 * word) }
}

fn read(word: usize) -> u32 {
    place(word).load(Ordering::Acquire)
}

fn write(word: usize, value: u32) {
    place(word).store(value, Ordering::Release);
}

fn reaches(step: u32) -> bool {
    let done = smp::wait_for(PATIENCE, || read(STEP) >= step);
    if !done {
        line!("late what=old step={}", read(STEP));
    }
    done
}

const GATES: usize = 19;

/// 32-bit gates (SDM volume 3, 7.11).
static GATES_32: Shared<[u64; GATES]> = Shared::new([0; GATES]);

/// Copies the real-mode code, and fills in the vectors of both modes.
fn prepare() {
    const CODE_32: u64 = 24;
    (0..32).for_each(|word| write(word, 0));
    let (start, end) = (&raw const old_start, &raw const old_real_end);
    // SAFETY: pages below 1 MiB that nothing else uses; the tables are this program's own.
    unsafe {
        copy_nonoverlapping(
            start,
            with_exposed_provenance_mut(CODE),
            end.offset_from_unsigned(start),
        );
        for (vector, handler, handler_32) in [
            (18, &raw const old_real_mc, &raw const old_protected_mc),
            (13, &raw const old_real_gp, &raw const old_protected_gp),
        ] {
            let offset = handler.addr() - start.addr();
            let entry = (CODE as u32 >> 4) << 16 | offset as u32;
            // The real-mode vector table begins at address 0, which `write_volatile` does not take.
            core::arch::asm!("mov [{}], {:e}", in(reg) 4 * vector, in(reg) entry, options(nostack));
            let code = handler_32.addr() as u64;
            let gate = code & 0xffff | CODE_32 << 16 | 0x8e00 << 32 | (code >> 16) << 48;
            GATES_32
                .get()
                .cast::<u64>()
                .add(vector)
                .write_volatile(gate);
        }
    }
}

global_asm!(
    r#"
    .macro MACHINE_CHECK at
    movl $0x17a, %ecx           // MCG_STATUS
    rdmsr
    movl %eax, \at + 12
    movl $0x405, %ecx           // MC1_STATUS
    rdmsr
    movl %eax, \at + 16
    movl %edx, \at + 20
    incl %ecx
    rdmsr
    movl %eax, \at + 24
    incl %ecx
    rdmsr
    movl %eax, \at + 28
    xorl %eax, %eax
    xorl %edx, %edx
    movl $0x405, %ecx
    wrmsr
    movl $0x17a, %ecx
    wrmsr
    incl {count}
    .endm

    .pushsection .text.old, "ax"
    .code16
old_start:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7000, %sp
    movl %cr4, %eax
    orl $0x40, %eax             // MCE
    movl %eax, %cr4
    std
    stc
old_real_at:
    movb $1, {real_touches}
    cld
    movl $0x50, %ecx            // no MSR of the guest
old_real_gp_at:
    rdmsr
    movl $1, {step}
1:  pause
    cmpl $0, {go}
    je 1b
    lgdtl %cs:(old_gdt - old_start)
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $24, $old_protected

old_real_mc:
    pushal
    movw %sp, %bp
    xorl %eax, %eax
    movw 32(%bp), %ax
    movl %eax, {real}
    movw 34(%bp), %ax
    movl %eax, {real} + 4
    movw 36(%bp), %ax
    movl %eax, {real} + 8
    MACHINE_CHECK {real}
    popal
    iretw

old_real_gp:
    pushal
    movw %sp, %bp
    xorl %eax, %eax
    movw 32(%bp), %ax
    movl %eax, {real_fault}
    movw 34(%bp), %ax
    movl %eax, {real_fault} + 4
    addw $2, 32(%bp)
    popal
    iretw

    .balign 4
old_gdt:
    .word {gdt_bytes} - 1
    .long {gdt}
old_real_end:

    .code32
old_protected:
    movl $16, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $0x7000, %esp
    lidt old_idt
    std
    stc
old_protected_at:
    movb $1, {protected_touches}
    cld
    movl $0x50, %ecx
old_protected_gp_at:
    rdmsr
    movl $2, {step}
1:  cli
    hlt
    jmp 1b

old_protected_mc:
    pushal
    movl 32(%esp), %eax
    movl %eax, {protected}
    movl 36(%esp), %eax
    movl %eax, {protected} + 4
    movl 40(%esp), %eax
    movl %eax, {protected} + 8
    MACHINE_CHECK {protected}
    popal
    iretl

old_protected_gp:
    pushal
    movl 32(%esp), %eax
    movl %eax, {protected_fault} + 8
    movl 36(%esp), %eax
    movl %eax, {protected_fault}
    movl 40(%esp), %eax
    movl %eax, {protected_fault} + 4
    addl $2, 36(%esp)
    popal
    addl $4, %esp
    iretl

    .balign 4
old_idt:
    .word {gates} * 8 - 1
    .long {gates_32}
    .code64
    .popsection
    "#,
    count = const RESULTS + 4 * COUNT,
    step = const RESULTS + 4 * STEP,
    go = const RESULTS + 4 * GO,
    real = const RESULTS + 4 * REAL,
    real_fault = const RESULTS + 4 * REAL_FAULT,
    protected = const RESULTS + 4 * PROTECTED,
    protected_fault = const RESULTS + 4 * PROTECTED_FAULT,
    real_touches = const REAL_TOUCHES,
    protected_touches = const PROTECTED_TOUCHES,
    gdt = sym GDT,
    gdt_bytes = const GDT_BYTES,
    gates = const GATES,
    gates_32 = sym GATES_32,
    options(att_syntax)
);

unsafe extern "C" {
    static old_start: u8;
    static old_real_at: u8;
    static old_real_gp_at: u8;
    static old_real_mc: u8;
    static old_real_gp: u8;
    static old_real_end: u8;
    static old_protected_at: u8;
    static old_protected_gp_at: u8;
    static old_protected_mc: u8;
    static old_protected_gp: u8;
}
