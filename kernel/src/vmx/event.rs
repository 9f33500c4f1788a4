//! Events for the guest, delivered by VM entry (SDM vol. 3, 27.6, 27.8.3).

use kernel::guest::control_registers::CR0_PROTECTION;
use kernel::guest::interruption::{Fate, Interruption, Kind, without_nmi_blocking};
use kernel::guest::waits::Waiting;
use x86::vmx::vmcs::{control, guest, ro};

use super::current::Current;

const DEBUG: u8 = 1;
const INVALID_OPCODE: u8 = 6;
const GENERAL_PROTECTION: u8 = 13;

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
            // In real mode there are no error codes, and VM entry insists (SDM vol. 3, 27.2.1.3).
            let with_error_code = vmcs.read(guest::CR0) & CR0_PROTECTION != 0;
            vmcs.write(control::VMENTRY_EXCEPTION_ERR_CODE, 0);
            inject(
                vmcs,
                Interruption::exception(GENERAL_PROTECTION, with_error_code),
            );
        }
        Fault::InvalidOpcode => inject(vmcs, Interruption::exception(INVALID_OPCODE, false)),
    }
}

/// #MC goes before whatever else was about to be delivered. What does not come again by itself and is not lost is given back: it has
/// to wait.
pub(super) fn inject_machine_check(vmcs: &mut Current) -> Option<Interruption> {
    let event = pending(vmcs).filter(|event| event.fate() == Fate::Waits);
    inject(vmcs, Interruption::MACHINE_CHECK);
    event
}

/// The event that the next VM entry delivers.
pub(super) fn pending(vmcs: &Current) -> Option<Interruption> {
    Interruption::from_field(vmcs.read(control::VMENTRY_INTERRUPTION_INFO_FIELD))
}

/// Has the next VM entry deliver an event that had to wait, if it delivers no other and the vCPU takes it now.
pub(super) fn inject_waiting(vmcs: &mut Current, waiting: Waiting) -> bool {
    if pending(vmcs).is_some() {
        return false;
    }
    let Some(state) = let_in(vmcs, waiting) else {
        return false;
    };
    vmcs.write(guest::INTERRUPTIBILITY_STATE, state);
    inject(vmcs, waiting.event);
    true
}

/// The interruptibility state with which the vCPU takes an event that had to wait; none if it does not take it now.
pub(super) fn let_in(vmcs: &Current, waiting: Waiting) -> Option<u64> {
    let Waiting { event, was_let_in } = waiting;
    let mut state = vmcs.read(guest::INTERRUPTIBILITY_STATE);
    if was_let_in {
        state = without_nmi_blocking(state);
    }
    let is_let_in = event.is_let_in(vmcs.read(guest::RFLAGS), state);
    is_let_in.then_some(state)
}

/// Has the next VM entry deliver an interrupt, if it delivers nothing else and the vCPU takes one now.
pub(super) fn inject_interrupt(vmcs: &mut Current, take: impl FnOnce() -> Option<u8>) -> bool {
    // Whether it is let in does not depend on the vector.
    let any = Waiting {
        event: Interruption::external(0),
        was_let_in: false,
    };
    if pending(vmcs).is_some() || let_in(vmcs, any).is_none() {
        return false;
    }
    let vector = take();
    if let Some(vector) = vector {
        inject(vmcs, Interruption::external(vector));
    }
    vector.is_some()
}

pub(super) fn reinject_interrupted(vmcs: &mut Current) {
    let Some(event) = Interruption::from_field(vmcs.read(ro::IDT_VECTORING_INFO)) else {
        return;
    };
    if event.has_error_code() {
        vmcs.write(
            control::VMENTRY_EXCEPTION_ERR_CODE,
            vmcs.read(ro::IDT_VECTORING_ERR_CODE),
        );
    }
    vmcs.write(
        control::VMENTRY_INSTRUCTION_LEN,
        vmcs.read(ro::VMEXIT_INSTRUCTION_LEN),
    );
    if event.kind() == Kind::Nmi {
        let state = vmcs.read(guest::INTERRUPTIBILITY_STATE);
        vmcs.write(guest::INTERRUPTIBILITY_STATE, without_nmi_blocking(state));
    }
    inject(vmcs, event);
}

/// A #DB tells in DR6 what it was, which the exit has not set (SDM vol. 3, 28.1).
pub(super) fn reflect_exception(vmcs: &mut Current) {
    let Some(event) = Interruption::from_field(vmcs.read(ro::VMEXIT_INTERRUPTION_INFO)) else {
        return;
    };
    if event.vector() == DEBUG {
        super::unswitched::add_to_dr6(vmcs.qualification());
    }
    if event.has_error_code() {
        vmcs.write(
            control::VMENTRY_EXCEPTION_ERR_CODE,
            vmcs.read(ro::VMEXIT_INTERRUPTION_ERR_CODE),
        );
    }
    vmcs.write(
        control::VMENTRY_INSTRUCTION_LEN,
        vmcs.read(ro::VMEXIT_INSTRUCTION_LEN),
    );
    inject(vmcs, event);
}

fn inject(vmcs: &mut Current, event: Interruption) {
    vmcs.write(control::VMENTRY_INTERRUPTION_INFO_FIELD, event.to_field());
}
