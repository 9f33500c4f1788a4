//! The hooks of `platform.msr`: accesses on which the hypervisor acts. The spec has checked the value.

use specs::platform::v1::{Held, Hook};

use super::apic;
use crate::guests::vcpu::Own;
use crate::machine::tsc;
use crate::vmx::current::Current;

/// RDMSR. `None` is #GP.
pub fn read(hook: Hook, vmcs: &Current) -> Option<u64> {
    match hook {
        Hook::DebugctlRead => Some(vmcs.debug_controls()),
        Hook::TscWrite { .. }
        | Hook::TscAdjustWrite { .. }
        | Hook::DebugctlWrite { .. }
        | Hook::X2apicIcrWrite { .. } => None,
    }
}

/// WRMSR. False is #GP.
pub fn write(hook: Hook, own: &mut Own, vmcs: &mut Current) -> bool {
    match hook {
        // The guest's counter is the host's and the adjustment: whichever is written, the adjustment changes.
        Hook::TscWrite { value } => adjust_tsc(value.wrapping_sub(tsc()), own, vmcs),
        Hook::TscAdjustWrite { value } => adjust_tsc(value, own, vmcs),
        Hook::DebugctlWrite { value } => vmcs.set_debug_controls(value),
        Hook::X2apicIcrWrite { value } => apic::send(value, own.shared),
        Hook::DebugctlRead => return false,
    }
    true
}

fn adjust_tsc(ticks: u64, own: &mut Own, vmcs: &mut Current) {
    if own.platform.hold(Held::Ia32TscAdjust, ticks) {
        vmcs.set_tsc_offset(ticks);
    }
}
