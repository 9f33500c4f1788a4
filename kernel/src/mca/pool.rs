//! What the processors of a machine check have found, for the one that recovers.

use bitfield_struct::bitfield;
use msr_runtime::ErrorRecord;

use super::grade::Class;
use crate::sync::{AtomicU32, AtomicU64, Ordering, constructor};
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
    /// No error of a bank; its vCPU's context cannot go on.
    ContextLost,
}

impl Effect {
    const fn into_bits(self) -> u8 {
        self as u8
    }

    const fn from_bits(bits: u8) -> Self {
        match bits {
            0 => Self::Untouched,
            1 => Self::Consumed,
            2 => Self::CopyFailed,
            _ => Self::ContextLost,
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

    /// The vCPU that consumed the error, or whose context is lost.
    pub const fn vcpu(self) -> VcpuId {
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

/// How many findings one machine check may have.
pub(crate) const CAPACITY: usize = if cfg!(loom) { 4 } else { 32 };

struct Place {
    who: AtomicU64,
    status: AtomicU64,
    address: AtomicU64,
    misc: AtomicU64,
}

/// Written by one processor at a time (it has the turn to claim), read by the one that recovers, behind the barrier.
pub(super) struct Pool {
    len: AtomicU32,
    places: [Place; CAPACITY],
}

impl Place {
    constructor! {
        fn new() -> Self {
            Self {
                who: AtomicU64::new(0),
                status: AtomicU64::new(0),
                address: AtomicU64::new(0),
                misc: AtomicU64::new(0),
            }
        }
    }
}

impl Place {
    #[inline(always)]
    fn load(&self) -> Finding {
        Finding {
            who: self.who.load(Ordering::Relaxed).into(),
            record: ErrorRecord {
                status: self.status.load(Ordering::Relaxed),
                address: self.address.load(Ordering::Relaxed),
                misc: self.misc.load(Ordering::Relaxed),
            },
        }
    }
}

impl Pool {
    /// Empty.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self {
            len: AtomicU32::new(0),
            places: [const { Place::new() }; CAPACITY],
        }
    }

    /// Empty.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self {
            len: AtomicU32::new(0),
            places: core::array::from_fn(|_| Place::new()),
        }
    }

    /// Adds a finding; false if there is no room.
    #[must_use]
    #[inline(always)]
    pub fn add(&self, finding: &Finding) -> bool {
        let len = self.len.load(Ordering::Relaxed);
        let Some(place) = self.places.get(len as usize) else {
            return false;
        };
        place.who.store(finding.who.into(), Ordering::Relaxed);
        place.status.store(finding.record.status, Ordering::Relaxed);
        place
            .address
            .store(finding.record.address, Ordering::Relaxed);
        place.misc.store(finding.record.misc, Ordering::Relaxed);
        self.len.store(len + 1, Ordering::Release);
        true
    }

    pub fn clear(&self) {
        self.len.store(0, Ordering::Relaxed);
    }

    /// The finding, if there is one only.
    #[inline(always)]
    pub fn only(&self) -> Option<Finding> {
        let is_one = self.len.load(Ordering::Acquire) == 1;
        self.places.first().filter(|_| is_one).map(Place::load)
    }

    /// Everything found.
    #[inline(always)]
    pub fn iter(&self) -> impl Iterator<Item = Finding> + '_ {
        let len = self.len.load(Ordering::Acquire) as usize;
        self.places.iter().take(len).map(Place::load)
    }
}
