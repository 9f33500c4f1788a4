//! What the engine does to a vCPU: injects a machine check, and asks how the last one stands.

use super::{Machine, Place};
use msr_runtime::MachineCheckEvent;

impl Machine<'_> {
    /// MCIP is set.
    pub fn in_progress(&self) -> bool {
        self.view
            .injection
            .as_ref()
            .is_some_and(|injection| self.cell(injection.global.0, 0) & injection.bits.mcip != 0)
    }

    /// A machine check is injected and not delivered yet.
    pub fn pending(&self) -> bool {
        let pending = self
            .view
            .injection
            .as_ref()
            .and_then(|injection| injection.pending);
        pending.is_some_and(|id| self.cell(id, 0) & 1 == 1)
    }

    /// The machine check was delivered, or is not yet.
    pub fn set_pending(&mut self, pending: bool) {
        if let Some(id) = self
            .view
            .injection
            .as_ref()
            .and_then(|injection| injection.pending)
        {
            self.cells[id][0] = u64::from(pending);
        }
    }

    /// The guest has enabled local delivery.
    pub fn local_enabled(&self) -> bool {
        let local = self
            .view
            .injection
            .as_ref()
            .and_then(|injection| injection.local.as_ref());
        local.is_some_and(|condition| {
            self.holds(
                condition,
                &Place {
                    state: 0,
                    value: 0,
                    index: 0,
                },
            )
        })
    }

    /// A machine check as this vCPU is to see it. False if the version takes none.
    pub fn inject(&mut self, event: &MachineCheckEvent) -> bool {
        let Some(injection) = &self.view.injection else {
            return false;
        };
        let bits = &injection.bits;
        let told = [
            (event.restart_ip_valid, bits.ripv),
            (event.error_ip_valid, bits.eipv),
            (true, bits.mcip),
            (event.local, bits.lmce_s),
        ];
        let status: u64 = told
            .iter()
            .map(|(set, bit)| if *set { *bit } else { 0 })
            .sum();
        self.cells[injection.global.0][0] = status & injection.global.1;
        if let Some(record) = &event.record {
            let parts = [
                (injection.status, record.status),
                (injection.address, record.address),
                (injection.misc, record.misc),
            ];
            for ((id, mask), value) in parts {
                self.cells[id][injection.bank as usize] = value & mask;
            }
        }
        true
    }
}
