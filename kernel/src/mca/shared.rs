//! What the processors share about machine checks: one static value.

use super::emptied::Emptied;
use super::flush::Flushes;
use super::poll::Polls;
use super::pool::Pool;
use super::rendezvous::Rendezvous;
use super::turn::Turn;
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::units::{GuestId, Pcpu, VcpuId};

/// What the administrator and the machine decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long a processor waits for the others, in time stamp ticks. Each further wait inside one machine check may take four
    /// times as long without progress.
    pub timeout: u64,
    /// A machine check for which no bank of any processor holds anything resets the machine.
    pub empty_is_fatal: bool,
    /// How many corrected errors a page may have before it is taken out of use; 0: any number.
    pub corrected_limit: u32,
}

/// What is known of one processor.
pub(super) struct Slot {
    /// It can take an #MC and is expected at every rendezvous.
    pub online: AtomicBool,
    /// Number of the last rendezvous that it joined.
    pub joined: AtomicU32,
    /// Number of the rendezvous to which it did not come although it was expected; 0 if it has been seen since.
    pub missing: AtomicU32,
    /// Generation of translations that it has seen the end of.
    pub flushed: AtomicU64,
    /// When it last handled an #MC while it was being brought up, in time stamp ticks; 0 if it did not.
    pub apart: AtomicU64,
    /// Not 0: it does nothing any more.
    pub stopped: AtomicU32,
    /// What [`Emptied`] counted when this processor last had no #MC on its way.
    pub settled: AtomicU32,
    /// The vCPU whose context it has lost in this machine check: guest and vCPU, a byte each, plus one; 0 if it has not.
    lost: AtomicU32,
}

/// The state of machine-check handling, for up to `P` processors.
pub struct Shared<const P: usize> {
    timeout: AtomicU64,
    empty_is_fatal: AtomicBool,
    corrected_limit: AtomicU32,
    pub(super) slots: [Slot; P],
    pub(super) rendezvous: Rendezvous,
    /// Who recovers: one rendezvous, or one processor alone. Held in #MC context only.
    pub(super) recovery: Turn,
    /// Who claims banks.
    pub(super) claim: Turn,
    /// Number of the machine check whose recovery goes on.
    pub(super) serial: AtomicU32,
    pub(super) pool: Pool,
    pub(super) flushes: Flushes,
    pub(super) polls: Polls,
    pub(super) emptied: Emptied,
    /// Counts the steps of a recovery, for those who wait for it.
    pub(super) progress: AtomicU32,
    /// The processor that resets the machine, plus one.
    pub(super) resetter: AtomicU32,
}

/// A moment at which nobody recovered.
pub(super) struct Quiet {
    /// The number of the last machine check; none if its recovery went on.
    serial: Option<u32>,
}

impl Quiet {
    /// This moment.
    #[inline(always)]
    pub fn now<const P: usize>(shared: &Shared<P>) -> Self {
        let serial = shared.serial.load(Ordering::Acquire);
        Self {
            serial: shared.recovery.is_free().then_some(serial),
        }
    }

    /// Whether nobody has recovered since, seen from inside the next machine check.
    #[inline(always)]
    pub fn until_here<const P: usize>(&self, shared: &Shared<P>) -> bool {
        let now = shared.serial.load(Ordering::Relaxed);
        self.serial
            .is_some_and(|serial| serial.wrapping_add(1) == now)
    }
}

impl Slot {
    crate::sync::constructor! {
        fn new() -> Self {
            Self {
                online: AtomicBool::new(false),
                joined: AtomicU32::new(0),
                missing: AtomicU32::new(0),
                flushed: AtomicU64::new(0),
                apart: AtomicU64::new(0),
                stopped: AtomicU32::new(0),
                settled: AtomicU32::new(0),
                lost: AtomicU32::new(0),
            }
        }
    }
}

