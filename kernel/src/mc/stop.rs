//! Why a guest cannot go on.

use super::event::words;

words! {
    /// Why a guest was stopped.
    StopReason {
        /// An error of a later machine check hit it while MCIP was still set.
        InProgress = "machine-check-in-progress",
        /// A vCPU must not go on, and where its error is is not known.
        NoAddress = "required-without-address",
        /// A vCPU must not go on, and its error is in memory that is not its guest's.
        ForeignPage = "required-in-foreign-page",
        /// More errors wait for the guest than can be kept.
        TooManyErrors = "too-many-errors",
        /// It touched a page that is out of use.
        RetiredPage = "retired-page",
        /// It touched guest-physical memory that it does not have.
        NoMemory = "no-memory",
        /// A triple fault.
        TripleFault = "triple-fault",
        /// It was hit by a machine check with CR4.MCE clear: hardware shuts down.
        MceDisabled = "machine-check-disabled",
        /// A VM exit for which the hypervisor has no answer.
        UnknownExit = "unknown-exit",
        /// The processor refused to enter it.
        EntryFailed = "entry-failed",
    }
}
