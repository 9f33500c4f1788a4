//! CPUID as a guest sees it: the processor's own answers, less what this hypervisor does not give.
//!
//! Reached from the fast exit: no XMM.

use core::arch::x86_64::__cpuid_count;

use kernel::guest::hypercall::{ABI_VERSION, LEAF_GUEST, LEAF_SIGNATURE};

use crate::guests::vcpu::Shared;
use crate::vmx::registers::Registers;

const SIGNATURE: [u32; 3] = [
    u32::from_le_bytes(*b"Bank"),
    u32::from_le_bytes(*b"shot"),
    u32::from_le_bytes(*b"HV\0\0"),
];

/// Leaf 1, ECX: MONITOR, VMX, SMX, EIST, TM2, PDCM, PCID, TSC-deadline, XSAVE, OSXSAVE, AVX, F16C, FMA.
const LEAF_1_ECX_HIDDEN: u32 = 1 << 3
    | 1 << 5
    | 1 << 6
    | 1 << 7
    | 1 << 8
    | 1 << 15
    | 1 << 17
    | 1 << 24
    | 1 << 26
    | 1 << 27
    | 1 << 28
    | 1 << 29
    | 1 << 12;
/// Leaf 1, ECX: x2APIC (the mode guests are born in) and the hypervisor bit.
const LEAF_1_ECX_SHOWN: u32 = 1 << 21 | 1 << 31;
/// Leaf 1, EDX: DS, ACPI thermal, TM, PBE.
const LEAF_1_EDX_HIDDEN: u32 = 1 << 21 | 1 << 22 | 1 << 29 | 1 << 31;
/// Leaf 1, EDX: MTRR, which are the spec's.
const LEAF_1_EDX_SHOWN: u32 = 1 << 12;
/// Leaf 7, EBX: FSGSBASE, TSC_ADJUST, SMEP, BMI, ERMS, SMAP, RDSEED, ADX, CLFLUSHOPT, CLWB, SHA are left; INVPCID, TSX, AVX2 and on, MPX, PT are not.
const LEAF_7_EBX_SHOWN: u32 = 1 << 0
    | 1 << 1
    | 1 << 3
    | 1 << 7
    | 1 << 8
    | 1 << 9
    | 1 << 18
    | 1 << 19
    | 1 << 20
    | 1 << 23
    | 1 << 24
    | 1 << 29;
const MAX_STANDARD: u32 = 0x16;

/// Answers CPUID in the guest's registers.
#[inline(always)]
pub fn answer(registers: &mut Registers, vcpu: &Shared) {
    let (leaf, subleaf) = (registers.rax as u32, registers.rcx as u32);
    let (eax, ebx, ecx, edx) = match leaf {
        LEAF_SIGNATURE => (LEAF_GUEST, SIGNATURE[0], SIGNATURE[1], SIGNATURE[2]),
        LEAF_GUEST => (
            u32::from(vcpu.guest.vcpu_count()),
            u32::from(vcpu.id.index),
            ABI_VERSION,
            0,
        ),
        0x4000_0002..0x5000_0000 => (0, 0, 0, 0),
        _ => {
            let real = __cpuid_count(leaf, subleaf);
            let (mut eax, mut ebx, mut ecx, mut edx) = (real.eax, real.ebx, real.ecx, real.edx);
            match leaf {
                0 => {
                    eax = if eax > MAX_STANDARD {
                        MAX_STANDARD
                    } else {
                        eax
                    }
                }
                1 => {
                    let (count, index) =
                        (u32::from(vcpu.guest.vcpu_count()), u32::from(vcpu.id.index));
                    ebx = ebx & 0xffff | count << 16 | index << 24;
                    ecx = ecx & !LEAF_1_ECX_HIDDEN | LEAF_1_ECX_SHOWN;
                    edx = edx & !LEAF_1_EDX_HIDDEN | LEAF_1_EDX_SHOWN;
                }
                // Cache leaf: sharing by the physical topology means nothing to the guest.
                4 => eax &= 0x3fff,
                // No MONITOR, thermal and power, performance monitoring, XSAVE, resource monitoring, SGX, PT.
                5 | 6 | 0xa | 0xd | 0xf | 0x10 | 0x12 | 0x14 => (eax, ebx, ecx, edx) = (0, 0, 0, 0),
                7 => {
                    (eax, ebx, ecx, edx) = (
                        0,
                        if subleaf == 0 {
                            ebx & LEAF_7_EBX_SHOWN
                        } else {
                            0
                        },
                        0,
                        0,
                    )
                }
                // Topology: one thread a core, cores of one package; the x2APIC identifier is the vCPU's number.
                0xb => {
                    let index = u32::from(vcpu.id.index);
                    (eax, ebx, ecx, edx) = match subleaf {
                        0 => (0, 1, 1 << 8, index),
                        1 => (8, u32::from(vcpu.guest.vcpu_count()), 2 << 8 | 1, index),
                        other => (0, 0, other & 0xff, index),
                    };
                }
                _ => {}
            }
            (eax, ebx, ecx, edx)
        }
    };
    registers.rax = eax.into();
    registers.rbx = ebx.into();
    registers.rcx = ecx.into();
    registers.rdx = edx.into();
}
