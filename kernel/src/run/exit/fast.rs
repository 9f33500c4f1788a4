//! The fast half of a VM exit: what can be answered from the vCPU's own state.
//!
//! Nothing that is reached from [`answer`] may use XMM registers: the guest's are still in them. `cargo boot` checks the image.

use super::cpuid;
use super::reason;
use crate::guests::vcpu::{EXIT_COUNTERS, Own};
use crate::vmx::current::Current;

/// What is left to do after the fast half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Rest {
    /// Nothing: enter the guest again.
    Nothing = 0,
    /// The exit is answered, but something waits for this vCPU.
    Work = 1,
    /// The exit itself.
    Exit = 2,
}

/// Answers the exit if that needs nothing but the vCPU's own state.
#[inline(always)]
pub fn answer(own: &mut Own, mut vmcs: Current) -> Rest {
    let reason = vmcs.exit_reason();
    own.exits[reason as usize % EXIT_COUNTERS] += 1;
    let done = match reason {
        reason::RDMSR => read_msr(own),
        reason::WRMSR => write_msr(own),
        reason::CPUID => {
            cpuid::answer(&mut own.registers, own.shared);
            true
        }
        _ => false,
    };
    if !done {
        return Rest::Exit;
    }
    vmcs.skip_instruction();
    if own.mailbox.is_pending() {
        Rest::Work
    } else {
        Rest::Nothing
    }
}

#[inline(always)]
fn read_msr(own: &mut Own) -> bool {
    match own.machine_check.read(own.registers.rcx as u32) {
        Ok(value) => {
            own.registers.set_edx_eax(value);
            true
        }
        Err(_) => false,
    }
}

#[inline(always)]
fn write_msr(own: &mut Own) -> bool {
    // The end of a guest's handler is an event, and what waited for it may follow: the slow half's business.
    if own.mailbox.is_in_progress() {
        return false;
    }
    let done = own
        .machine_check
        .write(own.registers.rcx as u32, own.registers.edx_eax())
        .is_ok();
    own.mailbox.mirror(&own.machine_check);
    done
}
