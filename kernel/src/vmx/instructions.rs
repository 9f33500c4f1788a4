//! The VMX instructions, without the checks that `x86::vmx` makes of each: a VMREAD or VMWRITE of a field that the current VMCS
//! has cannot fail, and both are on the exit path.

use core::arch::asm;

use kernel::units::Hpa;

/// VMX instruction error or no current VMCS (CF or ZF was set).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

/// Reads a field of the current VMCS.
///
/// # Safety
/// The processor has a current VMCS and supports the field.
#[inline(always)]
pub unsafe fn vmread(field: u32) -> u64 {
    let value: u64;
    // SAFETY: by the caller.
    unsafe {
        asm!("vmread {}, {}", out(reg) value, in(reg) u64::from(field), options(nostack, nomem))
    };
    value
}

/// Writes a field of the current VMCS.
///
/// # Safety
/// The processor has a current VMCS and supports the field; what the value does to the guest or the host is as intended.
#[inline(always)]
pub unsafe fn vmwrite(field: u32, value: u64) {
    // SAFETY: by the caller.
    unsafe {
        asm!("vmwrite {}, {}", in(reg) u64::from(field), in(reg) value, options(nostack, nomem))
    };
}

macro_rules! with_operand {
    ($(#[$doc:meta])* $name:ident, $instruction:literal) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// The region is a page of the hypervisor's own with the VMCS revision identifier in its first 4 bytes.
        pub unsafe fn $name(region: Hpa) -> Result<(), Failed> {
            let failed: u8;
            // SAFETY: by the caller.
            unsafe {
                asm!(
                    concat!($instruction, " [{}]"),
                    "setna {}",
                    in(reg) &region.0,
                    out(reg_byte) failed,
                    options(nostack)
                );
            }
            if failed == 0 { Ok(()) } else { Err(Failed) }
        }
    };
}

with_operand!(
    /// Enters VMX operation.
    vmxon, "vmxon"
);
with_operand!(
    /// Initialises a VMCS, or writes it back and forgets it.
    vmclear, "vmclear"
);
with_operand!(
    /// Makes a VMCS current.
    vmptrld, "vmptrld"
);

/// Drops every EPT translation that this processor holds (all contexts).
///
/// # Safety
/// The processor is in VMX operation and supports the all-context type.
pub unsafe fn invept_all() {
    const ALL_CONTEXTS: u64 = 2;
    let descriptor = [0u64; 2];
    // SAFETY: by the caller.
    unsafe { asm!("invept {}, [{}]", in(reg) ALL_CONTEXTS, in(reg) &descriptor, options(nostack)) };
}

/// Drops every linear translation of one virtual processor.
///
/// # Safety
/// The processor is in VMX operation and supports the single-context type; `vpid` is not 0.
pub unsafe fn invvpid_single(vpid: u16) {
    const SINGLE_CONTEXT: u64 = 1;
    let descriptor = [u64::from(vpid), 0];
    // SAFETY: by the caller.
    unsafe {
        asm!("invvpid {}, [{}]", in(reg) SINGLE_CONTEXT, in(reg) &descriptor, options(nostack))
    };
}
