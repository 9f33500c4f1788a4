//! The fast half of a VM exit: what can be answered from the vCPU's own state.
//!
//! Nothing that is reached from [`answer`] may use XMM registers: the guest's are still in them. `cargo boot` checks the image.

use super::cpuid;
use super::reason;
use crate::guests::vcpu::{EXIT_COUNTERS, Own, Rest};
use crate::vmx::current::Current;
use specs::{McState, McVersion};

/// Answers the exit if that needs nothing but the vCPU's own state. `version` is what makes of the machine-check registers those of the
/// version under which the vCPU lives.
#[inline(always)]
pub fn answer<S: McVersion>(
    own: &mut Own,
    vmcs: Current,
    version: impl Fn(&mut McState) -> &mut S,
) -> Rest {
    let reason = vmcs.exit_reason();
    own.exits[reason as usize % EXIT_COUNTERS] += 1;
    let done = match reason {
        reason::RDMSR => read_msr(own, version),
        reason::WRMSR => write_msr(own, version),
        reason::CPUID => return cpuid(own, vmcs),
        _ => false,
    };
    if done { next(own, vmcs) } else { Rest::Exit }
}

/// The CPUID instruction needs a register that Rust has to save first: on its own, so that no other exit does.
#[inline(never)]
fn cpuid(own: &mut Own, vmcs: Current) -> Rest {
    cpuid::answer(&mut own.registers, own.shared);
    next(own, vmcs)
}

/// On to the guest's next instruction.
#[inline(always)]
fn next(own: &mut Own, mut vmcs: Current) -> Rest {
    vmcs.skip_instruction();
    if own.mailbox.is_pending() {
        Rest::Work
    } else {
        Rest::Nothing
    }
}

#[inline(always)]
fn read_msr<S: McVersion>(own: &mut Own, version: impl Fn(&mut McState) -> &mut S) -> bool {
    match version(&mut own.machine_check).read(own.registers.rcx as u32) {
        Ok(value) => {
            own.registers.set_edx_eax(value);
            true
        }
        Err(_) => false,
    }
}

#[inline(always)]
fn write_msr<S: McVersion>(own: &mut Own, version: impl Fn(&mut McState) -> &mut S) -> bool {
    // The end of a guest's handler is an event, and what waited for it may follow: the slow half's business.
    if own.mailbox.is_in_progress() {
        return false;
    }
    let machine_check = version(&mut own.machine_check);
    let done = machine_check
        .write(own.registers.rcx as u32, own.registers.edx_eax())
        .is_ok();
    own.mailbox.mirror(machine_check);
    done
}
