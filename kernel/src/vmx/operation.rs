//! What each processor's VMX operation stands at: in it or not, and which VMCS is current. Readable in any context.

use core::sync::atomic::{AtomicU64, Ordering};

use kernel::units::Hpa;
use x86::vmx::vmcs::guest;

use super::instructions::{self, Failed, vmwrite};
use crate::machine::processor::{MAX_PROCESSORS, Processor};

/// Not in VMX operation.
const OUT: u64 = u64::MAX;
/// In VMX operation, no VMCS current.
const NONE: u64 = 0;

/// `OUT`, `NONE`, or the address of the current VMCS.
static CURRENT: [AtomicU64; MAX_PROCESSORS] = [const { AtomicU64::new(OUT) }; MAX_PROCESSORS];

fn current(processor: &Processor) -> &'static AtomicU64 {
    &CURRENT[usize::from(processor.number.0) % MAX_PROCESSORS]
}

/// This processor has entered VMX operation.
pub(super) fn entered(processor: &Processor) {
    current(processor).store(NONE, Ordering::Release);
}

/// Makes a VMCS current on this processor.
///
/// # Safety
/// The VMCS was prepared, and is active on no other processor.
pub unsafe fn load(processor: &Processor, vmcs: Hpa) -> Result<(), Failed> {
    let current = current(processor);
    if current.load(Ordering::Relaxed) != vmcs.0 {
        // An NMI in between writes the timer of the one or of the other: either exits once too often.
        // SAFETY: by the caller.
        unsafe { instructions::vmptrld(vmcs)? };
        current.store(vmcs.0, Ordering::Release);
    }
    Ok(())
}

/// Writes back what this processor holds of a VMCS, which is then active nowhere.
///
/// # Safety
/// The VMCS was prepared, and is active on no other processor.
pub unsafe fn clear(processor: &Processor, vmcs: Hpa) -> Result<(), Failed> {
    let current = current(processor);
    if current.load(Ordering::Relaxed) == vmcs.0 {
        // First: an NMI in between must not write to a VMCS that is not there any more.
        current.store(NONE, Ordering::Release);
    }
    // SAFETY: by the caller.
    unsafe { instructions::vmclear(vmcs) }
}

/// Sets the preemption timer of the VMCS that is current here, if there is one: 0 makes the next entry exit before an
/// instruction of the guest. In any context.
pub fn set_timer(ticks: u64) {
    if !matches!(
        current(Processor::current()).load(Ordering::Acquire),
        OUT | NONE
    ) {
        // SAFETY: a VMCS is current.
        unsafe { vmwrite(guest::VMX_PREEMPTION_TIMER_VALUE, ticks) };
    }
}

/// Drops every translation of guest memory that this processor holds. In any context.
pub fn flush_translations() {
    if current(Processor::current()).load(Ordering::Acquire) != OUT {
        // SAFETY: in VMX operation; all-context INVEPT was checked for at boot.
        unsafe { instructions::invept_all() };
    }
}
