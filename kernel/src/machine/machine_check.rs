//! The machine-check MSRs of the running processor, as far as it has them (SDM vol. 3, 17.3).

use core::sync::atomic::Ordering;

use kernel::mca::McgCap;
use kernel::mca::registers::{
    FEATURE_CONTROL, MC0_CTL, MC0_CTL2, MCG_CAP, MCG_CTL, MCG_EXT_CTL, MCG_STATUS,
};

use super::processor::Processor;
use super::{rdmsr, wrmsr};

/// The processor has the machine-check architecture (CPUID leaf 1, EDX bits 7 and 14).
fn is_there() -> bool {
    const MCE_AND_MCA: u32 = 1 << 7 | 1 << 14;
    core::arch::x86_64::__cpuid(1).edx & MCE_AND_MCA == MCE_AND_MCA
}

/// MCG_CAP, with no more banks than have an address; all zero where there is no machine-check architecture.
pub fn capabilities() -> McgCap {
    // SAFETY: exists with MCA.
    let cap = McgCap::from(if is_there() {
        unsafe { rdmsr(MCG_CAP) }
    } else {
        0
    });
    cap.with_count(cap.banks())
}

/// The processor has this machine-check MSR.
#[inline]
fn has(capabilities: McgCap, msr: u32) -> bool {
    let banks = u32::from(capabilities.count());
    // Most are banks'.
    if msr.wrapping_sub(MC0_CTL) < 4 * banks {
        return true;
    }
    match msr {
        MCG_CAP | MCG_STATUS => banks != 0,
        MCG_CTL => capabilities.ctl_p(),
        MCG_EXT_CTL | FEATURE_CONTROL => capabilities.lmce_p(),
        _ => capabilities.cmci_p() && (MC0_CTL2..MC0_CTL2 + banks).contains(&msr),
    }
}

#[inline(always)]
fn is_plain_bank(processor: &Processor, msr: u32) -> bool {
    // The first condition costs nothing where the MSR is known when this is compiled.
    msr >= MC0_CTL && msr - MC0_CTL < processor.bank_msrs.load(Ordering::Relaxed)
}

/// RDMSR of a bank's MSR, in the time that the many reads of a machine check ask for: none where anything else has to be looked at first.
#[inline(always)]
pub fn read_bank(processor: &Processor, msr: u32) -> Option<u64> {
    let is_bank = is_plain_bank(processor, msr);
    // SAFETY: the processor that runs has so many; reading has no effect.
    is_bank.then(|| unsafe { rdmsr(msr) })
}

/// WRMSR of a bank's MSR, likewise. False where anything else has to be looked at first.
#[inline(always)]
pub fn write_bank(processor: &Processor, msr: u32, value: u64) -> bool {
    let is_bank = is_plain_bank(processor, msr);
    if is_bank {
        // SAFETY: as in `write`.
        unsafe { wrmsr(msr, value) }
    }
    is_bank
}

/// RDMSR of a machine-check MSR; 0 for one that is not there.
pub fn read(capabilities: McgCap, msr: u32) -> u64 {
    if !has(capabilities, msr) {
        return 0;
    }
    // SAFETY: `has` says that it is there; reading has no effect.
    unsafe { rdmsr(msr) }
}

/// WRMSR of a machine-check MSR; nothing for one that is not there. The engine writes what the SDM allows: zero to STATUS, ADDR and
/// MISC, enables to the controls. (The injector writes more, having seen that it is taken.)
pub fn write(capabilities: McgCap, msr: u32, value: u64) {
    if has(capabilities, msr) && msr != MCG_CAP && msr != FEATURE_CONTROL {
        // SAFETY: `has` says that it is there; machine-check registers do not touch memory.
        unsafe { wrmsr(msr, value) }
    }
}

/// As [`write()`], of a value that the MSR may refuse with #GP: banks take zero alone on hardware. True if it was taken.
#[cfg(feature = "faults")]
pub fn try_write(capabilities: McgCap, msr: u32, value: u64) -> bool {
    // SAFETY: machine-check registers do not touch memory; a fault of the one instruction is caught.
    has(capabilities, msr) && unsafe { super::traps::write_if_accepted(msr, value) }
}

/// Lets #MC through on this processor: without it one shuts the processor down (CR4.MCE). What is left in MCG_STATUS goes first, for with MCIP set an
/// #MC does so too.
pub fn enable_exception(capabilities: McgCap) {
    const MACHINE_CHECK_ENABLE: u64 = 1 << 6;
    if is_there() {
        write(capabilities, MCG_STATUS, 0);
        // SAFETY: the #MC gate is filled in and its handler ready.
        unsafe {
            core::arch::asm!(
                "mov {0}, cr4", "or {0}, {1}", "mov cr4, {0}",
                out(reg) _, const MACHINE_CHECK_ENABLE,
                options(nostack)
            );
        }
    }
}