impl Slot {
    /// The context of a vCPU that this processor ran is lost. Kept until the recovery takes it.
    pub fn lose(&self, VcpuId { guest, index }: VcpuId) {
        let vcpu = u32::from(guest.0) << 8 | u32::from(index);
        self.lost.store(vcpu + 1, Ordering::Release);
    }

    fn take_lost(&self) -> Option<VcpuId> {
        let vcpu = self.lost.swap(0, Ordering::AcqRel).checked_sub(1)?;
        Some(VcpuId {
            guest: GuestId((vcpu >> 8) as u8),
            index: vcpu as u8,
        })
    }
}

/// Half a second of a 2 GHz counter, until [`Shared::configure`] says otherwise.
const DEFAULT_TIMEOUT: u64 = 1_000_000_000;

impl<const P: usize> Shared<P> {
    /// Nobody is online.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self {
            timeout: AtomicU64::new(DEFAULT_TIMEOUT),
            empty_is_fatal: AtomicBool::new(true),
            corrected_limit: AtomicU32::new(0),
            slots: [const { Slot::new() }; P],
            rendezvous: Rendezvous::new(),
            recovery: Turn::new(),
            claim: Turn::new(),
            serial: AtomicU32::new(0),
            pool: Pool::new(),
            flushes: Flushes::new(),
            polls: Polls::new(),
            emptied: Emptied::new(),
            progress: AtomicU32::new(0),
            resetter: AtomicU32::new(0),
        }
    }

    /// Nobody is online.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self {
            timeout: AtomicU64::new(DEFAULT_TIMEOUT),
            empty_is_fatal: AtomicBool::new(true),
            corrected_limit: AtomicU32::new(0),
            slots: core::array::from_fn(|_| Slot::new()),
            rendezvous: Rendezvous::new(),
            recovery: Turn::new(),
            claim: Turn::new(),
            serial: AtomicU32::new(0),
            pool: Pool::new(),
            flushes: Flushes::new(),
            polls: Polls::new(),
            emptied: Emptied::new(),
            progress: AtomicU32::new(0),
            resetter: AtomicU32::new(0),
        }
    }

    /// Sets what can be configured.
    pub fn configure(&self, config: Config) {
        self.timeout.store(config.timeout, Ordering::Relaxed);
        self.empty_is_fatal
            .store(config.empty_is_fatal, Ordering::Relaxed);
        self.corrected_limit
            .store(config.corrected_limit, Ordering::Relaxed);
    }

    pub(super) fn config(&self) -> Config {
        Config {
            timeout: self.timeout.load(Ordering::Relaxed),
            empty_is_fatal: self.empty_is_fatal.load(Ordering::Relaxed),
            corrected_limit: self.corrected_limit.load(Ordering::Relaxed),
        }
    }

    pub(super) fn slot(&self, processor: Pcpu) -> Option<&Slot> {
        self.slots.get(usize::from(processor.0))
    }

    /// The vCPUs whose contexts are lost in this machine check; taken by the one that recovers.
    pub(super) fn take_lost_contexts(&self) -> impl Iterator<Item = VcpuId> {
        let are_there = self.pool.has_lost_contexts();
        let slots = self.slots.iter().filter(move |_| are_there);
        slots.filter_map(Slot::take_lost)
    }

    /// The processors that are online, in order.
    pub(super) fn online(&self) -> impl Iterator<Item = (Pcpu, &Slot)> {
        // The numbers are handed out from 0 in the order of bring-up, so the online ones are (all but) a prefix.
        let mut left = self.rendezvous.online();
        self.slots
            .iter()
            .zip(0..)
            .map_while(move |(slot, number)| {
                if left == 0 {
                    return None;
                }
                let online = slot.online.load(Ordering::Acquire);
                left -= u16::from(online);
                Some(online.then_some((Pcpu(number), slot)))
            })
            .flatten()
    }
}

impl<const P: usize> Default for Shared<P> {
    fn default() -> Self {
        Self::new()
    }
}
