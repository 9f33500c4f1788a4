//! A guest's vCPUs: each has its own state, and what has the scope `guest` they share.

use super::Machine;
use crate::model::Scope;

impl Machine<'_> {
    /// Looks at the guest from another vCPU. One that was not looked at before is as new, with the guest's capability word.
    pub fn switch_to(&mut self, vcpu: u32) {
        if vcpu == self.vcpu {
            return;
        }
        let mut cells = self.others.remove(&vcpu).unwrap_or_else(|| {
            let mut new = Self::new(self.view);
            new.set_capability(self.capability().unwrap_or(0));
            new.cells
        });
        cells.copy_scope(self.view, Scope::Guest, &self.cells);
        let own = std::mem::replace(&mut self.cells, cells);
        self.others.insert(self.vcpu, own);
        self.vcpu = vcpu;
    }

    /// The vCPU from which the guest is looked at.
    pub fn vcpu(&self) -> u32 {
        self.vcpu
    }
}
