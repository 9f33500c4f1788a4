//! From the boot loader to Rust: the multiboot2 header, 32-bit entry, long mode; and the same way for the other processors.
//!
//! Multiboot2 specification 2.0, 3.1 (header) and 3.3 (machine state: EAX magic, EBX information, flat 32-bit protected mode).

use core::arch::global_asm;

/// Bytes of the boot stack, used by processor 0 until its first guest runs. Processor blocks (some 20 KiB) are made on it.
const BOOT_STACK: usize = 64 << 10;

global_asm!(
    r#"
    .section .multiboot2, "a"
    .balign 8
header:
    .long 0xe85250d6                        # magic
    .long 0                                 # architecture: i386 protected mode
    .long header_end - header
    .long -(0xe85250d6 + 0 + (header_end - header))
    .balign 8
    .word 0, 0                              # end tag
    .long 8
header_end:

    .section .boot.text, "ax"
    .code32
    .globl multiboot_entry
multiboot_entry:
    cli
    cld
    lea esp, [boot_stack + {boot_stack}]
    mov edi, eax                            # System V arguments 1 and 2 of start, kept until the call
    mov esi, ebx
    # Identity map of 4 GiB in 2 MiB pages: boot_pml4 -> boot_pdpt -> four directories.
    lea eax, [boot_pdpt + 3]
    mov [boot_pml4], eax
    lea eax, [boot_directories + 3]
    xor ecx, ecx
2:  mov [boot_pdpt + ecx * 8], eax
    add eax, 4096
    inc ecx
    cmp ecx, 4
    jb 2b
    mov eax, 0x83                           # present, writable, large
    xor ecx, ecx
3:  mov [boot_directories + ecx * 8], eax
    add eax, 0x200000
    inc ecx
    cmp ecx, 2048
    jb 3b
    call enter_long_mode
    ljmp 0x08, offset start_64

# Paging and long mode on, GDT loaded; the caller then jumps to a 64-bit segment.
enter_long_mode:
    mov eax, cr4
    or eax, 1 << 5                          # PAE
    mov cr4, eax
    lea eax, [boot_pml4]
    mov cr3, eax
    mov ecx, 0xc0000080                     # EFER
    rdmsr
    or eax, 1 << 8 | 1 << 11                # LME, NXE
    wrmsr
    mov eax, cr0
    and eax, ~(1 << 2 | 1 << 29 | 1 << 30)  # EM, NW, CD off
    or eax, 1 << 31 | 1 << 16 | 1 << 5 | 1 << 1 # PG, WP, NE, MP
    mov cr0, eax
    lgdt [boot_gdt_pointer]
    ret

    .code64
start_64:
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov rax, cr4
    or eax, 1 << 9 | 1 << 10                # OSFXSR, OSXMMEXCPT: Rust uses SSE
    mov cr4, rax
    mov esp, esp                            # the upper half is undefined after the switch
    mov edi, edi
    mov esi, esi
    xor ebp, ebp
    call {start}
    ud2

    # Other processors: copied to a page of its own, entered there in real mode with IP 0.
    .code16
    .balign 16
    .globl trampoline_start
trampoline_start:
    jmp 1f
    .balign 4                               # at offset 4: an address that 16-bit code can name
    .word boot_gdt_end - boot_gdt - 1
    .long boot_gdt
1:  cli
    cld
    mov ax, cs
    mov ds, ax
    lgdt [4]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    .byte 0x66, 0xea                        # far jump with a 32-bit offset: into the image's own 32-bit code
    .long processor_entry_32
    .word 0x18
    .globl trampoline_end
trampoline_end:

    .code32
processor_entry_32:
    mov eax, 0x20
    mov ds, eax
    mov es, eax
    mov ss, eax
    # The stack that the processor which starts us has put there; it starts one at a time.
    mov esp, [{next_stack}]
    call enter_long_mode
    ljmp 0x08, offset processor_entry_64
    .code64
processor_entry_64:
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov rax, cr4
    or eax, 1 << 9 | 1 << 10
    mov cr4, rax
    mov rsp, [{next_stack}]                 # all 64 bits of it
    xor ebp, ebp
    call {start_processor}
    ud2

    .section .rodata
    .balign 16
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff                # 0x08: 64-bit code
    .quad 0x00cf93000000ffff                # 0x10: data
    .quad 0x00cf9b000000ffff                # 0x18: 32-bit code, flat
    .quad 0x00cf93000000ffff                # 0x20: 32-bit data, flat
boot_gdt_end:
boot_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .quad boot_gdt

    .section .bss
    .balign 4096
    .globl boot_pml4
boot_pml4: .skip 4096
    .globl boot_pdpt
boot_pdpt: .skip 4096
boot_directories: .skip 4 * 4096
boot_stack: .skip {boot_stack}
    .text
    "#,
    boot_stack = const BOOT_STACK,
    start = sym crate::start,
    start_processor = sym crate::start_processor,
    next_stack = sym crate::machine::smp::NEXT_STACK,
);

unsafe extern "C" {
    static trampoline_start: [u8; 0];
    static trampoline_end: [u8; 0];
}

/// Start-up code of the other processors, for any page below 1 MiB.
pub fn trampoline() -> &'static [u8] {
    let start = (&raw const trampoline_start).cast::<u8>();
    let length = (&raw const trampoline_end) as usize - start as usize;
    // SAFETY: the labels enclose code of this image, which nobody writes.
    unsafe { core::slice::from_raw_parts(start, length) }
}
