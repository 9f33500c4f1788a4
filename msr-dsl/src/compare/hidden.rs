//! What a guest reads once a register (or a field of it) is there that it lacks now, or shows more of its state: that is in the record all the same.

use super::accesses::Setting;
use super::groups::{asked, together};
use super::product::Product;
use super::steps::{answer, execute};
use super::symbols::{Kind, Reading};
use super::truth::{Table, Truth};
use super::word;
use crate::interpret::Machine;
use crate::model::{Expr, Read, Register, RegisterId, View};
use std::collections::BTreeSet;

/// Two guests, one of a record and one of what that was converted to.
pub struct Hidden<'a> {
    setting: Setting<'a>,
    guests: [Machine<'a>; 2],
}

impl<'a> Hidden<'a> {
    /// Of a guest, and of the one that it becomes.
    pub fn new(guests: [&Machine<'a>; 2]) -> Self {
        Self {
            setting: Setting::new(guests.map(|guest| guest.view())),
            guests: guests.map(Machine::clone),
        }
    }

    /// What the guest reads at an MSR, and does not read there, after it did something else than to write that; a sentence.
    pub fn reads_otherwise(&self, name: &str, msr: u32) -> Option<String> {
        let group = together(self.setting.views, BTreeSet::from([msr]));
        let mut product = Product::new(&self.setting, &group);
        let explored = product.explore_beside(&group, &self.guests, msr);
        let read = product.read(msr);
        let [here, there] = read.each_ref().map(|read| shown(&mut product.table, read));
        let both = product.table.and(here, there);
        let same = word::equal(&mut product.table, &read[0].value, &read[1].value);
        let same = (product.table).and(same, read[1].answers.when(&Kind::Done));
        let asked = match product.met(both) {
            Some(_) => both,
            None => here,
        };
        let otherwise = product.table.less(asked, same);
        let path = product.path(otherwise);
        if explored.and_then(|()| product.sure()).is_err() {
            return Some(format!(
                "whether {name} ({msr:#x}) reads the same later is too large a question"
            ));
        }
        let steps = path?.steps;
        let answers = self.guests.each_ref().map(|guest| {
            let mut guest = (*guest).clone();
            steps
                .iter()
                .for_each(|step| drop(execute(&mut guest, step)));
            answer(guest.read(msr))
        });
        let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
        let [own, other] = answers;
        let after = steps.join("; ");
        Some(format!(
            "{name} ({msr:#x}) reads {own} after {after}, there {other}"
        ))
    }
}

/// When the register is there, and a value is read.
fn shown(table: &mut Table, read: &Reading) -> Truth {
    let there = table.not(read.missing);
    table.and(there, read.answers.when(&Kind::Done))
}

/// Whether a guest can bring about by what it does that a register, or a field of it, is there, or that a read shows more of its state.
pub fn has_conditions(view: &View, id: RegisterId) -> bool {
    let register = view.register(id);
    matches!(register.read, Read::Value(_)) && !asked(view, conditions(register)).is_empty()
}

/// The conditions on which a register and its fields are there, and what is read of state of its own.
fn conditions(register: &Register) -> impl Iterator<Item = &Expr> {
    let own = register.present.iter().map(|(condition, _)| condition);
    let fields = register.fields.iter();
    let shown = match &register.read {
        Read::Value(value) if register.stored => Some(value),
        _ => None,
    };
    let read = fields.clone().filter_map(|field| field.read.as_ref());
    let read = read.filter(|_| register.stored);
    let present = fields.filter_map(|field| field.present.as_ref());
    own.chain(present).chain(shown).chain(read)
}
