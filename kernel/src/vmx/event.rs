//! Events for the guest, delivered by VM entry (SDM vol. 3, 27.6, 27.8.3).

use x86::vmx::vmcs::{control, guest, ro};

use super::instructions::{vmread, vmwrite};

/// RFLAGS.TF.
pub const RFLAGS_TRAP: u64 = 1 << 8;
const VALID: u64 = 1 << 31;
const HARDWARE_EXCEPTION: u64 = 3 << 8;
const WITH_ERROR_CODE: u64 = 1 << 11;
/// Bits 11:0 and 31: what interruption information and IDT-vectoring information have in common.
const EVENT: u64 = 0x8000_0fff;
/// Pending debug exceptions: single step.
const SINGLE_STEP: u64 = 1 << 14;
const ACTIVITY_HLT: u64 = 1;
const BLOCKING_BY_STI: u64 = 1 << 0;

/// A fault of the guest's current instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// #GP(0).
    GeneralProtection,
    /// #UD.
    InvalidOpcode,
}

/// Gives the guest a fault.
///
/// # Safety
/// The vCPU's VMCS is current and no other event is set for the next entry.
pub unsafe fn inject_fault(fault: Fault) {
    // SAFETY: by the caller.
    unsafe {
        match fault {
            Fault::GeneralProtection => {
                vmwrite(control::VMENTRY_EXCEPTION_ERR_CODE, 0);
                inject(VALID | WITH_ERROR_CODE | HARDWARE_EXCEPTION | 13);
            }
            Fault::InvalidOpcode => inject(VALID | HARDWARE_EXCEPTION | 6),
        }
    }
}

/// Gives the guest #MC. A halted vCPU wakes; the shadow of STI or MOV SS does not hold it up. An event that was being delivered when the
/// exit came is lost to it, as when hardware's #MC interrupts a delivery: the context is told by RIPV.
///
/// # Safety
/// As for [`inject_fault`].
pub unsafe fn inject_machine_check() {
    // SAFETY: by the caller.
    unsafe { inject(VALID | HARDWARE_EXCEPTION | 18) };
}

/// Delivers again what an exit interrupted.
///
/// # Safety
/// The vCPU's VMCS is current and holds the exit's own information.
pub unsafe fn reinject_interrupted() {
    // SAFETY: by the caller.
    unsafe {
        let vectoring = vmread(ro::IDT_VECTORING_INFO);
        if vectoring & VALID != 0 {
            vmwrite(
                control::VMENTRY_EXCEPTION_ERR_CODE,
                vmread(ro::IDT_VECTORING_ERR_CODE),
            );
            vmwrite(
                control::VMENTRY_INSTRUCTION_LEN,
                vmread(ro::VMEXIT_INSTRUCTION_LEN),
            );
            inject(vectoring & EVENT);
        }
    }
}

/// Halts the vCPU at its next entry: it runs nothing until an event comes.
///
/// # Safety
/// The vCPU's VMCS is current.
pub unsafe fn halt() {
    // SAFETY: by the caller. The shadow of an STI just before the HLT is over; entry would fail with it.
    unsafe {
        vmwrite(
            guest::INTERRUPTIBILITY_STATE,
            vmread(guest::INTERRUPTIBILITY_STATE) & !BLOCKING_BY_STI,
        );
        vmwrite(guest::ACTIVITY_STATE, ACTIVITY_HLT);
    }
}

/// The guest single-steps: #DB is due after the instruction that was emulated.
///
/// # Safety
/// The vCPU's VMCS is current.
#[cold]
pub unsafe fn trap_after_instruction() {
    // SAFETY: by the caller.
    unsafe {
        vmwrite(
            guest::PENDING_DBG_EXCEPTIONS,
            vmread(guest::PENDING_DBG_EXCEPTIONS) | SINGLE_STEP,
        )
    };
}

unsafe fn inject(information: u64) {
    // SAFETY: by the caller.
    unsafe { vmwrite(control::VMENTRY_INTERRUPTION_INFO_FIELD, information) };
}
