//! Whose turn it is on a processor: its vCPUs, which of them runs, and for how long.

use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use kernel::schedule::{Choice, Need, choose};

use crate::guests::vcpu::{Activity, Vcpu};
use crate::machine::memory::Once;
use crate::machine::slots::Slot;

/// No vCPU has run yet.
const NONE: usize = usize::MAX;

/// One processor's vCPUs.
pub struct Turns {
    /// A place for each vCPU of the machine; the first [`Turns::count`] are taken. The processor's own to change.
    places: Once<&'static [Slot<Vcpu>]>,
    count: AtomicUsize,
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
            places: Once::new(),
            count: AtomicUsize::new(0),
            current: AtomicUsize::new(NONE),
            slice_end: AtomicU64::new(0),
            contended: AtomicBool::new(false),
            look_round: AtomicBool::new(true),
        }
    }

    /// These are the processor's vCPUs at first; there is a place for each that may come. Once, by the processor.
    pub fn fill(&self, places: &'static [Slot<Vcpu>], vcpus: impl Iterator<Item = &'static Vcpu>) {
        self.places.set(places);
        vcpus.for_each(|vcpu| self.add(vcpu));
    }

    /// The processor has got its places: it can run vCPUs.
    pub fn are_filled(&self) -> bool {
        self.places.get().is_some()
    }

    /// One more, behind the others. By the processor.
    pub fn add(&self, vcpu: &'static Vcpu) {
        let count = self.count.load(Ordering::Relaxed);
        if let Some(place) = self.places.get().and_then(|places| places.get(count)) {
            place.replace(Some(vcpu));
            self.count.store(count + 1, Ordering::Relaxed);
            self.look_round();
        }
    }

    /// One less; the last takes its place. By the processor.
    pub fn remove(&self, vcpu: &Vcpu) {
        let places = self.taken();
        let found = places.iter().position(|place| is_at(place, vcpu));
        if let (Some(found), Some((last, _))) = (found, places.split_last()) {
            if let Some(place) = places.get(found) {
                place.replace(last.get());
            }
            last.replace(None);
            self.count.store(places.len() - 1, Ordering::Relaxed);
            // Whose turn it is is found out anew.
            self.current.store(NONE, Ordering::Relaxed);
            self.look_round();
        }
    }

    /// It is one of the processor's.
    pub fn has(&self, vcpu: &Vcpu) -> bool {
        self.taken().iter().any(|place| is_at(place, vcpu))
    }

    /// The places that are taken.
    fn taken(&self) -> &'static [Slot<Vcpu>] {
        let places = self.places.get().copied().unwrap_or(&[]);
        places
            .get(..self.count.load(Ordering::Relaxed))
            .unwrap_or(&[])
    }

    /// Another vCPU may have been woken: looks at all before the next entry. In any context.
    pub fn look_round(&self) {
        self.look_round.store(true, Ordering::Release);
    }

    /// The vCPU to be entered next, if any can be. `now` and `slice` in time stamp ticks.
    pub fn next(&self, now: u64, slice: u64) -> Option<&'static Vcpu> {
        let vcpus = self.taken();
        let place = self.current.load(Ordering::Relaxed);
        let slice_over = now >= self.slice_end.load(Ordering::Relaxed);
        let current = vcpus.get(place).and_then(Slot::get);
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
        let at = |place: usize| vcpus.get(place).and_then(Slot::get);
        let wants = |place: usize| at(place).map_or(Need::Nothing, need);
        let Choice { place, contended } = choose(vcpus.len(), was_here, slice_over, wants)?;
        if slice_over || was_here != Some(place) {
            begin_slice();
        }
        self.current.store(place, Ordering::Relaxed);
        self.contended.store(contended, Ordering::Relaxed);
        at(place)
    }

    /// A machine check waits for a vCPU: nothing goes before that.
    pub fn has_urgent(&self) -> bool {
        self.taken().iter().filter_map(Slot::get).any(is_urgent)
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

fn is_at(place: &Slot<Vcpu>, vcpu: &Vcpu) -> bool {
    place.get().is_some_and(|other| core::ptr::eq(other, vcpu))
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
