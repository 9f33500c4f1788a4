//! Events for the guest, delivered by VM entry (SDM vol. 3, 27.6, 27.8.3).

use x86::vmx::vmcs::{control, ro};

use super::current::Current;

const VALID: u64 = 1 << 31;
const HARDWARE_EXCEPTION: u64 = 3 << 8;
const WITH_ERROR_CODE: u64 = 1 << 11;
/// Bits 11:0 and 31: what interruption information and IDT-vectoring information have in common.
const EVENT: u64 = 0x8000_0fff;
const DEBUG: u64 = 1;
const INVALID_OPCODE: u64 = 6;
const GENERAL_PROTECTION: u64 = 13;
const MACHINE_CHECK: u64 = 18;

/// A fault of the guest's current instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// #GP(0).
    GeneralProtection,
    /// #UD.
    InvalidOpcode,
}

pub(super) fn inject_fault(vmcs: &mut Current, fault: Fault) {
    match fault {
        Fault::GeneralProtection => {
            vmcs.write(control::VMENTRY_EXCEPTION_ERR_CODE, 0);
            inject(
                vmcs,
                VALID | WITH_ERROR_CODE | HARDWARE_EXCEPTION | GENERAL_PROTECTION,
            );
        }
        Fault::InvalidOpcode => inject(vmcs, VALID | HARDWARE_EXCEPTION | INVALID_OPCODE),
    }
}

/// An event that was being delivered when the exit came gives way: a fault or a software interrupt comes again by itself when its
/// instruction is restarted.
pub(super) fn inject_machine_check(vmcs: &mut Current) {
    inject(vmcs, VALID | HARDWARE_EXCEPTION | MACHINE_CHECK);
}

pub(super) fn reinject_interrupted(vmcs: &mut Current) {
    let vectoring = vmcs.read(ro::IDT_VECTORING_INFO);
    if vectoring & VALID != 0 {
        vmcs.write(
            control::VMENTRY_EXCEPTION_ERR_CODE,
            vmcs.read(ro::IDT_VECTORING_ERR_CODE),
        );
        vmcs.write(
            control::VMENTRY_INSTRUCTION_LEN,
            vmcs.read(ro::VMEXIT_INSTRUCTION_LEN),
        );
        inject(vmcs, vectoring & EVENT);
    }
}

/// A #DB tells in DR6 what it was, which the exit has not set (SDM vol. 3, 28.1).
pub(super) fn reflect_exception(vmcs: &mut Current) {
    let information = vmcs.read(ro::VMEXIT_INTERRUPTION_INFO);
    if information & 0xff == DEBUG {
        super::unswitched::add_to_dr6(vmcs.qualification());
    }
    if information & WITH_ERROR_CODE != 0 {
        vmcs.write(
            control::VMENTRY_EXCEPTION_ERR_CODE,
            vmcs.read(ro::VMEXIT_INTERRUPTION_ERR_CODE),
        );
    }
    vmcs.write(
        control::VMENTRY_INSTRUCTION_LEN,
        vmcs.read(ro::VMEXIT_INSTRUCTION_LEN),
    );
    inject(vmcs, information & EVENT);
}

fn inject(vmcs: &mut Current, information: u64) {
    vmcs.write(control::VMENTRY_INTERRUPTION_INFO_FIELD, information);
}
