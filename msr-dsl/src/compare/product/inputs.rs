//! What can happen to a guest: each way from its states to the next.

use super::{ERROR, FLAGS, Product, Transition, VALUE};
use crate::compare::groups::Group;
use crate::compare::steps::{Injected, Step};
use crate::compare::symbols::{Cell, Kind, Writing};
use crate::compare::truth::Truth;
use crate::compare::word::{self, Word};
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

    pub(super) fn add_injection(&mut self, sides: &[usize]) {
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

    pub(super) fn add_init(&mut self, sides: &[usize]) {
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
    pub(super) fn add_init_elsewhere(&mut self, sides: &[usize]) {
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
            let next: Vec<(usize, Cell, Word)> = cells
                .into_iter()
                .map(|(side, cell)| (side, cell, value))
                .collect();
            self.add(Step::Hold { msr, value: 0 }, when, &next);
        }
    }

    pub(super) fn add(&mut self, step: Step, when: Truth, next: &[(usize, Cell, Word)]) {
        let place =
            |side: usize, cell: Cell| self.cells.iter().position(|own| *own == (side, cell));
        let next: Vec<(usize, Word)> = next
            .iter()
            .filter_map(|(side, cell, word)| Some((place(*side, *cell)?, *word)))
            .collect();
        let mut relation = Truth::YES;
        for bit in (0..64).rev() {
            let varies = |at: &usize| self.still[*at] >> bit & 1 == 0;
            let next = next.iter().filter(|(at, _)| varies(at));
            for (at, word) in next.collect::<Vec<_>>().into_iter().rev() {
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
}
