//! What the processors of a machine check have found, for the one that recovers.

use msr_runtime::ErrorRecord;

use super::grade::Class;
use crate::sync::{AtomicU32, AtomicU64, Ordering, constructor};
use crate::units::{GuestId, Pcpu, VcpuId};

/// How a processor was affected by what it found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Not: its context has nothing to do with the error.
    Untouched,
    /// This vCPU consumed the error.
    Consumed(VcpuId),
    /// The hypervisor's marked copy of guest memory met it, and fails.
    CopyFailed,
    /// No error of a bank; this vCPU's context cannot go on.
    ContextLost(VcpuId),
}

/// One processor met one error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub processor: Pcpu,
    pub class: Class,
    pub effect: Effect,
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

const UNTOUCHED: u64 = 0;
const CONSUMED: u64 = 1;
const COPY_FAILED: u64 = 2;
const CONTEXT_LOST: u64 = 3;

impl Finding {
    /// Processor, class, effect and vCPU in one word.
    fn who(&self) -> u64 {
        let (effect, vcpu) = match self.effect {
            Effect::Untouched => (UNTOUCHED, None),
            Effect::Consumed(vcpu) => (CONSUMED, Some(vcpu)),
            Effect::CopyFailed => (COPY_FAILED, None),
            Effect::ContextLost(vcpu) => (CONTEXT_LOST, Some(vcpu)),
        };
        let vcpu = vcpu.map_or(0, |vcpu| {
            u64::from(vcpu.guest.0) << 8 | u64::from(vcpu.index)
        });
        u64::from(self.processor.0) | u64::from(self.class.rank()) << 16 | effect << 24 | vcpu << 32
    }

    fn from_who(who: u64, record: ErrorRecord) -> Self {
        let vcpu = VcpuId {
            guest: GuestId((who >> 40) as u8),
            index: (who >> 32) as u8,
        };
        Self {
            processor: Pcpu(who as u16),
            class: Class::from_rank((who >> 16) as u8),
            effect: match who >> 24 & 3 {
                CONSUMED => Effect::Consumed(vcpu),
                COPY_FAILED => Effect::CopyFailed,
                CONTEXT_LOST => Effect::ContextLost(vcpu),
                _ => Effect::Untouched,
            },
            record,
        }
    }
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
    pub fn add(&self, finding: &Finding) -> bool {
        let len = self.len.load(Ordering::Relaxed);
        let Some(place) = self.places.get(len as usize) else {
            return false;
        };
        place.who.store(finding.who(), Ordering::Relaxed);
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

    /// Everything found.
    pub fn iter(&self) -> impl Iterator<Item = Finding> + '_ {
        let len = self.len.load(Ordering::Acquire) as usize;
        self.places.iter().take(len).map(|place| {
            let record = ErrorRecord {
                status: place.status.load(Ordering::Relaxed),
                address: place.address.load(Ordering::Relaxed),
                misc: place.misc.load(Ordering::Relaxed),
            };
            Finding::from_who(place.who.load(Ordering::Relaxed), record)
        })
    }
}
