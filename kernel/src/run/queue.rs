//! A processor's vCPUs, in turn.

use arrayvec::ArrayVec;

use crate::vmx::vcpu::{Activity, Shared, Vcpu};

/// vCPUs on one processor, at most.
const LENGTH: usize = 64;

/// The vCPUs of one processor.
pub struct Queue {
    vcpus: ArrayVec<*mut Vcpu, LENGTH>,
    /// The one that ran last.
    last: usize,
}

/// More vCPUs on one processor than fit.
#[derive(Clone, Copy, Debug)]
pub struct Full;

/// Which vCPUs are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Those that have something to do.
    Active,
    /// Those that only wait.
    Halted,
}

impl Turn {
    /// Whether a vCPU that does this is one of them.
    pub fn takes(self, activity: Activity, shared: &Shared) -> bool {
        let has_news = shared.has_startup() || shared.mailbox.is_pending();
        match activity {
            Activity::Active => self == Self::Active,
            Activity::Halted => has_news == (self == Self::Active),
            Activity::WaitForStartup => self == Self::Active && shared.has_startup(),
            Activity::Ended => false,
        }
    }
}

impl Queue {
    /// No vCPUs.
    pub const fn new() -> Self {
        Self {
            vcpus: ArrayVec::new_const(),
            last: 0,
        }
    }

    /// Adds a vCPU.
    pub fn add(&mut self, vcpu: *mut Vcpu) -> Result<(), Full> {
        self.vcpus.try_push(vcpu).map_err(|_| Full)
    }

    /// Every vCPU once: the one that ran last first, or last when its time is over.
    pub fn in_turn(&self, time_is_over: bool) -> impl Iterator<Item = *mut Vcpu> + use<> {
        let vcpus = self.vcpus.clone();
        let count = vcpus.len();
        let first = self.last + usize::from(time_is_over);
        (0..count).map(move |step| vcpus[(first + step) % count])
    }

    /// Remembers which one runs.
    pub fn runs(&mut self, vcpu: *mut Vcpu) {
        self.last = self
            .vcpus
            .iter()
            .position(|&other| other == vcpu)
            .unwrap_or(0);
    }
}
