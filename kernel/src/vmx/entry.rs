//! VM exit and entry in assembly.
//!
//! The exit saves the ten registers that Rust may change or that CPUID answers in, and calls `fast_exit`. That function and all
//! that it calls use no XMM register (checked in the image by `cargo boot`), so nothing more need be saved when it can answer. Else
//! the rest is saved, XMM included, and `slow_exit` goes on. There is one path for every exit and no special case here.
//!
//! The pushes go straight into the vCPU's block: the VMCS's host RSP points above its RAX. Ordinary context then runs on the
//! processor's own stack, from its top: nothing on it survives an entry.

use core::arch::global_asm;
use core::mem::offset_of;

use super::vcpu::{Own, Registers, Vcpu};
use crate::machine::processor::STACK_TOP;

unsafe extern "C" {
    /// Where the VMCS's host RIP points.
    pub fn vm_exit();
    fn enter_guest(vcpu: *mut core::ffi::c_void) -> !;
}

/// Enters the guest.
///
/// # Safety
/// The VMCS of `vcpu` is current, and the vCPU is ready ([`super::exit::before_entry`]).
pub unsafe fn enter(vcpu: *mut Vcpu) -> ! {
    // SAFETY: by the caller.
    unsafe { enter_guest(vcpu.cast()) }
}

/// What host RSP is, relative to the vCPU's block.
pub const HOST_RSP: usize = offset_of!(Registers, rbp);

global_asm!(
    r#"
    .globl vm_exit
    .balign 64
vm_exit:
    push rax
    push rcx
    push rdx
    push rbx
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    mov rbx, rsp                            # the vCPU; kept by what is called
    mov rsp, gs:[{stack_top}]
    mov rdi, rbx
    call {fast_exit}
    test eax, eax
    jnz 2f
    mov rsp, rbx
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rbx
    pop rdx
    pop rcx
    pop rax
    vmresume
    jmp 4f
2:  mov [rbx + {rbp}], rbp
    mov [rbx + {r12}], r12
    mov [rbx + {r13}], r13
    mov [rbx + {r14}], r14
    mov [rbx + {r15}], r15
    fxsave64 [rbx + {fxsave}]
    ldmxcsr [rip + default_mxcsr]
    mov rdi, rbx
    mov esi, eax
    mov rsp, gs:[{stack_top}]
    call {slow_exit}
    ud2

    .globl enter_guest
enter_guest:
    fxrstor64 [rdi + {fxsave}]
    mov rbp, [rdi + {rbp}]
    mov r12, [rdi + {r12}]
    mov r13, [rdi + {r13}]
    mov r14, [rdi + {r14}]
    mov r15, [rdi + {r15}]
    mov rsp, rdi
    cmp qword ptr [rdi + {launched}], 0     # pops leave the flags alone
    mov qword ptr [rdi + {launched}], 1
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rbx
    pop rdx
    pop rcx
    pop rax
    jne 3f
    vmlaunch
    jmp 4f
3:  vmresume
4:  mov rsp, gs:[{stack_top}]               # entry failed; no register of the host was loaded
    call {entry_failed}
    ud2
    "#,
    stack_top = const STACK_TOP,
    fast_exit = sym super::fast::fast_exit,
    slow_exit = sym super::exit::slow_exit,
    entry_failed = sym super::exit::entry_failed,
    rbp = const offset_of!(Registers, rbp),
    r12 = const offset_of!(Registers, r12),
    r13 = const offset_of!(Registers, r13),
    r14 = const offset_of!(Registers, r14),
    r15 = const offset_of!(Registers, r15),
    fxsave = const offset_of!(Own, fxsave),
    launched = const offset_of!(Own, launched),
);
