//! The interfaces Bankshot shows its guests.
//!
//! Each `NAME.msr` beside this package's sources is one interface over its whole life; a module per version holds the
//! state of one vCPU. [`McState`] is the run-time choice among the machine-check interfaces: one image holds every
//! released version, and a guest lives under the one it was created with.
#![no_std]
#![forbid(unsafe_code)]

mod choice;
mod mc_state;

pub use choice::{Choice, ChoiceError};
pub use mc_state::{ForVersion, McState, McVersion};

/// The machine-check interface of Xen's redesign (`vmce.msr`).
pub mod vmce {
    use msr_dsl_macros::interface;
    include!("../vmce.msr");
}

/// The same for AMD guests (`vmce-amd.msr`).
pub mod vmce_amd {
    use msr_dsl_macros::interface;
    include!("../vmce-amd.msr");
}

/// The machine-check interface of Linux KVM (`kvm.msr`).
pub mod kvm {
    use msr_dsl_macros::interface;
    include!("../kvm.msr");
}

/// The strict reading of the SDM (`sdm.msr`).
pub mod sdm {
    use msr_dsl_macros::interface;
    include!("../sdm.msr");
}

/// Every other MSR of a 64-bit guest (`platform.msr`).
pub mod platform {
    use msr_dsl_macros::interface;
    include!("../platform.msr");
}
