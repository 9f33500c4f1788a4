//! Whether this processor can do what the hypervisor needs, and what its control fields demand (SDM vol. 3, appendix A).

use x86::msr;

use crate::machine::processor::Processor;
use crate::machine::{rdmsr, wrmsr};

/// What is missing; each has a sentence for the user in `cargo boot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// CPUID does not offer VMX.
    Vmx,
    /// The firmware has locked VMX out (IA32_FEATURE_CONTROL).
    Locked,
    /// A control that the hypervisor cannot do without.
    Control(&'static str),
}

impl Missing {
    /// The word that the log has for it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Vmx => "no-vmx",
            Self::Locked => "vmx-locked-by-firmware",
            Self::Control(name) => name,
        }
    }
}

const CPUID_VMX: u32 = 1 << 5;
const FEATURE_LOCKED: u64 = 1 << 0;
const FEATURE_VMX: u64 = 1 << 2;
const FEATURE_LMCE: u64 = 1 << 20;
/// IA32_VMX_BASIC: the TRUE control MSRs exist.
const TRUE_CONTROLS: u64 = 1 << 55;

/// Checks CPUID and unlocks VMX, and local machine checks with it, where firmware has left that to us. On each processor.
pub fn enable() -> Result<(), Missing> {
    if core::arch::x86_64::__cpuid(1).ecx & CPUID_VMX == 0 {
        return Err(Missing::Vmx);
    }
    // SAFETY: the MSR exists where VMX does; unlocked, it takes these bits.
    unsafe {
        let control = rdmsr(msr::IA32_FEATURE_CONTROL);
        if control & FEATURE_LOCKED == 0 {
            let lmce = if Processor::current().machine_check.lmce_p() {
                FEATURE_LMCE
            } else {
                0
            };
            wrmsr(
                msr::IA32_FEATURE_CONTROL,
                control | FEATURE_VMX | lmce | FEATURE_LOCKED,
            );
        } else if control & FEATURE_VMX == 0 {
            return Err(Missing::Locked);
        }
    }
    Ok(())
}

/// The revision identifier that every VMX region starts with.
pub fn revision() -> u32 {
    // SAFETY: exists with VMX. Bit 31 is always zero.
    unsafe { rdmsr(msr::IA32_VMX_BASIC) as u32 & 0x7fff_ffff }
}

/// Which control field a value is for.
#[derive(Clone, Copy)]
pub enum Field {
    /// Pin-based VM-execution controls.
    Pin,
    /// Primary processor-based VM-execution controls.
    Primary,
    /// Secondary processor-based VM-execution controls.
    Secondary,
    /// VM-exit controls.
    Exit,
    /// VM-entry controls.
    Entry,
}

/// `wanted` with what the processor demands added. A wanted control that it does not have is the error.
pub fn adjust(field: Field, wanted: u32, name: &'static str) -> Result<u64, Missing> {
    // SAFETY: these MSRs exist with VMX, the TRUE ones where VMX_BASIC says so; the secondary one is read only after the primary
    // controls have offered it.
    let allowed = unsafe {
        let has_true = rdmsr(msr::IA32_VMX_BASIC) & TRUE_CONTROLS != 0;
        let number = match (field, has_true) {
            (Field::Pin, true) => msr::IA32_VMX_TRUE_PINBASED_CTLS,
            (Field::Pin, false) => msr::IA32_VMX_PINBASED_CTLS,
            (Field::Primary, true) => msr::IA32_VMX_TRUE_PROCBASED_CTLS,
            (Field::Primary, false) => msr::IA32_VMX_PROCBASED_CTLS,
            (Field::Secondary, _) => msr::IA32_VMX_PROCBASED_CTLS2,
            (Field::Exit, true) => msr::IA32_VMX_TRUE_EXIT_CTLS,
            (Field::Exit, false) => msr::IA32_VMX_EXIT_CTLS,
            (Field::Entry, true) => msr::IA32_VMX_TRUE_ENTRY_CTLS,
            (Field::Entry, false) => msr::IA32_VMX_ENTRY_CTLS,
        };
        rdmsr(number)
    };
    let (demanded, offered) = (allowed as u32, (allowed >> 32) as u32);
    if wanted & !offered != 0 {
        return Err(Missing::Control(name));
    }
    Ok((wanted | demanded).into())
}

/// EPT as `vmx::ept` uses it: four levels, write-back, 2 MiB pages, INVEPT of all contexts, INVVPID of one (SDM vol. 3, A.10).
pub fn check_ept() -> Result<(), Missing> {
    const NEEDED: u64 = 1 << 6 | 1 << 14 | 1 << 16 | 1 << 20 | 1 << 26 | 1 << 32 | 1 << 41;
    const SECONDARY_CONTROLS: u64 = 1 << 63;
    const EPT: u64 = 1 << 33;
    // SAFETY: each is read only when the one before has said that it exists.
    let capability = unsafe {
        if rdmsr(msr::IA32_VMX_PROCBASED_CTLS) & SECONDARY_CONTROLS == 0
            || rdmsr(msr::IA32_VMX_PROCBASED_CTLS2) & EPT == 0
        {
            return Err(Missing::Control("no-ept"));
        }
        rdmsr(msr::IA32_VMX_EPT_VPID_CAP)
    };
    if capability & NEEDED == NEEDED {
        Ok(())
    } else {
        Err(Missing::Control("no-ept-2mib-invept-or-invvpid"))
    }
}

/// Time stamp ticks per tick of the VMX-preemption timer, as a shift (SDM vol. 3, 26.5.1).
pub fn preemption_timer_shift() -> u32 {
    // SAFETY: exists with VMX.
    unsafe { rdmsr(msr::IA32_VMX_MISC) as u32 & 0x1f }
}

/// VMWRITE takes the fields that tell of an exit, too (SDM vol. 3, A.6).
#[cfg(feature = "faults")]
pub fn writes_exit_information() -> bool {
    // SAFETY: exists with VMX.
    unsafe { rdmsr(msr::IA32_VMX_MISC) >> 29 & 1 != 0 }
}

/// CR0 or CR4 as VMX operation wants them: bits that must be one, bits that may be (SDM vol. 3, A.7 and A.8).
pub fn fixed_bits(cr4: bool) -> (u64, u64) {
    // SAFETY: exist with VMX.
    unsafe {
        if cr4 {
            (
                rdmsr(msr::IA32_VMX_CR4_FIXED0),
                rdmsr(msr::IA32_VMX_CR4_FIXED1),
            )
        } else {
            (
                rdmsr(msr::IA32_VMX_CR0_FIXED0),
                rdmsr(msr::IA32_VMX_CR0_FIXED1),
            )
        }
    }
}
