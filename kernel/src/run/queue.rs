//! A processor's vCPUs, in turn.

use arrayvec::ArrayVec;

use crate::guests::vcpu::{Activity, Shared, Vcpu};

/// vCPUs on one processor, at most.
const LENGTH: usize = 64;

/// The vCPUs of one processor.
pub struct Queue {
    vcpus: ArrayVec<&'static Vcpu, LENGTH>,
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
    /// Whether a vCPU is one of them.
    pub fn takes(self, vcpu: &Shared) -> bool {
        let has_news = vcpu.has_startup() || vcpu.mailbox.is_pending();
        match vcpu.activity() {
            Activity::Active => self == Self::Active,
            Activity::Halted => has_news == (self == Self::Active),
            Activity::WaitForStartup => self == Self::Active && vcpu.has_startup(),
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
    pub fn add(&mut self, vcpu: &'static Vcpu) -> Result<(), Full> {
        self.vcpus.try_push(vcpu).map_err(|_| Full)
    }

    /// The vCPUs one after the other, each once: the one that ran last first, or last when its time is over.
    pub fn in_turn(&self, step: usize, time_is_over: bool) -> Option<&'static Vcpu> {
        let count = self.vcpus.len();
        let first = self.last + usize::from(time_is_over);
        if step < count {
            self.vcpus.get((first + step) % count).copied()
        } else {
            None
        }
    }

    /// Remembers which one runs.
    pub fn runs(&mut self, vcpu: &Vcpu) {
        self.last = self
            .vcpus
            .iter()
            .position(|other| core::ptr::eq(*other, vcpu))
            .unwrap_or(0);
    }
}
