//! Both sides run at once: every pair of states that the same accesses lead to, layer by layer, so that a difference is met
//! with the fewest accesses that show it, and one that is never met is none.
//!
//! A path goes on while both sides answer writes in the same way: what follows a difference is not another one.

use super::accesses::Setting;
use super::groups::Group;
use super::steps::{Injected, Step};
use super::symbols::{Cell, Kind, Reading, Side, Writing};
use super::truth::{Bit, Picked, Table, Truth};
use super::word::{self, Word};
use crate::model::Scope;
use std::collections::BTreeMap;

mod entries;
mod migrated;

pub use entries::Way;

/// Words that a step brings with it: the written value, or what an injection has.
const INPUTS: u32 = 5;
const VALUE: u32 = 0;
const FLAGS: u32 = 1;
const ERROR: [u32; 3] = [2, 3, 4];

/// Which guests exist on both sides, and how they differ there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guests {
    /// Bits of the capability word that vary.
    pub varies: u64,
    /// Of them, those that a guest of the old and of the new side can have; the others are clear there.
    pub has: [u64; 2],
    /// What a new guest has, on the old side if that has a capability word.
    pub new: u64,
}

impl Guests {
    /// The capability word of all of them, on a side.
    pub fn word(&self, table: &mut Table, side: usize) -> Word {
        let varies = self.varies & self.has[side];
        std::array::from_fn(|bit| {
            if varies >> bit & 1 == 1 {
                table.bit(bit as Bit)
            } else {
                Truth::NO
            }
        })
    }
}

/// One way from a state to the next.
#[derive(Clone)]
struct Transition {
    step: Step,
    /// Over current states, input and the next states of the cells that change.
    relation: Truth,
    changed: Vec<usize>,
}

/// The product of two sides over one group.
pub struct Product<'a> {
    /// All functions.
    pub table: Table,
    /// The old and the new side.
    pub sides: [Side<'a>; 2],
    guests: Guests,
    group: Group,
    cells: Vec<(usize, Cell)>,
    transitions: Vec<Transition>,
    /// Pairs of states that take 0, 1, ... steps and no fewer.
    pub layers: Vec<Truth>,
    /// All of them.
    pub reached: Truth,
    /// Guests with as many banks as are told of; others are met where nothing else shows a difference.
    usual: Truth,
    /// Where guests come from that were not born on both sides.
    origin: Option<migrated::Origin>,
}

/// The question is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// A concrete way to a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The capability word.
    pub capability: u64,
    /// Steps from power-on, or from the restores of a guest that moved.
    pub steps: Vec<Step>,
    /// How such a guest came to be what it was when it was saved.
    pub before: Option<Before>,
    /// The value that the last access writes, if it is a write.
    pub value: u64,
}

/// How a guest came to be what its record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Before {
    /// It did this, from power-on.
    Lived(Vec<Step>),
    /// By nothing that guests do: the record was restored.
    Record,
}

impl<'a> Product<'a> {
    /// Two sides over the cells of a group.
    pub fn new(setting: &Setting<'a>, group: &Group) -> Self {
        let side = |side: usize| Side::new(setting.views[side], setting.places[side].clone());
        let guests = setting.guests;
        let mut product = Self {
            table: Table::default(),
            sides: [0, 1].map(side),
            guests,
            group: group.clone(),
            cells: Vec::new(),
            transitions: Vec::new(),
            layers: Vec::new(),
            reached: Truth::NO,
            usual: Truth::YES,
            origin: None,
        };
        for side in 0..2 {
            product
                .cells
                .extend(group.cells[side].iter().map(|cell| (side, *cell)));
        }
        for side in 0..2 {
            product.sides[side].capability = guests.word(&mut product.table, side);
            product.sides[side].value = product.word(VALUE);
        }
        for side in 0..2 {
            let most = product.sides[side]
                .view
                .banks
                .as_ref()
                .map(|banks| banks.limit);
            if let Some(most) = most {
                let count = product.sides[side].bank_count(&mut product.table);
                let most = word::number(u64::from(most));
                let more = word::below(&mut product.table, &most, &count);
                product.usual = product.table.less(product.usual, more);
            }
        }
        for (at, (side, cell)) in product.cells.clone().into_iter().enumerate() {
            let word = product.word(product.slot(at));
            product.sides[side].cells.insert(cell, word);
        }
        product
    }

    fn width(&self) -> u32 {
        INPUTS + 2 * self.cells.len() as u32
    }

    /// The word in which a cell's current state stands; its next state stands behind it.
    fn slot(&self, cell: usize) -> u32 {
        INPUTS + 2 * cell as u32
    }

