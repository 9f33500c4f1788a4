//! From the PVH entry (vCPU 0) and the start-up vector (the others) to Rust.

use core::arch::global_asm;

use crate::tables::{self, STACK_BYTES, STACKS};
use crate::{hypercall, smp};

/// Physical address below 1 MiB that the others start at; a multiple of 4 KiB.
pub(crate) const TRAMPOLINE: usize = 0x8000;

unsafe extern "Rust" {
    /// The program's main function ([`main!`](crate::main)).
    safe fn guest_main() -> u64;
}

unsafe extern "C" {
    /// First and last byte but one of the code to be copied to [`TRAMPOLINE`].
    pub(crate) static trampoline: u8;
    pub(crate) static trampoline_end: u8;
}

// The note and the entry: the PVH boot ABI (Xen, docs/misc/pvh.pandoc): 32-bit protected mode, paging off.
// The trampoline: what SIPI gives (SDM volume 3, 9.4): real mode, CS:IP = vector * 256 : 0.
global_asm!(
    r#"
    .pushsection .note.Xen, "a", @note
    .balign 4
    .long 4, 8, 18              // lengths of name and value; XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad pvh_entry
    .popsection

    .pushsection .text.start, "ax"
    .code16
    .global trampoline, trampoline_end
trampoline:
    cli
    cld
    lgdtl %cs:(trampoline_gdt - trampoline)
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $24, $protected
    .balign 4
trampoline_gdt:
    .word {gdt_bytes} - 1
    .long {gdt}
trampoline_end:

    .code32
    .global pvh_entry
pvh_entry:
    cli
    cld
    movl %ebx, start_info
    lgdt pvh_gdt
    ljmp $24, $protected
    .balign 4
pvh_gdt:
    .word {gdt_bytes} - 1
    .long {gdt}

protected:
    movl $16, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $page_map, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $0x620, %eax            // PAE, OSFXSR, OSXMMEXCPT
    movl %eax, %cr4
    movl $0xc0000080, %ecx      // EFER: LME
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl %cr0, %eax
    andl $0x1ffffffb, %eax      // caches on; no x87 emulation
    orl $0x80000023, %eax       // PG, NE, MP, PE
    movl %eax, %cr0
    ljmp $8, $long_mode

    .code64
long_mode:
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl ${leaf}, %eax
    cpuid
    movl %ebx, %edi             // index of this vCPU
    cmpl ${most}, %edi
    jae 1f
    leal 1(%rdi), %esp
    imulq ${stack_bytes}, %rsp
    addq ${stacks}, %rsp
    xorl %ebp, %ebp
    call {start}
1:  ud2
    .popsection

    .pushsection .data.start, "aw"
    .balign 4
    .global start_info
start_info:
    .long 0
    .balign 4096
page_map:
    .quad page_directories + 3
    .fill 511, 8, 0
page_directories:
    .quad page_directory + 3
    .fill 511, 8, 0
page_directory:                 // 1 GiB, one to one
    .set address, 0
    .rept 512
    .quad address + 0x83
    .set address, address + 0x200000
    .endr
    .popsection
    "#,
    gdt = sym tables::GDT,
    gdt_bytes = const tables::GDT_BYTES,
    leaf = const kernel::guest::hypercall::LEAF_GUEST,
    most = const tables::MOST_VCPUS,
    stacks = sym STACKS,
    stack_bytes = const STACK_BYTES,
    start = sym start,
    options(att_syntax)
);

/// The first Rust code of a vCPU, on its own stack.
extern "C" fn start(vcpu: usize) -> ! {
    tables::load(vcpu);
    if vcpu != 0 {
        smp::run();
    }
    hypercall::shutdown(guest_main())
}
