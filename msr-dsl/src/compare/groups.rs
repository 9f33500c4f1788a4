//! Which MSRs have to be looked at together: those whose answers depend on a state that another one changes, on either
//! side. Everything else is compared on its own.

use super::symbols::Cell;
use crate::model::{BitRule, Expr, Field, Legal, Read, Register, RegisterId, Rule, View, Write};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// MSRs that belong together, and the states behind them on each side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// The MSRs.
    pub msrs: BTreeSet<u32>,
    /// States of the old and of the new side.
    pub cells: [BTreeSet<Cell>; 2],
}

/// All groups of two versions, by their first MSR.
pub fn groups(sides: [&View; 2]) -> Vec<Group> {
    let needs = sides.map(needs);
    let writers = sides.map(writers);
    let msrs: BTreeSet<u32> = needs
        .iter()
        .flat_map(|needs| needs.keys().copied())
        .collect();
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for msr in msrs {
        if seen.contains(&msr) {
            continue;
        }
        let group = close(msr, &needs, &writers);
        seen.extend(group.msrs.iter().copied());
        all.push(group);
    }
    merge(all)
}

type Needs = BTreeMap<u32, BTreeSet<Cell>>;

/// Everything that is reached from one MSR.
fn close(first: u32, needs: &[Needs; 2], writers: &[HashMap<Cell, Vec<u32>>; 2]) -> Group {
    let mut group = Group::default();
    let mut waiting = vec![first];
    while let Some(msr) = waiting.pop() {
        if !group.msrs.insert(msr) {
            continue;
        }
        for side in 0..2 {
            for cell in needs[side].get(&msr).into_iter().flatten() {
                if group.cells[side].insert(*cell) {
                    waiting.extend(writers[side].get(cell).into_iter().flatten());
                }
            }
        }
    }
    group
}

/// Groups that share an MSR are one: an alias is reached from its register only by way of this.
fn merge(all: Vec<Group>) -> Vec<Group> {
    let mut owner: HashMap<u32, usize> = HashMap::new();
    let mut merged: Vec<Group> = Vec::new();
    for group in all {
        let known: BTreeSet<usize> = group
            .msrs
            .iter()
            .filter_map(|msr| owner.get(msr).copied())
            .collect();
        let to = known.first().copied().unwrap_or(merged.len());
        if to == merged.len() {
            merged.push(Group::default());
        }
        let others: Vec<Group> = known
            .iter()
            .skip(1)
            .map(|at| std::mem::take(&mut merged[*at]))
            .collect();
        for part in others.into_iter().chain([group]) {
            owner.extend(part.msrs.iter().map(|msr| (*msr, to)));
            merged[to].msrs.extend(part.msrs);
            for side in 0..2 {
                merged[to].cells[side].extend(&part.cells[side]);
            }
        }
    }
    merged.retain(|group| !group.msrs.is_empty());
    merged
}

/// For each cell, the MSRs through which a guest may change it.
fn writers(view: &View) -> HashMap<Cell, Vec<u32>> {
    let mut writers: HashMap<Cell, Vec<u32>> = HashMap::new();
    for (id, register) in view.ids() {
        if !matches!(register.write, Write::Bits(_)) || view.capability == Some(id) {
            continue;
        }
        for (msr, index) in register.addresses.iter().flat_map(|address| address.msrs()) {
            if let Some(cell) = own(view, id, index) {
                writers.entry(cell).or_default().push(msr);
            }
        }
    }
    writers
}

/// The state of a register at an MSR, if it has one that varies.
pub fn own(view: &View, id: RegisterId, index: u32) -> Option<Cell> {
    let register = view.register(id);
    let bank = if register.banked { index } else { 0 };
    let stored = (bank as usize) < view.cells(register) && view.capability != Some(id);
    stored.then_some(Cell { register: id, bank })
}

/// For each MSR, the states on which its answers depend.
fn needs(view: &View) -> Needs {
    let mut collector = Collector {
        view,
        cells: BTreeSet::new(),
        entered: BTreeSet::new(),
    };
    let mut needs = Needs::new();
    for (id, register) in view.ids() {
        // What does not depend on the bank is worked out once.
        collector.restart();
        collector.register(id);
        let common = std::mem::take(&mut collector.cells);
        for (msr, index) in register.addresses.iter().flat_map(|address| address.msrs()) {
            let mut cells = common.clone();
            cells.extend(own(view, id, index));
            needs.insert(msr, cells);
        }
    }
    needs
}

struct Collector<'a> {
    view: &'a View,
    cells: BTreeSet<Cell>,
    entered: BTreeSet<RegisterId>,
}

impl Collector<'_> {
    fn restart(&mut self) {
        self.cells.clear();
        self.entered.clear();
    }

    /// What reads and writes of a register look at, its own state aside.
    fn register(&mut self, id: RegisterId) {
        if !self.entered.insert(id) {
            return;
        }
        let register = self.view.register(id);
        if let (true, Some(banks)) = (register.banked, &self.view.banks) {
            self.expression(&banks.count);
        }
        for expression in expressions(register) {
            self.expression(expression);
        }
    }

    fn expression(&mut self, expression: &Expr) {
        let (mut cells, mut registers) = (Vec::new(), Vec::new());
        expression.walk(&mut |part| match part {
            Expr::Register(id) => {
                cells.push((*id, 0));
                registers.push(*id);
            }
            Expr::Cell(id, bank) => cells.push((*id, *bank)),
            _ => {}
        });
        let own = |(id, bank): (RegisterId, u32)| own(self.view, id, bank);
        self.cells.extend(cells.into_iter().filter_map(own));
        registers.into_iter().for_each(|id| self.register(id));
    }
}

/// The registers that a register's answers refer to, itself among them.
pub fn reached(view: &View, id: RegisterId) -> BTreeSet<RegisterId> {
    let mut collector = Collector {
        view,
        cells: BTreeSet::new(),
        entered: BTreeSet::new(),
    };
    collector.register(id);
    let cells = collector.cells.iter().map(|cell| cell.register);
    collector.entered.iter().copied().chain(cells).collect()
}

/// Every expression of a register.
pub fn expressions(register: &Register) -> Vec<&Expr> {
    let mut all: Vec<&Expr> = register
        .present
        .iter()
        .map(|(condition, _)| condition)
        .collect();
    if let Read::Value(value) = &register.read {
        all.push(value);
    }
    all.extend(register.rules.iter().filter_map(of_rule));
    // What would be stored matters only where writes store, and what is in reserved bits only where there are any.
    let written = matches!(register.write, Write::Bits(_) | Write::Hook(_));
    let sure = |field: &&Field| field.present.is_none();
    let covered = register.fields.iter().filter(sure);
    let reserved = covered.fold(0, |mask, field| mask | field.mask()) != u64::MAX;
    if written && reserved {
        all.extend(of_bits(&register.reserved));
    }
    for field in &register.fields {
        all.extend(field.present.iter().chain(&field.read));
        all.extend(field.rules.iter().filter_map(of_rule));
        if written {
            all.extend(of_bits(&field.write));
        }
    }
    all
}

fn of_rule(rule: &Rule) -> Option<&Expr> {
    match &rule.legal {
        Legal::Holds(condition) => Some(condition),
        Legal::Sets(_) => None,
    }
}

fn of_bits(rule: &BitRule) -> Option<&Expr> {
    match rule {
        BitRule::Locked(by) => Some(by),
        _ => None,
    }
}
