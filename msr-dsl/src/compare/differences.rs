//! The differences of one MSR, over all pairs of states that are reached: where the answers differ in kind, and where a
//! value does, bit by bit.

use super::accesses::Setting;
use super::condition::{Affected, Condition, Demand};
use super::finding::{About, Aspect, Finding, Witness};
use super::known::Known;
use super::product::{Path, Product};
use super::rules::{Effect, Rule};
use super::steps::{Guest, Start, Step};
use super::symbols::Kind;
use super::truth::Truth;
use super::values;
use crate::interpret::Machine;

mod bits;
mod causes;
mod kinds;
mod owners;

use bits::Look;

/// Which side has the register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum There {
    Both,
    Old,
    New,
    None,
}

/// All findings of one MSR.
pub fn differences<'a>(setting: &Setting<'a>, product: &mut Product<'a>, msr: u32) -> Vec<Finding> {
    let known = Known::default();
    let mut own = Msr {
        setting,
        product,
        msr,
        known: &known,
    };
    let mut findings = own.of_answers();
    findings.extend(own.of_scope());
    findings.extend(own.of_holder());
    findings
}

/// The findings of one MSR for guests that moved, and not those that are safe. What is known already is looked for as little as may be.
pub fn after_a_move<'a>(
    setting: &Setting<'a>,
    product: &mut Product<'a>,
    msr: u32,
    known: &Known,
) -> Vec<Finding> {
    let mut own = Msr {
        setting,
        product,
        msr,
        known,
    };
    let mut findings = own.of_answers();
    findings.retain(|finding| finding.effects()[0] != Effect::Safe);
    findings
}

struct Msr<'p, 'a> {
    setting: &'p Setting<'a>,
    product: &'p mut Product<'a>,
    msr: u32,
    /// What is told already.
    known: &'p Known,
}

impl Msr<'_, '_> {
    /// Where one access has answers of two kinds, or of one kind with other values.
    fn of_answers(&mut self) -> Vec<Finding> {
        let (raws, both_read) = self.kinds();
        let mut findings = self.of_kinds(raws);
        for (there, when) in both_read {
            let read = self.product.read(self.msr).map(|read| read.value);
            findings.extend(self.of_values(Look::Read, there, when, &read));
        }
        findings.extend(self.of_held());
        findings
    }

    /// The state of a held register that no read shows: it is what the hardware, or the hook, begins with.
    fn of_held(&mut self) -> Vec<Finding> {
        let Some(held) = self.product.held(self.msr) else {
            return Vec::new();
        };
        let reads = self.product.read(self.msr);
        let shown = reads.iter().any(|read| {
            let mut kinds = read.answers.iter();
            kinds.any(|(kind, _)| *kind == Kind::Done)
        });
        match shown {
            true => Vec::new(),
            false => self.of_values(Look::Held, There::Both, Truth::YES, &held),
        }
    }

    fn listed(&self, side: usize) -> bool {
        self.setting.places[side].contains_key(&self.msr)
    }

    fn is_capability(&self, side: usize) -> bool {
        let place = self.setting.places[side].get(&self.msr);
        place.is_some_and(|(id, _)| self.setting.views[side].capability == Some(*id))
    }

    fn banked(&self) -> bool {
        (0..2).any(|side| {
            let place = self.setting.places[side].get(&self.msr);
            place.is_some_and(|(id, _)| self.setting.views[side].register(*id).banked)
        })
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the parts of a finding, each of its own type"
    )]
    fn finding(
        &mut self,
        rule: &'static Rule,
        mask: u64,
        aspect: Aspect,
        text: String,
        demand: Demand,
        met: &[(String, Truth)],
        witness: Option<Witness>,
    ) -> Finding {
        let when = met.iter().map(|(_, when)| *when);
        let when = self.product.table.any(when);
        let registers = [0, 1].map(|side| {
            let (id, _) = self.setting.places[side].get(&self.msr)?;
            Some(self.setting.views[side].register(*id).name.clone())
        });
        let about = About {
            msrs: vec![self.msr],
            bits: mask,
            aspect,
            registers,
            ..About::default()
        };
        let affected = self.affected(when);
        let mut finding = Finding::new(rule, about, text).saying(self.product.content(met));
        finding.guests = affected.as_ref().map(|affected| affected.text.clone());
        finding.witness = witness;
        let condition = Condition { affected, demand };
        finding.conditions = [Some(condition.clone()), Some(condition)];
        finding
    }

    /// Which guests meet it; none if all do. A banked register's own count says nothing about which guests.
    fn affected(&mut self, when: Truth) -> Option<Affected> {
        let mut guests = self.product.guests_of(when);
        if self.banked() {
            let count = self.setting.count_bits;
            guests = self
                .product
                .table
                .exists(guests, &|bit| count >> bit & 1 == 1);
        }
        values::affected(self.setting, &mut self.product.table, guests)
    }

    fn witness(&self, path: &Path, last: Step) -> Witness {
        let mut steps = path.steps.clone();
        steps.push(last);
        let start = [0, 1].map(|side| self.start(path, side));
        Witness {
            before: path.before.clone(),
            ..Witness::of(self.setting.views, start, steps)
        }
    }

    fn start(&self, path: &Path, side: usize) -> Start {
        // A guest that moved has what its record says, which another interface converts.
        if path.before.is_some() {
            let [old, new] = self.setting.views;
            let converts = side == 1 && old.name != new.name;
            return Start {
                from: converts.then(|| old.name.clone()),
                ..Start::default()
            };
        }
        Start::with(
            self.setting.views[side],
            self.product.on_side(path.capability, side),
        )
    }

    fn guest(&self, path: &Path, side: usize) -> Guest<'_> {
        let views = self.setting.views;
        let start = self.start(path, side);
        let mut machine = Machine::new(views[side]);
        if let Some(word) = start.capability {
            machine.set_capability(word);
        }
        let from = start.from.is_some().then_some(views[1 - side]);
        Guest { machine, from }
    }
}

fn answers(witness: &Witness) -> String {
    format!("{} → {}", witness.answers[0], witness.answers[1])
}
