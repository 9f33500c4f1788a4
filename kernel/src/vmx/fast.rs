//! The fast half of a VM exit: what can be answered from the vCPU's own state.
//!
//! Nothing that is reached from [`fast_exit`] may use XMM registers: the guest's are still in them. `cargo boot` checks the image.

use kernel::vmce::Mailbox;
use x86::vmx::vmcs::{guest, ro};

use super::cpuid;
use super::event::RFLAGS_TRAP;
use super::instructions::{vmread, vmwrite};
use super::vcpu::{EXIT_COUNTERS, Own, Vcpu};

/// Basic exit reasons (SDM vol. 3, appendix C): the one table of them.
pub mod reason {
    /// Exception or NMI.
    pub const EXCEPTION_OR_NMI: u32 = 0;
    /// External interrupt.
    pub const EXTERNAL_INTERRUPT: u32 = 1;
    /// Triple fault.
    pub const TRIPLE_FAULT: u32 = 2;
    /// CPUID.
    pub const CPUID: u32 = 10;
    /// HLT.
    pub const HLT: u32 = 12;
    /// WBINVD's elder sister.
    pub const INVD: u32 = 13;
    /// VMCALL.
    pub const VMCALL: u32 = 18;
    /// Control-register access.
    pub const CONTROL_REGISTER: u32 = 28;
    /// RDMSR.
    pub const RDMSR: u32 = 31;
    /// WRMSR.
    pub const WRMSR: u32 = 32;
    /// VM entry failed: machine check.
    pub const ENTRY_MACHINE_CHECK: u32 = 41;
    /// EPT violation.
    pub const EPT_VIOLATION: u32 = 48;
    /// VMX-preemption timer expired.
    pub const PREEMPTION_TIMER: u32 = 52;
    /// WBINVD.
    pub const WBINVD: u32 = 54;
    /// XSETBV.
    pub const XSETBV: u32 = 55;
}

/// What is left to do after the fast half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Rest {
    /// Nothing: enter the guest again.
    Nothing = 0,
    /// The exit is answered, but something waits for this vCPU or this processor.
    Work = 1,
    /// The exit itself.
    Exit = 2,
}

/// Answers the exit if that needs nothing but the vCPU's own state.
pub extern "C" fn fast_exit(vcpu: *mut Vcpu) -> Rest {
    // SAFETY: the exit code hands over the vCPU that was running here; nothing else borrows it.
    let own = unsafe { Vcpu::own(vcpu) };
    // SAFETY: after an exit the vCPU's VMCS is current.
    let reason = unsafe { vmread(ro::EXIT_REASON) } as u32;
    own.exits[(reason as usize) % EXIT_COUNTERS] += 1;
    // SAFETY: as for `own`; the shared part is borrowed shared only.
    let shared = unsafe { Vcpu::shared(vcpu) };
    let done = match reason {
        reason::RDMSR => read_msr(own),
        reason::WRMSR => write_msr(own, shared.mailbox),
        reason::CPUID => {
            cpuid::answer(&mut own.registers, shared);
            true
        }
        _ => false,
    };
    if !done {
        return Rest::Exit;
    }
    // SAFETY: the exit was caused by an instruction that has been emulated.
    unsafe { skip_instruction() };
    if shared.mailbox.is_pending() {
        Rest::Work
    } else {
        Rest::Nothing
    }
}

#[inline(always)]
fn read_msr(own: &mut Own) -> bool {
    match own.machine_check.read(own.registers.rcx as u32) {
        Ok(value) => {
            own.registers.rax = value & 0xffff_ffff;
            own.registers.rdx = value >> 32;
            true
        }
        Err(_) => false,
    }
}

#[inline(always)]
fn write_msr(own: &mut Own, mailbox: &Mailbox) -> bool {
    // The end of a guest's handler is an event, and what waited for it may follow: the slow half's business.
    if mailbox.is_in_progress() {
        return false;
    }
    let value = own.registers.rdx << 32 | own.registers.rax & 0xffff_ffff;
    let done = own
        .machine_check
        .write(own.registers.rcx as u32, value)
        .is_ok();
    mailbox.mirror(&own.machine_check);
    done
}

/// Moves the guest past the instruction that exited, as if it had been executed: the shadow of STI or MOV SS ends, and a
/// single-step trap is due (SDM vol. 3, 26.7.3).
///
/// # Safety
/// A VMCS is current whose last exit was caused by an instruction, which has been emulated.
#[inline(always)]
pub unsafe fn skip_instruction() {
    const BLOCKING_BY_STI_OR_MOV_SS: u64 = 0b11;
    // SAFETY: by the caller.
    unsafe {
        let next = vmread(guest::RIP).wrapping_add(vmread(ro::VMEXIT_INSTRUCTION_LEN));
        vmwrite(guest::RIP, next);
        let blocking = vmread(guest::INTERRUPTIBILITY_STATE);
        if blocking & BLOCKING_BY_STI_OR_MOV_SS != 0 {
            vmwrite(
                guest::INTERRUPTIBILITY_STATE,
                blocking & !BLOCKING_BY_STI_OR_MOV_SS,
            );
        }
        if vmread(guest::RFLAGS) & RFLAGS_TRAP != 0 {
            super::event::trap_after_instruction();
        }
    }
}
