//! Which vCPU this is, and how many there are: CPUID leaves of the hypervisor.

use core::arch::x86_64::__cpuid;

use kernel::guest::hypercall::LEAF_GUEST;

/// How many vCPUs the guest has.
pub fn vcpus() -> usize {
    __cpuid(LEAF_GUEST).eax as usize
}

/// Index of the vCPU that asks.
pub fn this_vcpu() -> usize {
    __cpuid(LEAF_GUEST).ebx as usize
}
