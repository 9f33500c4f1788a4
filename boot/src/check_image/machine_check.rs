//! Looks at everything that an #MC or an NMI in root mode can reach: for locks, for waits without an end, and that a guest is left soon after.
//!
//! Either interrupts code that may hold any lock, the log's included: one that waited for it there would wait for ever, and only if it was held
//! just then, so that no test need ever meet it. Nor does any emulator raise one between the last look for mail and the VM entry. So the build looks.

use iced_x86::{FlowControl, Instruction, Mnemonic, OpKind};

use super::walk::Rule;

/// Who interrupts takes no lock and logs nothing; but for the end of a machine check that is fatal, which breaks the log's lock open since nothing
/// that was interrupted goes on.
pub const RULE: Rule = Rule {
    roots: &["traps::machine_check", "traps::nmi"],
    ends: &["run::machine_check::end"],
    never: &["lock::take"],
    refuse: |_| None,
    refuse_loop: waits_for_ever,
    needs: None,
    says: "#MC and NMI interrupt whoever holds a lock, and must take none (the log's included)",
};

/// An #MC in root mode may come after the last look for mail: the vCPU that is entered next must exit at once.
pub const LEAVES_GUEST: Rule = Rule {
    roots: &["traps::machine_check"],
    ends: &["run::machine_check::machine_check"],
    never: &[],
    refuse: |_| None,
    refuse_loop: |_| None,
    needs: Some((Mnemonic::Vmwrite, "sets the preemption timer (VMWRITE)")),
    says: "a guest that is entered after an #MC in root mode must be left at once, for it may have mail",
};

/// A wait ends: it counts, looks at the clock, or calls who does. A loop that goes on until an exchange gives what it wants takes a lock. What is not
/// found is a lock that is taken by compare-and-exchange without a pause: changes that give way to others look the same.
fn waits_for_ever(body: &[Instruction]) -> Option<&'static str> {
    let has = |mnemonic| body.iter().any(|one| one.mnemonic() == mnemonic);
    let calls = || {
        body.iter()
            .any(|one| one.flow_control() == FlowControl::Call)
    };
    let exchanges = |one: &Instruction| {
        one.mnemonic() == Mnemonic::Xchg
            && [one.op0_kind(), one.op1_kind()].contains(&OpKind::Memory)
    };
    let counts = |step: &Instruction| {
        const STEPS: [Mnemonic; 4] = [Mnemonic::Add, Mnemonic::Sub, Mnemonic::Inc, Mnemonic::Dec];
        STEPS.contains(&step.mnemonic()) && step.op0_kind() == OpKind::Register
    };
    match body {
        [.., swap, _test, _branch] if exchanges(swap) => Some("waits for what it exchanges"),
        [.., step, _branch] if counts(step) => None,
        _ if has(Mnemonic::Pause) && !has(Mnemonic::Rdtsc) && !calls() => {
            Some("waits without a look at the clock, or a count")
        }
        _ => None,
    }
}