    fn at(&self, slot: u32, bit: usize) -> Bit {
        64 + bit as u32 * self.width() + slot
    }

    fn word(&mut self, slot: u32) -> Word {
        std::array::from_fn(|bit| {
            let at = self.at(slot, bit);
            self.table.bit(at)
        })
    }

    /// What a bit of a question belongs to: none for the capability word, else slot and bit.
    fn owner(&self, bit: Bit) -> Option<(u32, usize)> {
        let at = bit.checked_sub(64)?;
        Some((at % self.width(), (at / self.width()) as usize))
    }

    /// RDMSR on both sides.
    pub fn read(&mut self, msr: u32) -> [Reading; 2] {
        [0, 1].map(|side| self.sides[side].read(&mut self.table, msr))
    }

    /// What the hypervisor takes from the register that it holds at an MSR; none if a side holds none there.
    pub fn held(&self, msr: u32) -> Option<[Word; 2]> {
        let own = |side: usize| {
            let (register, _) = *self.sides[side].places.get(&msr)?;
            let held = self.sides[side].view.register(register).held;
            let cell = Cell { register, bank: 0 };
            self.sides[side].cells.get(&cell).copied().filter(|_| held)
        };
        Some([own(0)?, own(1)?])
    }

    /// WRMSR on both sides.
    pub fn write(&mut self, msr: u32) -> [Writing; 2] {
        [0, 1].map(|side| self.sides[side].write(&mut self.table, msr))
    }

    /// Finds all pairs of states that the same accesses lead to, while both sides answer in the same way.
    pub fn explore(&mut self, group: &Group) -> Result<(), TooLarge> {
        self.explore_while(group, true)
    }

    /// As [`Product::explore`]; with `agreeing` false whatever the sides answer.
    pub fn explore_while(&mut self, group: &Group, agreeing: bool) -> Result<(), TooLarge> {
        self.add_steps(group, agreeing);
        let start = self.start(&[0, 1]);
        self.explore_from(start)
    }

    /// All that can happen to a guest.
    fn add_steps(&mut self, group: &Group, agreeing: bool) {
        for msr in &group.msrs {
            self.add_write(*msr, agreeing);
        }
        self.add_injection(&[0, 1]);
        self.add_init(&[0, 1]);
        self.add_init_elsewhere(&[0, 1]);
        self.add_holds(&[0, 1]);
    }

    /// Guests after power-on, as some sides see them.
    fn start(&mut self, sides: &[usize]) -> Truth {
        let cells = self.cells.iter().enumerate();
        let own = cells.filter(|(_, (side, _))| sides.contains(side));
        let resets: Vec<(usize, u64)> = own
            .map(|(at, (side, cell))| (at, self.reset(*side, *cell)))
            .collect();
        let mut start = Truth::YES;
        for bit in (0..64).rev() {
            for (at, reset) in resets.iter().rev() {
                let own = self.at(self.slot(*at), bit);
                let own = self.table.bit(own);
                let want = Truth::of(reset >> bit & 1 == 1);
                let same = self.table.same(own, want);
                start = self.table.and(same, start);
            }
        }
        start
    }

    fn reset(&self, side: usize, cell: Cell) -> u64 {
        self.sides[side].view.register(cell.register).reset
    }

    fn add_write(&mut self, msr: u32, agreeing: bool) {
        let writes = self.write(msr);
        if writes.iter().all(|write| write.next.is_none()) {
            return;
        }
        let agree = if agreeing {
            self.agree(&writes)
        } else {
            Truth::YES
        };
        let next = |side: usize| writes[side].next.map(|(cell, word)| (side, cell, word));
        let next: Vec<_> = [0, 1].into_iter().filter_map(next).collect();
        self.add(Step::Write { msr, value: 0 }, agree, &next);
    }

    /// Both sides take the write in the same way.
    fn agree(&mut self, writes: &[Writing; 2]) -> Truth {
        let mut agree = Truth::NO;
        for (kind, when) in writes[0].answers.iter() {
            if matches!(kind, Kind::Done | Kind::Hook(_)) {
                let both = self.table.and(*when, writes[1].answers.when(kind));
                agree = self.table.or(agree, both);
            }
        }
        agree
    }

