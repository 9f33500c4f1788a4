//! The part of a local APIC that a guest has: its number, its mode, and INIT and SIPI to other vCPUs (SDM vol. 3, 11.6 and 11.12).

use specs::platform::v1::Hook;

use crate::guests::vcpu::{Shared, Startup};

/// At its usual place, enabled, in x2APIC mode.
const BASE: u64 = 0xfee0_0000 | 1 << 11 | 1 << 10;
const BOOTSTRAP: u64 = 1 << 8;

fn base(vcpu: &Shared) -> u64 {
    BASE | if vcpu.id.index == 0 { BOOTSTRAP } else { 0 }
}

/// RDMSR of a register that the hypervisor answers. `None` is #GP.
pub fn read(hook: Hook, vcpu: &Shared) -> Option<u64> {
    match hook {
        Hook::ApicBaseRead => Some(base(vcpu)),
        Hook::X2apicIdRead => Some(vcpu.id.index.into()),
        Hook::ApicBaseWrite { .. } | Hook::X2apicIcrWrite { .. } => None,
    }
}

/// WRMSR of a register on which the hypervisor acts. False is #GP.
pub fn write(hook: Hook, vcpu: &Shared) -> bool {
    match hook {
        // The mode is fixed: only what is there already can be written.
        Hook::ApicBaseWrite { value } => value == base(vcpu),
        Hook::X2apicIcrWrite { value } => send(value, vcpu),
        Hook::ApicBaseRead | Hook::X2apicIdRead => false,
    }
}

/// The interrupt command register: INIT and SIPI to one vCPU or to all others. Interrupts to running vCPUs need an interrupt
/// controller, which a guest does not have yet: #GP rather than silence.
fn send(value: u64, sender: &Shared) -> bool {
    const INIT: u64 = 5;
    const STARTUP: u64 = 6;
    const LEVEL_ASSERT: u64 = 1 << 14;
    const NO_SHORTHAND: u64 = 0;
    const ALL_BUT_SELF: u64 = 3;
    let startup = match value >> 8 & 7 {
        INIT if value & LEVEL_ASSERT != 0 => Startup::Init,
        // INIT level de-assert does nothing on today's processors.
        INIT => return true,
        STARTUP => Startup::Sipi(value as u8),
        _ => return false,
    };
    let vcpus = sender.guest.vcpus().map(|vcpu| vcpu.shared);
    let target = value >> 32;
    match value >> 18 & 3 {
        NO_SHORTHAND => vcpus
            .filter(|vcpu| u64::from(vcpu.id.index) == target)
            .for_each(|vcpu| vcpu.send(startup)),
        ALL_BUT_SELF => vcpus
            .filter(|vcpu| vcpu.id != sender.id)
            .for_each(|vcpu| vcpu.send(startup)),
        _ => return false,
    }
    true
}
