//! Looks for locks in everything that an #MC or an NMI in root mode can reach.
//!
//! Either interrupts code that may hold any lock, the log's included: one that waited for it there would wait for ever, and only if it was held
//! just then, so that no test need ever meet it. So the build looks.

use super::walk::Rule;

/// Who interrupts takes no lock and logs nothing; but for the end of a machine check that is fatal, which breaks the log's lock open since nothing
/// that was interrupted goes on.
pub const RULE: Rule = Rule {
    roots: &["traps::machine_check", "traps::nmi"],
    ends: &["run::machine_check::end"],
    never: &["lock::take"],
    refuse: |_| None,
    says: "#MC and NMI interrupt whoever holds a lock, and must take none (the log's included)",
};
