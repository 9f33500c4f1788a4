//! What needs no comparison: registers that both sides describe in the same way, with everything that they refer to. And what one
//! comparison has in common with another: registers that are described in the same way but for where they are.

use super::content::hash;
use super::groups::{Group, expressions, reached};
use crate::manifest;
use crate::model::{Expr, Migrate, Register, RegisterId, View};
use std::collections::HashMap;

/// The descriptions of two versions.
pub struct Alike {
    meanings: [HashMap<u32, (u32, usize)>; 2],
    shapes: [HashMap<u32, u64>; 2],
}

impl Alike {
    /// Of two versions.
    pub fn new(views: [&View; 2]) -> Self {
        let mut numbers: HashMap<String, usize> = HashMap::new();
        let meanings = views.map(|view| {
            let own: Vec<String> = view.registers.iter().map(|one| own(view, one)).collect();
            let frame = frame(view);
            let mut meanings = HashMap::new();
            for (id, register) in view.ids() {
                let mut all: Vec<&str> = reached(view, id)
                    .into_iter()
                    .map(|RegisterId(at)| own[at].as_str())
                    .collect();
                all.sort_unstable();
                let text = [&[own[id.0].as_str(), &frame], &all[..]]
                    .concat()
                    .join("\n");
                let known = numbers.len();
                let number = *numbers.entry(text).or_insert(known);
                let msrs = register.addresses.iter().flat_map(|address| address.msrs());
                meanings.extend(msrs.map(|(msr, index)| (msr, (index, number))));
            }
            meanings
        });
        Self {
            meanings,
            shapes: views.map(shapes),
        }
    }

    /// A number that is the same for groups whose registers differ in their places alone: their functions are mostly the same too. Nothing
    /// depends on that but how long it takes.
    pub fn shape(&self, group: &Group) -> u64 {
        let cells = group.cells.each_ref().map(|cells| cells.len());
        let msrs = group.msrs.iter();
        let own: Vec<_> = msrs
            .map(|msr| self.shapes.each_ref().map(|shapes| shapes.get(msr)))
            .collect();
        hash(&format!("{cells:?} {own:?}"))
    }

    /// Both sides say the same of every MSR of a group.
    pub fn same(&self, group: &Group) -> bool {
        group.msrs.iter().all(|msr| self.same_at(*msr))
    }

    /// Both sides say the same of an MSR.
    pub fn same_at(&self, msr: u32) -> bool {
        let [old, new] = &self.meanings;
        old.get(&msr).is_some() && old.get(&msr) == new.get(&msr)
    }

    /// The bank's number itself, and not only what the bank is, decides what the register does.
    pub fn asks_for_index(register: &Register) -> bool {
        let mut asks = false;
        for expression in expressions(register) {
            expression.walk(&mut |part| asks |= *part == Expr::Index);
        }
        asks
    }
}

/// What is said of the register at each MSR, but for where it is, as a number.
fn shapes(view: &View) -> HashMap<u32, u64> {
    let mut shapes = HashMap::new();
    for register in &view.registers {
        let lines = manifest::register_lines(view, register);
        let behaviour = lines
            .iter()
            .filter(|(key, _)| key != "addresses" && key != "migrates");
        let text: String = behaviour
            .map(|(key, value)| format!("{key}: {value}\n"))
            .collect();
        let saved = match register.migrate {
            Migrate::Saved { default, .. } => Some((default, register.accepts)),
            _ => None,
        };
        let shape = hash(&format!("{text}{saved:x?}"));
        let msrs = register.addresses.iter().flat_map(|address| address.msrs());
        shapes.extend(msrs.map(|(msr, _)| (msr, shape)));
    }
    shapes
}

fn own(view: &View, register: &Register) -> String {
    let mut lines = manifest::register_lines(view, register);
    // The order of fields in a spec means nothing, and a manifest has another.
    lines.sort_unstable();
    let behaviour = lines.into_iter().filter(|(key, _)| key != "migrates");
    behaviour
        .map(|(key, value)| format!("{key}: {value}\n"))
        .collect()
}

/// What all registers depend on: the capability word, banks, the injection.
fn frame(view: &View) -> String {
    let lines = manifest::lines(view);
    let common = |key: &str| key == "capability" || key == "banks" || key.starts_with("injection");
    let mut text: String = lines
        .iter()
        .filter(|(key, _)| common(key))
        .map(|(key, value)| format!("{key}: {value}\n"))
        .collect();
    if let Some(id) = view.capability {
        let register = view.register(id);
        text += &format!("{:x} {:x}\n", register.accepts, register.reset);
    }
    text
}
