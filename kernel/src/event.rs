//! Typed events: all that the engine says. Turned into log lines only in ordinary context.

use crate::units::{Bank, Gpa, GuestId, Hpa, Pcpu, Tsc, VcpuId};

/// Something that happened, when and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// When.
    pub at: Tsc,
    /// On which processor.
    pub on: Pcpu,
    /// What.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A page went out of use.
    PageRetired {
        /// The page.
        page: Hpa,
        /// Whose it was, and where it was there.
        owner: Option<(GuestId, Gpa)>,
    },
    /// A bank of this processor held an error.
    BankRead {
        /// The bank.
        bank: Bank,
        /// MCi_STATUS.
        status: u64,
    },
    /// A vCPU got its #MC.
    Injected {
        /// The vCPU.
        vcpu: VcpuId,
    },
}
