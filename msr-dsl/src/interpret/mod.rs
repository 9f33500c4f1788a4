//! The reference interpreter: what an access does, read off the checked model bit by bit, with no thought of speed.
//! It shares nothing with the generator but the model; that they agree is the proof of both.

mod capability;
mod cells;
mod expression;
mod machine_check;
mod read;
mod record;
mod refusal;
mod rules;
mod vcpus;
mod write;

pub use cells::Cells;
pub use expression::{allows, at_reset, constant, holds_with_one_of};
pub use record::takes_value;
pub use rules::in_sets;

use crate::model::{BitRule, RegisterId, View};
use msr_runtime::{Extra, Reset};
use rules::rule_of;
use std::collections::BTreeMap;

/// What an access does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// RDMSR gives this.
    Value(u64),
    /// WRMSR is done (or dropped).
    Ok,
    /// #GP(0).
    Fault,
    /// The spec does not list the MSR.
    Unlisted,
    /// The hypervisor acts.
    Hook(String),
    /// To the hardware register.
    Pass,
}

/// A guest under one version, looked at from one of its vCPUs.
#[derive(Clone, Debug)]
pub struct Machine<'a> {
    view: &'a View,
    /// The vCPU's own, and those that the guest's vCPUs share.
    cells: Cells,
    /// The vCPU.
    vcpu: u32,
    /// The cells of the other vCPUs; shared ones in them count for nothing.
    others: BTreeMap<u32, Cells>,
    /// What the administrator has named.
    extra: Extra,
}

/// What an expression is evaluated against.
pub(crate) struct Place {
    state: u64,
    value: u64,
    index: u32,
}

impl<'a> Machine<'a> {
    /// A new guest's vCPU, with the features that every guest has.
    pub fn new(view: &'a View) -> Self {
        Self {
            view,
            cells: Cells::new(view),
            vcpu: 0,
            others: BTreeMap::new(),
            extra: Extra::NONE,
        }
    }

    /// The same where the administrator has named these: their MSRs read zero and ignore writes, unless they are listed, and a
    /// restore accepts their bits and tags.
    #[must_use]
    pub fn with_extra(mut self, extra: Extra) -> Self {
        self.extra = extra;
        self
    }

    /// The version it runs.
    pub fn view(&self) -> &'a View {
        self.view
    }

    /// All cells, register by register: what a comparison looks at.
    pub fn cells(&self) -> &Cells {
        &self.cells
    }

    /// Power-on of the guest, or INIT of this vCPU. The capability register keeps its value over both: it is what the guest was
    /// promised.
    pub fn reset(&mut self, reset: Reset) {
        if reset == Reset::PowerOn {
            self.others.clear();
        }
        for (id, register) in self.view.ids() {
            if self.view.capability == Some(id) {
                continue;
            }
            for cell in &mut self.cells[id] {
                let old = *cell;
                *cell = match (reset, register.init) {
                    (Reset::PowerOn, _) => register.reset,
                    (Reset::Init, None) => old,
                    (Reset::Init, Some(value)) if value == old => old,
                    (Reset::Init, Some(value)) => (0..64).fold(0, |word, bit| {
                        let sticky = matches!(rule_of(register, bit), BitRule::Sticky);
                        word | if sticky { old } else { value } & 1 << bit
                    }),
                };
            }
        }
    }

    pub(super) fn cell(&self, id: RegisterId, index: u32) -> u64 {
        let at = if self.view.register(id).banked {
            index as usize
        } else {
            0
        };
        self.cells[id].get(at).copied().unwrap_or(0)
    }

    pub(super) fn place(&self, id: RegisterId, index: u32, value: u64) -> Place {
        Place {
            state: self.cell(id, index),
            value,
            index,
        }
    }

    /// Sets the state of the held register at an MSR; false if none is held there, or if the spec excludes the value.
    pub fn hold_at(&mut self, msr: u32, value: u64) -> bool {
        let id = self.held_register(msr);
        id.is_some_and(|id| self.put(id, value))
    }

    /// Why the held register at an MSR does not take a value, for people; none if it does, or if none is held there.
    pub fn not_held(&self, msr: u32, value: u64) -> Option<String> {
        let register = self.view.register(self.held_register(msr)?);
        let reasons = record::refused(register, value, 0);
        let reasons = reasons
            .iter()
            .map(|wrong| format!("{} {wrong}", register.name));
        let reasons: Vec<String> = reasons.collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    fn put(&mut self, id: RegisterId, value: u64) -> bool {
        let taken = record::refused(self.view.register(id), value, 0).is_empty();
        if taken {
            self.cells[id].fill(value);
        }
        taken
    }

    /// The state of the held register at an MSR; none if none is held there.
    pub fn held_at(&self, msr: u32) -> Option<u64> {
        self.held_register(msr).map(|id| self.cell(id, 0))
    }

    fn held_register(&self, msr: u32) -> Option<RegisterId> {
        let (id, _) = self.register_at(msr)?;
        self.view.register(id).held.then_some(id)
    }

    /// The register at an MSR, and its bank (or place in a range).
    fn register_at(&self, msr: u32) -> Option<(RegisterId, u32)> {
        self.view.ids().find_map(|(id, register)| {
            let mut addresses = register.addresses.iter();
            let index = addresses.find_map(|address| address.index_of(msr))?;
            Some((id, index))
        })
    }

    /// Sets the state of a held register; false if there is none of that name, or if the spec excludes the value.
    pub fn hold(&mut self, name: &str, value: u64) -> bool {
        let id = self.view.find(name);
        let held = id.filter(|id| self.view.register(*id).held);
        held.is_some_and(|id| self.put(id, value))
    }
}