    fn add_injection(&mut self, sides: &[usize]) {
        // Where one of the two has none, they answer otherwise: nothing follows.
        let has = |side: &usize| self.sides[*side].view.injection.is_some();
        if !sides.iter().all(has) {
            return;
        }
        let mut next = Vec::new();
        let flags = self.word(FLAGS);
        let error = ERROR.map(|slot| self.word(slot));
        for (at, (side, cell)) in self.cells.clone().into_iter().enumerate() {
            let Some(injection) = self.sides[side].view.injection.clone() else {
                continue;
            };
            if !sides.contains(&side) {
                continue;
            }
            let old = self.word(self.slot(at));
            if cell.register == injection.global.0 {
                let told = [
                    injection.bits.mcip,
                    injection.bits.ripv,
                    injection.bits.eipv,
                    injection.bits.lmce_s,
                ];
                let word = std::array::from_fn(|bit| {
                    let own = |mask: u64| mask & injection.global.1 & 1 << bit != 0;
                    let by = (1..4).filter(|at| own(told[*at])).map(|at| flags[at]);
                    let always = Truth::of(own(told[0]));
                    by.fold(always, |any, flag| self.table.or(any, flag))
                });
                next.push((side, cell, word));
            }
            let roles = [injection.status, injection.address, injection.misc];
            for (role, (register, mask)) in roles.into_iter().enumerate() {
                if cell.register != register || cell.bank != injection.bank {
                    continue;
                }
                let given = std::array::from_fn(|bit| {
                    if mask & 1 << bit == 0 {
                        Truth::NO
                    } else {
                        error[role][bit]
                    }
                });
                next.push((
                    side,
                    cell,
                    word::choose(&mut self.table, flags[0], &given, &old),
                ));
            }
        }
        if !next.is_empty() {
            self.add(Step::Inject(Injected::default()), Truth::YES, &next);
        }
    }

    fn add_init(&mut self, sides: &[usize]) {
        let mut next = Vec::new();
        for (side, cell) in self.cells.iter().filter(|(side, _)| sides.contains(side)) {
            if self.sides[*side]
                .view
                .register(cell.register)
                .init
                .is_some()
            {
                next.push((*side, *cell, self.sides[*side].init(*cell)));
            }
        }
        if !next.is_empty() {
            self.add(Step::Init, Truth::YES, &next);
        }
    }

    /// INIT of another vCPU: of what is seen here it changes what the guest's vCPUs share. (Other vCPUs' writes need no step of
    /// their own: what they change here, this one can change by the same writes.)
    fn add_init_elsewhere(&mut self, sides: &[usize]) {
        let mut next = Vec::new();
        for (side, cell) in self.cells.iter().filter(|(side, _)| sides.contains(side)) {
            let register = self.sides[*side].view.register(cell.register);
            if register.init.is_some() && register.scope == Scope::Guest {
                next.push((*side, *cell, self.sides[*side].init(*cell)));
            }
        }
        if !next.is_empty() {
            self.add(Step::InitElsewhere, Truth::YES, &next);
        }
    }

    /// What the hypervisor puts into the registers that it holds: any value that a restore would take there too.
    fn add_holds(&mut self, sides: &[usize]) {
        let mut held: BTreeMap<u32, Vec<(usize, Cell)>> = BTreeMap::new();
        for (side, cell) in self.cells.iter().filter(|(side, _)| sides.contains(side)) {
            let register = self.sides[*side].view.register(cell.register);
            let address = register.addresses.first().filter(|_| register.held);
            let own = address.map(|address| held.entry(address.first).or_default());
            own.into_iter().for_each(|own| own.push((*side, *cell)));
        }
        for (msr, cells) in held {
            let value = self.word(VALUE);
            let mut when = Truth::YES;
            for side in &self.sides {
                let place = side.places.get(&msr);
                let register = place.map(|(id, _)| side.view.register(*id));
                if let Some(register) = register.filter(|register| register.held) {
                    let may = side.may_hold(&mut self.table, register, &value);
                    when = self.table.and(when, may);
                }
            }
            let next: Vec<(usize, Cell, Word)> = cells
                .into_iter()
                .map(|(side, cell)| (side, cell, value))
                .collect();
            self.add(Step::Hold { msr, value: 0 }, when, &next);
        }
    }

    fn add(&mut self, step: Step, when: Truth, next: &[(usize, Cell, Word)]) {
        let place =
            |side: usize, cell: Cell| self.cells.iter().position(|own| *own == (side, cell));
        let next: Vec<(usize, Word)> = next
            .iter()
            .filter_map(|(side, cell, word)| Some((place(*side, *cell)?, *word)))
            .collect();
        let mut relation = Truth::YES;
        for bit in (0..64).rev() {
            for (at, word) in next.iter().rev() {
                let after = self.at(self.slot(*at) + 1, bit);
                let after = self.table.bit(after);
                let same = self.table.same(after, word[bit]);
                relation = self.table.and(same, relation);
            }
        }
        let relation = self.table.and(when, relation);
        let changed = next.into_iter().map(|(at, _)| at).collect();
        self.transitions.push(Transition {
            step,
            relation,
            changed,
        });
    }

