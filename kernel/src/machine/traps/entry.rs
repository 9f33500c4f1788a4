//! Where the processor enters on NMI and #MC.
//!
//! Both interrupt Rust that uses XMM registers, and save them.
//!
//! An #MC may come as soon as the handler of another has cleared MCIP, before that one has left its stack. The processor itself would begin at the top of
//! the same interrupt stack again. So that one is a landing alone: the entry copies the frame to a stack of the handlers' own, below whatever handler is
//! still on it, should it, or an NMI, have been interrupted, and MCIP is set until that is done.
//!
//! An #MC that has interrupted the NMI handler must not end with IRET: that would unblock NMIs, and the next one would overwrite the stack of
//! the one that is being handled. One that has interrupted another #MC must not either, for that one may have interrupted an NMI handler. An IRET
//! elsewhere may unblock NMIs early, after a VM exit that one caused: no handler of an NMI is running then.
//!
//! What is used of `super`: the handlers, and where the stacks' bounds stand in the processor's block. A test on the host enters here too.

use core::arch::global_asm;

use super::{
    MACHINE_CHECK_STACK_BOTTOM, MACHINE_CHECK_STACK_TOP, NMI_STACK_BOTTOM, NMI_STACK_TOP,
    machine_check, nmi,
};

/// What a handler of #MC may need of its stack, in bytes.
const LEAST: u64 = 8 << 10;

unsafe extern "C" {
    /// Entry of NMI.
    pub fn nmi_entry();
    /// Entry of #MC.
    pub fn machine_check_entry();
}

global_asm!(
    r#"
    # Saves what a C function may change and MXCSR, calls it with the frame's address, restores.
    .macro SAVE
    push rbx
    mov rbx, rsp
    push rax
    push rcx
    push rdx
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    cld
    sub rsp, 512 + 8
    and rsp, -16                            # FXSAVE and the ABI both want 16
    fxsave64 [rsp]
    ldmxcsr [rip + handlers_mxcsr]
    lea rdi, [rbx + 8]                      # the frame: above the saved RBX
    .endm
    .macro RESTORE
    fxrstor64 [rsp]
    lea rsp, [rbx - 72]
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rax
    pop rbx
    .endm

    .globl nmi_entry
nmi_entry:
    SAVE
    call {nmi}
    RESTORE
    iretq

    .globl machine_check_entry
machine_check_entry:
    push rax
    push rcx
    mov rax, [rsp + 40]                     # interrupted RSP
    cmp rax, gs:[{nmi_bottom}]
    jb 1f
    cmp rax, gs:[{nmi_top}]
    jae 1f
    mov rax, gs:[{nmi_top}]
    mov rax, [rax - 16]                     # that which the NMI interrupted
1:  cmp rax, gs:[{bottom}]
    jb 2f
    cmp rax, gs:[{top}]
    jae 2f
    sub rax, 128 + 128                      # the red zone, and room for the way back
    and rax, -16
    mov rcx, rax
    sub rcx, {least}
    cmp rcx, gs:[{bottom}]
    jae 3f
    ud2                                     # one in the last instructions of the other too often: the hypervisor says so and stops
2:  mov rax, gs:[{top}]
3:  mov rcx, [rsp + 48]                     # SS
    mov [rax - 8], rcx
    mov rcx, [rsp + 40]                     # RSP
    mov [rax - 16], rcx
    mov rcx, [rsp + 32]                     # RFLAGS
    mov [rax - 24], rcx
    mov rcx, [rsp + 24]                     # CS
    mov [rax - 32], rcx
    mov rcx, [rsp + 16]                     # RIP
    mov [rax - 40], rcx
    mov rcx, [rsp + 8]                      # RAX
    mov [rax - 48], rcx
    mov rcx, [rsp]
    lea rsp, [rax - 48]
    pop rax

    SAVE
    call {machine_check}
    RESTORE

    push rax
    mov rax, [rsp + 32]                     # interrupted RSP
    cmp rax, gs:[{bottom}]
    jb 4f
    cmp rax, gs:[{top}]
    jb 5f
4:  cmp rax, gs:[{nmi_bottom}]
    jb 6f
    cmp rax, gs:[{nmi_top}]
    jae 6f
    # Return without IRET, past the red zone of what was interrupted.
5:  push rcx
    sub rax, 128 + 24
    mov rcx, [rsp + 16]
    mov [rax + 16], rcx                     # RIP
    mov rcx, [rsp + 32]
    mov [rax + 8], rcx                      # RFLAGS
    mov rcx, [rsp + 8]
    mov [rax], rcx                          # RAX
    pop rcx
    mov rsp, rax
    pop rax
    popfq
    ret 128
6:  pop rax
    iretq

    .section .rodata
    .balign 4
handlers_mxcsr: .long 0x1f80
    .text
    "#,
    nmi = sym nmi,
    machine_check = sym machine_check,
    nmi_bottom = const NMI_STACK_BOTTOM,
    nmi_top = const NMI_STACK_TOP,
    bottom = const MACHINE_CHECK_STACK_BOTTOM,
    top = const MACHINE_CHECK_STACK_TOP,
    least = const LEAST,
);
