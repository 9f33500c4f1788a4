//! Who a processor is, for whoever reads a record of its errors later.

use core::arch::x86_64::{__cpuid, __cpuid_count};

use super::traps::{read_if_there, write_if_accepted};

/// IA32_BIOS_SIGN_ID (SDM vol. 3, 10.11.7.1).
const BIOS_SIGN_ID: u32 = 0x8b;
/// MSR_PLATFORM_INFO; bit 23: PPIN can be had (SDM vol. 4, 2.1).
const PLATFORM_INFO: u32 = 0xce;
/// MSR_PPIN_CTL; bit 1: PPIN can be read.
const PPIN_CTL: u32 = 0x4e;
/// MSR_PPIN.
const PPIN: u32 = 0x4f;

/// The running processor, in the words of its records.
#[derive(Clone, Copy, Default)]
pub struct Identity {
    /// CPUID leaf 1, EAX: family, model, stepping.
    pub signature: u32,
    /// Revision of its microcode; 0 where that cannot be had.
    pub microcode: u32,
    /// Protected processor inventory number; 0 where there is none, or firmware has not enabled it.
    pub ppin: u64,
}

impl Identity {
    /// That of the running processor. Its IDT is loaded.
    pub fn read() -> Self {
        let is_intel = __cpuid(0).ebx == u32::from_le_bytes(*b"Genu");
        Self {
            signature: __cpuid(1).eax,
            microcode: if is_intel { microcode() } else { 0 },
            ppin: if is_intel { ppin() } else { 0 },
        }
    }
}

/// CPUID leaf 1 puts the revision into the upper half of the register, if there is microcode at all.
fn microcode() -> u32 {
    // SAFETY: the register holds a number for software and controls nothing.
    let _ = unsafe { write_if_accepted(BIOS_SIGN_ID, 0) };
    let _ = __cpuid(1);
    (read_if_there(BIOS_SIGN_ID) >> 32) as u32
}

fn ppin() -> u64 {
    const HAS_PPIN: u64 = 1 << 23;
    const ENABLED: u64 = 1 << 1;
    let exists = is_enumerated() || read_if_there(PLATFORM_INFO) & HAS_PPIN != 0;
    if exists && read_if_there(PPIN_CTL) & ENABLED != 0 {
        read_if_there(PPIN)
    } else {
        0
    }
}

/// CPUID says that there is a PPIN: leaf 7, subleaf 1, EBX bit 0.
fn is_enumerated() -> bool {
    const LEAF: u32 = 7;
    __cpuid(0).eax >= LEAF && __cpuid_count(LEAF, 0).eax >= 1 && __cpuid_count(LEAF, 1).ebx & 1 != 0
}