    fn image(&mut self, from: Truth, at: usize) -> Truth {
        let steps = self.table.and(from, self.transitions[at].relation);
        let changed = self.transitions[at].changed.clone();
        let (width, first) = (self.width(), INPUTS);
        let owner = move |bit: Bit| bit.checked_sub(64).map(|at| at % width);
        let drop = |bit: Bit| {
            owner(bit).is_some_and(|slot| {
                slot < first || changed.iter().any(|cell| first + 2 * *cell as u32 == slot)
            })
        };
        // A next state stands right behind the current one.
        let rename = |bit: Bit| match owner(bit) {
            Some(slot) if slot >= first && (slot - first) % 2 == 1 => bit - 1,
            _ => bit,
        };
        self.table.exists_then(steps, &drop, &rename)
    }

    /// Whether what was said so far is to be relied on.
    ///
    /// # Errors
    /// [`TooLarge`]: it is not.
    pub fn sure(&self) -> Result<(), TooLarge> {
        match self.table.is_full() {
            true => Err(TooLarge),
            false => Ok(()),
        }
    }

    /// The first layer in which a condition on states (and a written value) is met.
    pub fn met(&mut self, condition: Truth) -> Option<usize> {
        if condition == Truth::NO {
            return None;
        }
        (0..self.layers.len()).find(|at| self.table.meet(self.layers[*at], condition))
    }

    /// A truth as it is in a guest after power-on: over the capability word alone.
    pub fn born(&mut self, truth: Truth) -> Truth {
        let start = self.layers.first().copied().unwrap_or(Truth::NO);
        let met = self.table.and(truth, start);
        self.table.exists(met, &|bit| bit >= 64)
    }

    /// The capability words with which a condition is met at all.
    pub fn guests_of(&mut self, condition: Truth) -> Truth {
        let met = self.table.and(condition, self.reached);
        self.table.exists(met, &|bit| bit >= 64)
    }

    /// The shortest way to a condition on states and a written value, with small values and little that is unusual.
    pub fn path(&mut self, condition: Truth) -> Option<Path> {
        let (path, states) = self.way(condition)?;
        match self.origin.is_some() {
            true => self.arrived(path, &states),
            false => Some(path),
        }
    }

    /// The same, and the states from which it starts.
    fn way(&mut self, condition: Truth) -> Option<(Path, Vec<u64>)> {
        let layer = self.met(condition)?;
        let mut target = self.table.and(self.layers[layer], condition);
        let usual = self.table.and(target, self.usual);
        if usual != Truth::NO {
            target = usual;
        }
        let picked = self.picked(target)?;
        self.way_to(layer, &picked)
    }

    /// The way to states of a layer that were picked, and the states from which it starts.
    fn way_to(&mut self, layer: usize, picked: &Picked) -> Option<(Path, Vec<u64>)> {
        let value = self.input(picked, VALUE);
        let capability = self.capability(picked);
        let mut steps = Vec::new();
        let mut state = self.states(picked);
        for before in (0..layer).rev() {
            let all: Vec<usize> = (0..state.len()).collect();
            let target = self.state_is(&state, &capability_cube(capability), &all);
            let (step, earlier) = self.step_to(target, self.layers[before])?;
            steps.push(step);
            state = earlier;
        }
        steps.reverse();
        let path = Path {
            capability,
            steps,
            before: None,
            value,
        };
        Some((path, state))
    }

    /// A step from one of some states to a set of states, and the state it starts from.
    fn step_to(&mut self, target: Truth, from: Truth) -> Option<(Step, Vec<u64>)> {
        for at in 0..self.transitions.len() {
            let changed = self.transitions[at].changed.clone();
            let (width, first) = (self.width(), INPUTS);
            // The target is about the states after the step.
            let rename = move |bit: Bit| match bit.checked_sub(64).map(|at| at % width) {
                Some(slot)
                    if slot >= first
                        && changed.iter().any(|cell| first + 2 * *cell as u32 == slot) =>
                {
                    bit + 1
                }
                _ => bit,
            };
            let after = self.table.exists_then(target, &|_| false, &rename);
            let steps = self.table.and(from, self.transitions[at].relation);
            let steps = self.table.and(steps, after);
            if steps == Truth::NO {
                continue;
            }
            let picked = self.picked(steps)?;
            let step = self.step_with(at, &picked);
            return Some((step, self.states(&picked)));
        }
        None
    }

