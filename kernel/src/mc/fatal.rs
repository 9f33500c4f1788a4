//! Why the machine cannot go on.

use super::event::words;

words! {
    /// Why the machine is reset.
    FatalReason {
        /// A bank says so: context corrupt, lost required action, or an uncorrected error without recovery.
        Bank = "bank",
        /// An SRAR with a code of which no recovery is known.
        UnknownRequired = "unknown-required",
        /// The hypervisor itself met an error that requires action.
        HypervisorConsumed = "hypervisor-consumed",
        /// A page that must be used is the hypervisor's.
        HypervisorPage = "hypervisor-page",
        /// The hypervisor was interrupted where it cannot go on (RIPV = 0).
        HypervisorContext = "hypervisor-context",
        /// An error requires action, and a processor that may be the one did not come.
        ConsumerMissing = "consumer-missing",
        /// No bank of any processor says why there was a machine check.
        NoBank = "no-bank",
        /// A processor stopped answering in the middle of the machine check.
        Stuck = "processor-stuck",
    }
}
