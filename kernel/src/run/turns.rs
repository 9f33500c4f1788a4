//! Whose turn it is on a processor: its vCPUs, which of them runs, and for how long.

use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use kernel::schedule::{Choice, Need, choose};

use crate::guests::vcpu::{Activity, Vcpu};
use crate::machine::memory::Once;

/// No vCPU has run yet.
const NONE: usize = usize::MAX;

/// One processor's vCPUs.
pub struct Turns {
    vcpus: Once<&'static [&'static Vcpu]>,
    /// Place of the one that ran last.
    current: AtomicUsize,
    /// When its slice is over, in time stamp ticks.
    slice_end: AtomicU64,
    /// Another one wants its turn.
    contended: AtomicBool,
    /// Something has happened that may have woken another one. Set in any context.
    look_round: AtomicBool,
}

impl Turns {
    /// Of a processor without vCPUs.
    pub const fn new() -> Self {
        Self {
            vcpus: Once::new(),
            current: AtomicUsize::new(NONE),
            slice_end: AtomicU64::new(0),
            contended: AtomicBool::new(false),
            look_round: AtomicBool::new(true),
        }
    }

    /// These are the processor's vCPUs, for ever. Once, by the processor.
    pub fn fill(&self, vcpus: &'static [&'static Vcpu]) {
        self.vcpus.set(vcpus);
    }

    /// Another vCPU may have been woken: looks at all before the next entry. In any context.
    pub fn look_round(&self) {
        self.look_round.store(true, Ordering::Release);
    }

    /// The vCPU to be entered next, if any can be. `now` and `slice` in time stamp ticks.
    pub fn next(&self, now: u64, slice: u64) -> Option<&'static Vcpu> {
        let vcpus = *self.vcpus.get()?;
        let place = self.current.load(Ordering::Relaxed);
        let slice_over = now >= self.slice_end.load(Ordering::Relaxed);
        let current = vcpus.get(place).copied();
        let begin_slice = || {
            self.slice_end
                .store(now.saturating_add(slice), Ordering::Relaxed)
        };
        if current.map(need) == Some(Need::Runs)
            && !slice_over
            && !self.look_round.load(Ordering::Acquire)
        {
            return current;
        }
        // What comes from here on asks for another look.
        self.look_round.swap(false, Ordering::AcqRel);
        let was_here = current.is_some().then_some(place);
        let wants = |place: usize| vcpus.get(place).map_or(Need::Nothing, |vcpu| need(vcpu));
        let Choice { place, contended } = choose(vcpus.len(), was_here, slice_over, wants)?;
        if slice_over || was_here != Some(place) {
            begin_slice();
        }
        self.current.store(place, Ordering::Relaxed);
        self.contended.store(contended, Ordering::Relaxed);
        vcpus.get(place).copied()
    }

    /// A machine check waits for a vCPU: nothing goes before that.
    pub fn has_urgent(&self) -> bool {
        let mut vcpus = self.vcpus.get().copied().unwrap_or(&[]).iter();
        vcpus.any(|vcpu| is_urgent(vcpu))
    }

    /// The vCPU that is here has a machine check to take: it stays at least for so long.
    #[inline(always)]
    pub fn keep(&self, now: u64, slice: u64) {
        if now >= self.slice_end.load(Ordering::Relaxed) {
            self.slice_end
                .store(now.saturating_add(slice), Ordering::Relaxed);
        }
    }

    /// When the vCPU that [`Turns::next`] has given must make room, in time stamp ticks.
    pub fn deadline(&self) -> u64 {
        if self.contended.load(Ordering::Relaxed) || self.look_round.load(Ordering::Relaxed) {
            self.slice_end.load(Ordering::Relaxed)
        } else {
            u64::MAX
        }
    }
}

/// A machine check waits for the vCPU. However many others there are, that does not wait for a look at them.
#[inline(always)]
pub fn is_urgent(vcpu: &Vcpu) -> bool {
    vcpu.shared.mailbox.is_pending() && need(vcpu) == Need::Urgent
}

/// What a vCPU wants of its processor.
fn need(vcpu: &Vcpu) -> Need {
    let shared = vcpu.shared;
    if shared.guest.has_ended() {
        return Need::Nothing;
    }
    match shared.activity() {
        Activity::Ended => Need::Nothing,
        _ if shared.has_startup() => Need::Runs,
        Activity::WaitForStartup => Need::Nothing,
        Activity::Active | Activity::Halted if shared.mailbox.is_pending() => Need::Urgent,
        Activity::Active => Need::Runs,
        Activity::Halted if shared.wakes() => Need::Runs,
        Activity::Halted => Need::Halted,
    }
}