    /// One of the steps that a transition stands for.
    fn step_with(&self, transition: usize, picked: &Picked) -> Step {
        match &self.transitions[transition].step {
            Step::Write { msr, .. } => Step::Write {
                msr: *msr,
                value: self.input(picked, VALUE),
            },
            Step::Hold { msr, .. } => Step::Hold {
                msr: *msr,
                value: self.input(picked, VALUE),
            },
            Step::Inject(_) => Step::Inject(Injected {
                flags: self.input(picked, FLAGS) & 15,
                error: ERROR.map(|slot| self.input(picked, slot)),
            }),
            other => other.clone(),
        }
    }

    /// Values for which a condition holds: a new guest's capability word and reset states as far as that goes, else zeros.
    fn picked(&self, condition: Truth) -> Option<Picked> {
        let resets: Vec<u64> = self
            .cells
            .iter()
            .map(|(side, cell)| self.reset(*side, *cell))
            .collect();
        let prefer = |bit: Bit| match self.owner(bit) {
            None => self.guests.new >> bit & 1 == 1,
            Some((slot, _)) if slot < INPUTS => false,
            Some((slot, bit)) => resets[((slot - INPUTS) / 2) as usize] >> bit & 1 == 1,
        };
        let mut picked = self.table.pick(condition, &prefer)?;
        for bit in 0..64 {
            picked
                .entry(bit)
                .or_insert(self.guests.new & self.guests.varies & 1 << bit != 0);
        }
        for (at, reset) in resets.iter().enumerate() {
            for bit in 0..64 {
                let own = self.at(self.slot(at), bit);
                picked.entry(own).or_insert(reset >> bit & 1 == 1);
            }
        }
        Some(picked)
    }

    fn capability(&self, picked: &Picked) -> u64 {
        (0..64)
            .filter(|bit| picked.get(bit) == Some(&true))
            .fold(0, |word, bit| word | 1 << bit)
    }

    fn input(&self, picked: &Picked, slot: u32) -> u64 {
        (0..64)
            .filter(|bit| picked.get(&self.at(slot, *bit)) == Some(&true))
            .fold(0, |word, bit| word | 1 << bit)
    }

    fn states(&self, picked: &Picked) -> Vec<u64> {
        (0..self.cells.len())
            .map(|cell| self.input(picked, self.slot(cell)))
            .collect()
    }

    /// Some cells have these states, in a guest with a capability word.
    fn state_is(&mut self, states: &[u64], capability: &[(Bit, bool)], cells: &[usize]) -> Truth {
        let mut cube = Truth::YES;
        let bits = (0..64).rev().flat_map(|bit| {
            let cells = cells.iter().rev();
            cells.map(move |cell| (*cell, bit, states[*cell] >> bit & 1 == 1))
        });
        for (cell, bit, set) in bits.collect::<Vec<_>>() {
            let at = self.at(self.slot(cell), bit);
            cube = self.literal(at, set, cube);
        }
        for (bit, set) in capability.iter().rev() {
            if self.guests.varies & 1 << bit != 0 {
                cube = self.literal(*bit, *set, cube);
            }
        }
        cube
    }

    fn literal(&mut self, bit: Bit, set: bool, rest: Truth) -> Truth {
        let own = self.table.bit(bit);
        let own = if set { own } else { self.table.not(own) };
        self.table.and(own, rest)
    }

    /// What a word of the capability register is over.
    pub fn is_value(&self, bit: Bit) -> Option<usize> {
        self.owner(bit)
            .and_then(|(slot, bit)| (slot == VALUE).then_some(bit))
    }

    /// The values that are written where a condition is met.
    pub fn values_of(&mut self, condition: Truth) -> Truth {
        let met = self.table.and(condition, self.reached);
        let width = self.width();
        self.table.exists(met, &move |bit| {
            bit.checked_sub(64).is_none_or(|at| at % width != VALUE)
        })
    }

    /// A bit of the written value.
    pub fn value_bit(&mut self, bit: usize) -> Truth {
        let at = self.at(VALUE, bit);
        self.table.bit(at)
    }

    /// The capability word as it is on a side.
    pub fn on_side(&self, capability: u64, side: usize) -> u64 {
        capability & self.guests.varies & self.guests.has[side]
    }
}

fn capability_cube(word: u64) -> Vec<(Bit, bool)> {
    (0..64).map(|bit| (bit, word >> bit & 1 == 1)).collect()
}
