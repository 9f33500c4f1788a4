//! Guests that move: pairs of what a saved guest of the old side is after a restore there, and after one on the new side.

use super::{Before, Cell, Path, Product, TooLarge, Transition, Truth};
use crate::compare::carried::{Carried, Crossing};
use crate::compare::groups::Group;
use crate::compare::items::{Item, record_of, taken};
use crate::compare::steps::{Step, execute};
use crate::compare::symbols::Change;
use crate::compare::word;
use crate::interpret::Machine;
use crate::model::Scope;
use std::sync::Arc;

/// Where moved guests come from.
pub(super) struct Origin {
    /// What a guest does on the old side alone.
    transitions: Vec<Transition>,
    /// States of the old side that take 0, 1, ... such steps.
    layers: Vec<Truth>,
    /// What records carry.
    carried: Arc<Carried>,
    /// No guest of the old side comes to be what the record says by what it does.
    recorded: bool,
}

/// A cell of an item.
pub(super) struct Saved<'i> {
    pub(super) item: &'i Item,
    at: usize,
    pub(super) cell: Cell,
}

impl Product<'_> {
    /// Begins anew with guests that lived on the old side, were saved, and are restored on both; `carried` is
    /// what their records bring along.
    ///
    /// # Errors
    /// As [`Product::explore`].
    pub fn migrate(&mut self, group: &Group, carried: Arc<Carried>) -> Result<(), Box<TooLarge>> {
        let origin = self.origin(group, carried)?;
        let lived = (origin.layers.iter()).fold(Truth::NO, |all, one| self.table.or(all, *one));
        let moved = self.moved(&origin, lived);
        self.origin = Some(origin);
        self.transitions.clear();
        self.add_steps(group, true);
        self.explore_from(moved)
    }

    /// Goes on with guests that only a record brings: whatever of it both sides take, and what [`Product::migrate`] has not met.
    /// False if there is nothing of the kind.
    ///
    /// # Errors
    /// As [`Product::explore`].
    pub fn migrate_records(&mut self) -> Result<bool, Box<TooLarge>> {
        let Some(mut origin) = self.origin.take() else {
            return Ok(false);
        };
        let transitions = std::mem::take(&mut self.transitions);
        let all = self.moved(&origin, Truth::YES);
        // What guests do then is the same.
        self.transitions = transitions;
        origin.recorded = true;
        self.origin = Some(origin);
        let known = self.reached;
        let more = self.table.less(all, known);
        if more == Truth::NO {
            return Ok(false);
        }
        self.explore_beyond(more, known)?;
        Ok(true)
    }

    /// Guests of the old side after a restore on both, from one record.
    fn moved(&mut self, origin: &Origin, guests: Truth) -> Truth {
        let carried = origin.carried.clone();
        let (when, next) = match &carried.conversion {
            Some(conversion) => self.converted(&carried, conversion),
            None => self.crossing(&carried.items),
        };
        self.transitions.clear();
        self.add(Step::Save, when, &next);
        self.image(guests, 0)
    }

    /// Everything that a guest of the old side can be, whatever the new one would answer: also after it was saved and restored
    /// there.
    fn origin(&mut self, group: &Group, carried: Arc<Carried>) -> Result<Origin, Box<TooLarge>> {
        self.transitions.clear();
        self.add_steps_of(group, 0);
        let (when, next) = self.restored(&carried.items, 0);
        self.add(Step::Save, when, &next);
        let start = self.start(&[0]);
        self.explore_from(start)?;
        Ok(Origin {
            transitions: std::mem::take(&mut self.transitions),
            layers: std::mem::take(&mut self.layers),
            carried,
            recorded: false,
        })
    }

    /// All that a guest of one side does, whatever the other would answer.
    fn add_steps_of(&mut self, group: &Group, side: usize) {
        for msr in &group.msrs {
            let write = self.sides[side].write(&mut self.table, *msr);
            if let Some(change) = write.next {
                let step = Step::Write {
                    msr: *msr,
                    value: 0,
                };
                self.add(step, Truth::YES, &[(side, change)]);
            }
        }
        self.add_injection(&[side]);
        self.add_init(&[side]);
        self.add_init_elsewhere(&[side]);
        self.add_holds(&[side]);
    }

    /// Whether a guest of one side meets a condition on its states from power-on, whatever the other side would answer.
    pub fn met_alone(&mut self, condition: Truth, side: usize) -> bool {
        if condition == Truth::NO {
            return false;
        }
        let (layers, reached) = (std::mem::take(&mut self.layers), self.reached);
        let transitions = std::mem::take(&mut self.transitions);
        let group = self.group.clone();
        self.add_steps_of(&group, side);
        let start = self.start(&[side]);
        // Where that is too large to say, it is taken to be met.
        let met = self.explore_from(start).is_err() || self.table.meet(self.reached, condition);
        (self.layers, self.reached, self.transitions) = (layers, reached, transitions);
        met
    }

    /// Saved by the old side and restored on both, with a capability word that both have.
    fn crossing(&mut self, items: &[Vec<Item>; 2]) -> (Truth, Vec<(usize, Change)>) {
        let (here, mut next) = self.restored(items, 0);
        let (there, more) = self.restored(items, 1);
        next.extend(more);
        let (alone, word) = match Crossing::of([0, 1].map(|side| self.sides[side].view), items) {
            Crossing::Any => (0, 0),
            Crossing::Common => (!(self.guests.has[0] & self.guests.has[1]), 0),
            Crossing::Only(word) => (u64::MAX, word),
            Crossing::Never => return (Truth::NO, next),
        };
        let fixed = self.guests.varies & alone;
        let mut when = self.table.and(here, there);
        for bit in (0..64).rev().filter(|bit| fixed >> bit & 1 == 1) {
            when = self.literal(bit, word >> bit & 1 == 1, when);
        }
        (when, next)
    }

    /// When a side takes the record of the old one, and what its cells are then.
    pub(super) fn restored(
        &mut self,
        items: &[Vec<Item>; 2],
        side: usize,
    ) -> (Truth, Vec<(usize, Change)>) {
        let mut when = Truth::YES;
        for saved in self.saved(&items[0]) {
            let word = self.sides[0].cells[&saved.cell];
            let same = items[side].iter().find(|other| same(saved.item, other));
            let dropped = &self.sides[side].view.dropped_tags;
            let taken = match same {
                Some(other) if saved.at < other.words => {
                    taken(&mut self.table, &self.sides[side], other, &word)
                }
                None if dropped.contains(&saved.item.tag) => Truth::YES,
                _ => {
                    let set = word::is_set(&mut self.table, &word);
                    self.table.not(set)
                }
            };
            when = self.table.and(when, taken);
        }
        let mut next = Vec::new();
        for (own, cell) in self.cells.clone() {
            if own != side {
                continue;
            }
            let view = self.sides[side].view;
            // Where vCPUs share nothing there is no record of it, and no restore: it stays as after power-on.
            let comes = |item: &&Item| item.scope == Scope::Vcpu || self.sides[0].view.is_shared();
            let item = items[side].iter().find(|item| item.id == cell.register);
            let value = match item.filter(comes) {
                None => word::number(view.register(cell.register).reset),
                Some(item) => {
                    let from = items[0].iter().find(|other| same(item, other));
                    let cell = from.map(|from| Cell {
                        register: from.id,
                        bank: cell.bank,
                    });
                    let held = cell.and_then(|cell| self.sides[0].cells.get(&cell));
                    held.copied().unwrap_or(word::number(item.default))
                }
            };
            next.push((side, Change::always(cell, value)));
        }
        (when, next)
    }

    /// The cells of the old side that are saved.
    pub(super) fn saved<'i>(&self, items: &'i [Item]) -> Vec<Saved<'i>> {
        let cells = self.cells.iter().filter(|(side, _)| *side == 0);
        let saved = cells.filter_map(|(_, cell)| {
            let item = items.iter().find(|item| item.id == cell.register)?;
            Some(Saved {
                item,
                at: cell.bank as usize,
                cell: *cell,
            })
        });
        saved.collect()
    }

    /// A path from a state in which a guest arrived: its records, and what it did before.
    pub(super) fn arrived(&mut self, path: Path, states: &[u64]) -> Option<Path> {
        let origin = self.origin.take()?;
        let before = match origin.recorded {
            true => Some(Before::Record),
            false => {
                let lived = self.before(&origin, path.capability, states);
                lived.map(Before::Lived)
            }
        };
        let view = self.sides[0].view;
        let cells = self.cells.iter().zip(states);
        let held = |item: &Item| -> Vec<u64> {
            let word = |bank: usize| {
                let is = |(side, cell): &(usize, Cell)| {
                    *side == 0 && cell.register == item.id && cell.bank as usize == bank
                };
                let own = cells.clone().find(|(place, _)| is(place));
                own.map_or_else(|| origin.carried.word(view, item, bank), |(_, word)| *word)
            };
            match item.capability {
                true => vec![self.on_side(path.capability, 0)],
                false => (0..item.words).map(word).collect(),
            }
        };
        let record = |scope: Scope| {
            let own = origin.carried.items[0]
                .iter()
                .filter(|item| item.scope == scope);
            let items: Vec<(u16, Vec<u64>)> = own.map(|item| (item.tag, held(item))).collect();
            Step::Restore(record_of(view, scope, &items))
        };
        let mut records = vec![record(Scope::Vcpu)];
        if view.is_shared() {
            records.push(record(Scope::Guest));
        }
        let before = self.leading_to(&records, before?, &origin.carried, path.capability);
        let steps = records.into_iter().chain(path.steps).collect();
        self.origin = Some(origin);
        Some(Path {
            steps,
            before: Some(before),
            ..path
        })
    }

    /// What a guest of the old side did before these records of it, with what it did elsewhere so that they are taken: that comes first.
    fn leading_to(
        &self,
        records: &[Step],
        before: Before,
        carried: &Carried,
        capability: u64,
    ) -> Before {
        let Before::Lived(lived) = before else {
            return before;
        };
        let is_here = |item: &Item, word: usize| {
            let mut own = self.cells.iter();
            own.any(|(side, cell)| (*side, cell.register, cell.bank as usize) == (0, item.id, word))
        };
        let more = carried.to_be_written(|item, word| !is_here(item, word));
        if more.is_empty() {
            return Before::Lived(lived);
        }
        let more = more.into_iter().filter_map(|(msr, value)| {
            let msr = msr?;
            Some(Step::Write { msr, value })
        });
        let all: Vec<Step> = more.chain(lived).collect();
        let mut guest = Machine::new(self.sides[0].view);
        guest.set_capability(self.on_side(capability, 0));
        for step in &all {
            execute(&mut guest, step);
        }
        let saved = [guest.save(), guest.save_guest()].map(Step::Restore);
        match records.iter().all(|record| saved.contains(record)) {
            true => Before::Lived(all),
            false => Before::Record,
        }
    }

    /// What a guest of the old side did before it was saved with these states.
    fn before(&mut self, origin: &Origin, capability: u64, states: &[u64]) -> Option<Vec<Step>> {
        let saved: Vec<Cell> = self
            .saved(&origin.carried.items[0])
            .iter()
            .map(|saved| saved.cell)
            .collect();
        let at = |place: &(usize, Cell)| place.0 == 0 && saved.contains(&place.1);
        let own: Vec<usize> = (0..self.cells.len())
            .filter(|cell| at(&self.cells[*cell]))
            .collect();
        let cube = super::ways::capability_cube(capability);
        let target = self.state_is(states, &cube, &own);
        let layers = std::mem::replace(&mut self.layers, origin.layers.clone());
        let transitions = std::mem::replace(&mut self.transitions, origin.transitions.clone());
        let steps = self.way(target).map(|(path, _)| path.steps);
        (self.layers, self.transitions) = (layers, transitions);
        steps
    }

    /// Layer by layer from some states.
    pub(super) fn explore_from(&mut self, start: Truth) -> Result<(), Box<TooLarge>> {
        self.explore_beyond(start, Truth::NO)
    }

    /// As [`Product::explore_from`], leaving out what is known already.
    fn explore_beyond(&mut self, start: Truth, known: Truth) -> Result<(), Box<TooLarge>> {
        let mut frontier = start;
        self.reached = self.table.or(known, frontier);
        self.layers = vec![frontier];
        while frontier != Truth::NO {
            let mut next = Truth::NO;
            for at in 0..self.transitions.len() {
                let image = self.image(frontier, at);
                next = self.table.or(next, image);
            }
            self.sure()?;
            frontier = self.table.less(next, self.reached);
            self.reached = self.table.or(self.reached, frontier);
            self.layers.push(frontier);
        }
        Ok(())
    }
}

/// Both are under one tag in records of one kind.
fn same(a: &Item, b: &Item) -> bool {
    a.tag == b.tag && a.scope == b.scope
}
