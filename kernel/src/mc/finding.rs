//! What one processor has found, and what it meant there.

use bitfield_struct::bitfield;
use msr_runtime::ErrorRecord;

use super::grade::Class;
use crate::units::{GuestId, Pcpu, VcpuId};

/// How a processor was affected by what it found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Effect {
    /// Not: its context has nothing to do with the error.
    Untouched,
    /// Its vCPU consumed the error.
    Consumed,
    /// The hypervisor's marked copy of guest memory met it, and fails.
    CopyFailed,
}

impl Effect {
    const fn into_bits(self) -> u8 {
        self as u8
    }

    const fn from_bits(bits: u8) -> Self {
        match bits {
            0 => Self::Untouched,
            1 => Self::Consumed,
            _ => Self::CopyFailed,
        }
    }
}

/// Who met an error, and what it meant there. In one word, as it is kept: nothing is packed or unpacked on the way.
#[bitfield(u64)]
#[derive(PartialEq, Eq)]
pub(crate) struct Who {
    #[bits(16, from = Pcpu, into = processor_bits)]
    pub processor: Pcpu,
    #[bits(8, from = Class::from_rank, into = Class::rank)]
    pub class: Class,
    #[bits(2)]
    pub effect: Effect,
    #[bits(6)]
    __: u8,
    vcpu_index: u8,
    vcpu_guest: u8,
    __: u16,
}

const fn processor_bits(processor: Pcpu) -> u16 {
    processor.0
}

impl Who {
    /// The same, of the processor's vCPU.
    pub const fn with_vcpu(self, vcpu: VcpuId) -> Self {
        self.with_vcpu_index(vcpu.index)
            .with_vcpu_guest(vcpu.guest.0)
    }

    /// The vCPU that consumed the error.
    const fn vcpu(self) -> VcpuId {
        VcpuId {
            guest: GuestId(self.vcpu_guest()),
            index: self.vcpu_index(),
        }
    }

    /// The vCPU that consumed the error, if one did.
    pub fn consumer(self) -> Option<VcpuId> {
        (self.effect() == Effect::Consumed).then(|| self.vcpu())
    }
}

/// One processor met one error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub who: Who,
    /// Registers of the bank; the address is host-physical.
    pub record: ErrorRecord,
}

/// How many findings are handled at once; those that find no room stay in their banks for another pass.
pub(crate) const CAPACITY: usize = if cfg!(loom) { 4 } else { 32 };
