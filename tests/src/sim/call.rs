//! One #MC of a processor: what hardware leaves in its banks, what it interrupts, and how the interrupted vCPU goes on.

use kernel::mca::{Interrupted, Machine, McgStatus, Verdict, handle};
use kernel::units::Bank;
use kernel::vmce::Delivery;

use super::vcpu::Guest;
use super::view::View;

/// One #MC of a processor.
#[derive(Clone, Debug)]
pub struct Call {
    /// What it does at that time.
    pub interrupted: Interrupted,
    /// Its MCG_STATUS.
    pub mcg_status: u64,
    /// What hardware writes as it raises the #MC; a bank that holds an error keeps it.
    pub raises: Vec<Raise>,
    /// How the interrupted vCPU goes on before the next #MC of this processor.
    pub after: After,
}

/// An error that hardware writes into a bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Raise {
    /// The bank, as the processor counts.
    pub bank: u8,
    /// MCi_STATUS.
    pub status: u64,
    /// MCi_ADDR.
    pub addr: u64,
    /// MCi_MISC.
    pub misc: u64,
}

/// How a vCPU goes on after an #MC of its processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Not at all, as far as the test goes.
    Waits,
    /// It runs: what has come for it is delivered.
    Runs,
    /// It runs, and its handler comes to its end.
    Handles,
}

impl Call {
    /// An #MC for errors that are in the banks already.
    pub fn new(interrupted: Interrupted, mcg_status: u64) -> Self {
        Self {
            interrupted,
            mcg_status,
            raises: Vec::new(),
            after: After::Waits,
        }
    }

    fn is_local(&self) -> bool {
        McgStatus::from(self.mcg_status).lmce_s()
    }

    /// Handles it on `machine`. A guest that was stopped runs no more, so what its vCPU would have met does not happen: none if
    /// that leaves no #MC.
    pub(super) fn take(&self, machine: &View<'_>) -> Option<Verdict> {
        let is_gone = self
            .guest(machine)
            .is_some_and(|(guest, _, _)| guest.stopped.get().is_some());
        if is_gone && self.is_local() {
            return None;
        }
        let (interrupted, mcg_status) = if is_gone {
            (Interrupted::Hypervisor { fix_up: true }, 5)
        } else {
            self.raises.iter().for_each(|raise| machine.raise(raise));
            (self.interrupted, self.mcg_status)
        };
        let state = machine.state();
        state.mcg_status.set(mcg_status);
        state.in_machine_check.set(true);
        let verdict = handle(&**machine.shared, machine, interrupted);
        if let Verdict::Fatal { resets, .. } = verdict
            && machine.world.plays_end.get()
        {
            machine.end(resets);
        }
        state.in_machine_check.set(false);
        if verdict == Verdict::Resume {
            self.go_on(machine);
        }
        Some(verdict)
    }

    fn guest<'a>(&self, machine: &View<'a>) -> Option<(&'a Guest, u8, u8)> {
        match self.interrupted {
            Interrupted::Guest(vcpu) => {
                let guest = &machine.world.guests[usize::from(vcpu.guest.0)];
                Some((guest, vcpu.guest.0, vcpu.index))
            }
            Interrupted::Hypervisor { .. } => None,
        }
    }

    /// The vCPU runs.
    fn go_on(&self, machine: &View<'_>) {
        let Some((guest, number, index)) = self.guest(machine) else {
            return;
        };
        if self.after == After::Waits || guest.stopped.get().is_some() {
            return;
        }
        let delivery = guest.before_entry(machine, number, index);
        if delivery == Delivery::Inject && self.after == After::Handles {
            guest.handle(machine, number, index);
        }
    }
}

impl View<'_> {
    /// Hardware writes an error.
    fn raise(&self, raise: &Raise) {
        let processor = self.processor();
        if self.world.bank(processor.0, raise.bank).status == 0 {
            let &Raise {
                bank,
                status,
                addr,
                misc,
            } = raise;
            self.world.put(processor.0, bank, status, addr, misc);
            let mut raised = self.world.raised.borrow_mut();
            raised.push((processor, Bank(bank), *raise));
        }
    }
}
