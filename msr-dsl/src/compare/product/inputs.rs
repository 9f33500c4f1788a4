//! What can happen to a guest: each way from its states to the next.

use super::{ERROR, FLAGS, Product, Transition, VALUE};
use crate::compare::groups::Group;
use crate::compare::steps::{Injected, Step};
use crate::compare::symbols::{Cell, Change, Kind, Writing};
use crate::compare::truth::Truth;
use crate::compare::word::Word;
use crate::model::Scope;
use std::collections::BTreeMap;

impl Product<'_> {
    /// All that can happen to a guest.
    pub(super) fn add_steps(&mut self, group: &Group, agreeing: bool) {
        for msr in &group.msrs {
            self.add_write(*msr, agreeing);
        }
        self.add_injection(&[0, 1]);
        self.add_init(&[0, 1]);
        self.add_init_elsewhere(&[0, 1]);
        self.add_holds(&[0, 1]);
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
        let next = |side: usize| writes[side].next.map(|change| (side, change));
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

    pub(super) fn add_injection(&mut self, sides: &[usize]) {
        // Where one of the two has none, they answer otherwise: nothing follows.
        let has = |side: &usize| self.sides[*side].view.injection.is_some();
        if !sides.iter().all(has) {
            return;
        }
        let mut next = Vec::new();
        let flags = self.word(FLAGS);
        let error = ERROR.map(|slot| self.word(slot));
        for (side, cell) in self.cells.clone() {
            let Some(injection) = self.sides[side].view.injection.clone() else {
                continue;
            };
            if !sides.contains(&side) {
                continue;
            }
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
                next.push((side, Change::always(cell, word)));
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
                let change = Change {
                    cell,
                    when: flags[0],
                    word: given,
                };
                next.push((side, change));
            }
        }
        if !next.is_empty() {
            self.add(Step::Inject(Injected::default()), Truth::YES, &next);
        }
    }

    pub(super) fn add_init(&mut self, sides: &[usize]) {
        let mut next = Vec::new();
        for (side, cell) in self.cells.iter().filter(|(side, _)| sides.contains(side)) {
            if self.sides[*side]
                .view
                .register(cell.register)
                .init
                .is_some()
            {
                let word = self.sides[*side].init(*cell);
                next.push((*side, Change::always(*cell, word)));
            }
        }
        if !next.is_empty() {
            self.add(Step::Init, Truth::YES, &next);
        }
    }

    /// INIT of another vCPU: of what is seen here it changes what the guest's vCPUs share. (Other vCPUs' writes need no step of
    /// their own: what they change here, this one can change by the same writes.)
    pub(super) fn add_init_elsewhere(&mut self, sides: &[usize]) {
        let mut next = Vec::new();
        for (side, cell) in self.cells.iter().filter(|(side, _)| sides.contains(side)) {
            let register = self.sides[*side].view.register(cell.register);
            if register.init.is_some() && register.scope == Scope::Guest {
                let word = self.sides[*side].init(*cell);
                next.push((*side, Change::always(*cell, word)));
            }
        }
        if !next.is_empty() {
            self.add(Step::InitElsewhere, Truth::YES, &next);
        }
    }

    /// What the hypervisor puts into the registers that it holds: any value that a restore would take there too.
    pub(super) fn add_holds(&mut self, sides: &[usize]) {
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
            let next: Vec<(usize, Change)> = cells
                .into_iter()
                .map(|(side, cell)| (side, Change::always(cell, value)))
                .collect();
            self.add(Step::Hold { msr, value: 0 }, when, &next);
        }
    }

    pub(super) fn add(&mut self, step: Step, when: Truth, next: &[(usize, Change)]) {
        let place =
            |side: usize, cell: Cell| self.cells.iter().position(|own| *own == (side, cell));
        let next: Vec<(usize, Change)> = next
            .iter()
            .filter_map(|(side, change)| Some((place(*side, change.cell)?, *change)))
            .collect();
        // Those that change together are written down together. Bit by bit each of them is one of few; with the condition in each bit they
        // would be as many as bits, times the bits on which it depends.
        let mut conditions: Vec<Truth> = next.iter().map(|(_, change)| change.when).collect();
        conditions.sort_unstable();
        conditions.dedup();
        let mut relation = when;
        for condition in conditions {
            let own = next.iter().filter(|(_, change)| change.when == condition);
            let own: Vec<(usize, Word)> = own.map(|(at, change)| (*at, change.word)).collect();
            let mut one = self.becomes(&own);
            if condition != Truth::YES {
                let stays = own.iter().map(|(at, _)| (*at, self.state_of(*at)));
                let stays: Vec<(usize, Word)> = stays.collect();
                let stays = self.becomes(&stays);
                one = self.table.choose(condition, one, stays);
            }
            relation = self.table.and(relation, one);
        }
        let changed = next.into_iter().map(|(at, _)| at).collect();
        self.transitions.push(Transition {
            step,
            relation,
            changed,
        });
    }

    /// The current state of a cell.
    fn state_of(&self, at: usize) -> Word {
        let (side, cell) = self.cells[at];
        self.sides[side].cells[&cell]
    }

    /// The next states of some cells are these.
    fn becomes(&mut self, next: &[(usize, Word)]) -> Truth {
        let mut relation = Truth::YES;
        for bit in (0..64).rev() {
            for (at, word) in next.iter().rev() {
                if self.still[*at] >> bit & 1 == 0 {
                    let after = self.at(self.slot(*at) + 1, bit);
                    let after = self.table.bit(after);
                    let same = self.table.same(after, word[bit]);
                    relation = self.table.and(same, relation);
                }
            }
        }
        relation
    }
}
