//! Where the held registers of `platform.msr` live while their vCPU has the processor: in its VMCS, in the processor itself, or
//! nowhere but in the state.

use kernel::event::Event;
use kernel::units::VcpuId;
use specs::platform::v1::{Held, State};
use x86::vmx::vmcs::{control, guest};

use super::current::Current;
use crate::machine::{rdmsr, wrmsr};

enum Home {
    /// A field of the VMCS: entry loads it, exit saves it.
    Vmcs(u32),
    /// The processor's own register, which the hypervisor does not use.
    Processor,
    /// The state alone: the guest does not reach it without an exit.
    State,
}

const fn home(register: Held) -> Home {
    match register {
        Held::Ia32TscAdjust => Home::Vmcs(control::TSC_OFFSET_FULL),
        Held::Ia32SysenterCs => Home::Vmcs(guest::IA32_SYSENTER_CS),
        Held::Ia32SysenterEsp => Home::Vmcs(guest::IA32_SYSENTER_ESP),
        Held::Ia32SysenterEip => Home::Vmcs(guest::IA32_SYSENTER_EIP),
        Held::Ia32Debugctl => Home::Vmcs(guest::IA32_DEBUGCTL_FULL),
        Held::Ia32Pat => Home::Vmcs(guest::IA32_PAT_FULL),
        Held::Ia32Efer => Home::Vmcs(guest::IA32_EFER_FULL),
        Held::Ia32FsBase => Home::Vmcs(guest::FS_BASE),
        Held::Ia32GsBase => Home::Vmcs(guest::GS_BASE),
        Held::Ia32Star
        | Held::Ia32Lstar
        | Held::Ia32Cstar
        | Held::Ia32Fmask
        | Held::Ia32KernelGsBase
        | Held::Ia32TscAux => Home::Processor,
        Held::X2apicApicid | Held::X2apicTpr => Home::State,
    }
}

/// Puts what the state holds into the VMCS and the processor. For a vCPU that has the processor.
pub fn load(vmcs: &mut Current, state: &State) {
    load_vmcs(vmcs, state);
    load_processor(state);
}

/// Puts what lives in the VMCS there.
pub fn load_vmcs(vmcs: &mut Current, state: &State) {
    for &register in Held::ALL {
        if let Home::Vmcs(field) = home(register) {
            vmcs.write(field, state.held(register));
        }
    }
}

/// Puts what lives in the processor there. What a restore accepts, the processor takes: the spec says so.
pub fn load_processor(state: &State) {
    for &register in Held::ALL {
        if let Home::Processor = home(register) {
            // SAFETY: they exist with long mode and RDTSCP, and the hypervisor uses none of them; the value is the reset value, one
            // that the processor had, or one of a record, which the register's rules have checked.
            unsafe { wrmsr(register.msr(), state.held(register)) };
        }
    }
}

/// A register has a value that the spec excludes: the state keeps what it had, which is what the vCPU goes on with. The processor
/// faults on what the spec excludes, so no guest gets there.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Excluded {
    /// The register.
    pub register: Held,
    /// What it had.
    pub value: u64,
}

impl Excluded {
    /// What the log says of it.
    pub fn event(self, of: VcpuId) -> Event {
        Event::ValueExcluded {
            guest: of.guest,
            vcpu: of.index,
            msr: self.register.msr(),
            value: self.value,
        }
    }
}

/// Takes what the guest has made of them into the state. For a vCPU that has the processor.
///
/// # Errors
/// The last register with a value that the spec excludes; all others are taken.
pub fn take(vmcs: &Current, state: &mut State) -> Result<(), Excluded> {
    let mut taken = Ok(());
    for &register in Held::ALL {
        if let Home::Vmcs(field) = home(register) {
            taken = put(state, register, vmcs.read(field)).and(taken);
        }
    }
    take_processor(state).and(taken)
}

/// Takes what lives in the processor.
///
/// # Errors
/// As [`take`].
pub fn take_processor(state: &mut State) -> Result<(), Excluded> {
    let mut taken = Ok(());
    for &register in Held::ALL {
        if let Home::Processor = home(register) {
            // SAFETY: as in `load_processor`.
            taken = put(state, register, unsafe { rdmsr(register.msr()) }).and(taken);
        }
    }
    taken
}

fn put(state: &mut State, register: Held, value: u64) -> Result<(), Excluded> {
    match state.hold(register, value) {
        true => Ok(()),
        false => Err(Excluded { register, value }),
    }
}

impl Current {
    /// The guest's IA32_DEBUGCTL.
    pub fn debug_controls(&self) -> u64 {
        self.read(guest::IA32_DEBUGCTL_FULL)
    }

    /// Sets the guest's IA32_DEBUGCTL: bits that the spec lets a guest write.
    pub fn set_debug_controls(&mut self, value: u64) {
        self.write(guest::IA32_DEBUGCTL_FULL, value);
    }

    /// Sets what the guest's time stamp counter is ahead of the host's, in ticks.
    pub fn set_tsc_offset(&mut self, ticks: u64) {
        self.write(control::TSC_OFFSET_FULL, ticks);
    }
}
