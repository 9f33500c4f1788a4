//! What the answers of an MSR depend on: states, the MSRs by which a guest changes those, and what these depend on in turn, on
//! either side. Nothing else can make a difference to it, so each MSR is asked about with its own few states: registers that
//! share a lock bit are as many small questions, and not one of all of them.

use super::symbols::Cell;
use crate::model::{BitRule, Expr, Field, Legal, Read, Register, RegisterId, Rule, View, Write};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// MSRs that depend on the same, and all of that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// The MSRs whose answers are asked for.
    pub asked: BTreeSet<u32>,
    /// They, and the MSRs by which a guest changes what they depend on.
    pub msrs: BTreeSet<u32>,
    /// States of the old and of the new side.
    pub cells: [BTreeSet<Cell>; 2],
}

/// The states of the old side from which one of the new side begins, for guests that move.
pub type Origins<'a> = &'a dyn Fn(Cell) -> Vec<Cell>;

/// The groups of two versions: every MSR is asked for in one of them. Those of few states come first, so what another group
/// depends on stands before it.
pub fn groups(sides: [&View; 2], from: Origins) -> Vec<Group> {
    let dependence = Dependence::new(sides, from);
    let mut by_msrs: BTreeMap<BTreeSet<u32>, Group> = BTreeMap::new();
    for msr in dependence.msrs() {
        let group = dependence.group([msr]);
        let known = by_msrs.entry(group.msrs.clone()).or_insert(group);
        known.asked.insert(msr);
    }
    let mut all: Vec<Group> = by_msrs.into_values().collect();
    all.sort_by_key(|group| (group.msrs.len(), group.asked.first().copied()));
    all
}

/// One group of several MSRs, whatever they have to do with each other.
pub fn together(sides: [&View; 2], asked: BTreeSet<u32>) -> Group {
    Dependence::new(sides, &|_| Vec::new()).group(asked)
}

/// The states on which the answers of MSRs depend.
pub type Needs = BTreeMap<u32, BTreeSet<Cell>>;

/// What depends on what.
struct Dependence<'a> {
    /// The states on which the answers of an MSR depend.
    needs: [Needs; 2],
    /// The MSRs that change a state.
    writers: [HashMap<Cell, Vec<u32>>; 2],
    from: Origins<'a>,
}

impl<'a> Dependence<'a> {
    fn new(sides: [&View; 2], from: Origins<'a>) -> Self {
        Self {
            needs: sides.map(needs),
            writers: sides.map(writers),
            from,
        }
    }

    fn msrs(&self) -> BTreeSet<u32> {
        let both = self.needs.iter();
        both.flat_map(|needs| needs.keys().copied()).collect()
    }

    /// Everything on which some MSRs depend.
    fn group(&self, asked: impl IntoIterator<Item = u32>) -> Group {
        let mut waiting: Vec<u32> = asked.into_iter().collect();
        let mut group = Group {
            asked: waiting.iter().copied().collect(),
            ..Group::default()
        };
        while let Some(msr) = waiting.pop() {
            if !group.msrs.insert(msr) {
                continue;
            }
            for side in 0..2 {
                for cell in self.needs[side].get(&msr).into_iter().flatten() {
                    self.add(&mut group, side, *cell, &mut waiting);
                }
            }
        }
        group
    }

    fn add(&self, group: &mut Group, side: usize, cell: Cell, waiting: &mut Vec<u32>) {
        if !group.cells[side].insert(cell) {
            return;
        }
        waiting.extend(self.writers[side].get(&cell).into_iter().flatten());
        if side == 1 {
            let from = (self.from)(cell).into_iter();
            from.for_each(|from| self.add(group, 0, from, waiting));
        }
    }
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
pub fn needs(view: &View) -> Needs {
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

/// The states that some expressions ask for.
pub fn asked<'e>(view: &View, expressions: impl Iterator<Item = &'e Expr>) -> BTreeSet<Cell> {
    let mut collector = Collector {
        view,
        cells: BTreeSet::new(),
        entered: BTreeSet::new(),
    };
    expressions.for_each(|expression| collector.expression(expression));
    collector.cells
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
