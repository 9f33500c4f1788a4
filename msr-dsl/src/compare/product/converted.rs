//! Guests whose records are converted: the new side's states as the conversion makes them of the old ones.

use super::ways::capability_cube;
use super::{Cell, Product, TooLarge, Truth};
use crate::compare::carried::Carried;
use crate::compare::conversion::Conversion;
use crate::compare::groups::{Group, own};
use crate::compare::items::{Item, taken};
use crate::compare::symbols::{Change, Kind};
use crate::compare::word;
use crate::interpret::Machine;
use crate::model::{RegisterId, Scope};

/// MCi_STATUS.VAL (SDM vol. 3, 16.3.2.2).
const VALID: usize = 63;

impl Product<'_> {
    /// Begins with two guests as they are, and goes on by whatever leaves the state at an MSR as it is.
    ///
    /// # Errors
    /// As [`Product::explore`].
    pub fn explore_beside(
        &mut self,
        group: &Group,
        guests: &[Machine; 2],
        msr: u32,
    ) -> Result<(), Box<TooLarge>> {
        self.add_steps(group, true);
        let state = |side: usize| {
            let (id, index) = *self.sides[side].places.get(&msr)?;
            Some((side, own(self.sides[side].view, id, index)?))
        };
        let itself = [state(0), state(1)];
        let changes = |cell: &usize| itself.contains(&Some(self.cells[*cell]));
        (self.transitions).retain(|transition| !transition.changed.iter().any(changes));
        let value = |(side, cell): &(usize, Cell)| {
            let cells = &guests[*side].cells()[cell.register];
            cells.get(cell.bank as usize).copied().unwrap_or(0)
        };
        let states: Vec<u64> = self.cells.iter().map(value).collect();
        let words = guests
            .each_ref()
            .map(|guest| guest.capability().unwrap_or(0));
        let capability = words[0] & self.guests.has[0] | words[1] & self.guests.has[1];
        let all: Vec<usize> = (0..states.len()).collect();
        let start = self.state_is(&states, &capability_cube(capability), &all);
        self.explore_from(start)
    }

    /// When a conversion makes a record of the old side's that the new side takes, and what the cells of both are after a restore.
    pub(super) fn converted(
        &mut self,
        carried: &Carried,
        conversion: &Conversion,
    ) -> (Truth, Vec<(usize, Change)>) {
        let items = &carried.items;
        let (mut when, mut next) = self.restored(items, 0);
        for saved in self.saved(&items[0]) {
            let taken = match conversion.goes_to(saved.cell) {
                Some((target, at)) => {
                    let word = conversion.word(&mut self.table, &self.sides, target, at);
                    taken(&mut self.table, &self.sides[1], &target.item, &word)
                }
                // Hidden state that has no place keeps the record from being taken.
                None if saved.item.msrs.is_empty() => {
                    let word = self.sides[0].cells[&saved.cell];
                    word::equal(&mut self.table, &word, &word::number(saved.item.default))
                }
                None => Truth::YES,
            };
            when = self.table.and(when, taken);
        }
        let promised = self.promised_there(items, conversion);
        when = self.table.and(when, promised);
        let is_shared = self.sides[0].view.is_shared();
        for (_, cell) in self
            .cells
            .clone()
            .into_iter()
            .filter(|(side, _)| *side == 1)
        {
            // Without a record of what is shared, that begins as in a new guest.
            let comes = |scope: Scope| scope == Scope::Vcpu || is_shared;
            let target = conversion.target(cell);
            let value = match target.filter(|(target, _)| comes(target.item.scope)) {
                Some((target, at)) => conversion.word(&mut self.table, &self.sides, target, at),
                None => word::number(self.sides[1].view.register(cell.register).reset),
            };
            next.push((1, Change::always(cell, value)));
        }
        let cut_short = self.loses_a_machine_check(&next);
        (self.table.less(when, cut_short), next)
    }

    /// The capability word is one that both sides take, and on the new side it is what the conversion makes of the old one.
    fn promised_there(&mut self, items: &[Vec<Item>; 2], conversion: &Conversion) -> Truth {
        let word_of = |side: usize| items[side].iter().find(|item| item.capability);
        let mut when = Truth::YES;
        if let Some(item) = word_of(0) {
            let word = self.sides[0].capability;
            when = taken(&mut self.table, &self.sides[0], item, &word);
        }
        let there = word_of(1).map(|item| Cell {
            register: item.id,
            bank: 0,
        });
        if let Some((target, at)) = there.and_then(|cell| conversion.target(cell)) {
            let word = conversion.word(&mut self.table, &self.sides, target, at);
            let taken = taken(&mut self.table, &self.sides[1], &target.item, &word);
            when = self.table.and(when, taken);
            let varies = self.guests.varies & self.guests.has[1];
            for bit in (0..64).rev().filter(|bit| varies >> bit & 1 == 1) {
                let own = self.table.bit(bit);
                let same = self.table.same(own, word[bit as usize]);
                when = self.table.and(when, same);
            }
        }
        when
    }

    /// When a guest that is in its #MC handler would not find there what it is about: then there is no conversion.
    fn loses_a_machine_check(&mut self, next: &[(usize, Change)]) -> Truth {
        let Some(injection) = self.sides[0].view.injection.clone() else {
            return Truth::NO;
        };
        let mcip = injection.bits.mcip;
        let [global, status] = [injection.global.0, injection.status.0].map(|id| self.asked_of(id));
        if mcip == 0 || global.is_empty() {
            return Truth::NO;
        }
        let before = self.sides.each_ref().map(|side| side.cells.clone());
        for (side, change) in next {
            self.sides[*side].cells.insert(change.cell, change.word);
        }
        let (mut handles, mut lost) = (Truth::NO, Truth::NO);
        for msr in global {
            let [here, there] = self.read(msr).map(|read| {
                let flags = (0..64).filter(|bit| mcip >> bit & 1 == 1);
                let flags = flags.map(|bit| read.value[bit]);
                let all = self.table.all(flags.collect::<Vec<_>>());
                self.table.and(all, read.answers.when(&Kind::Done))
            });
            handles = self.table.or(handles, here);
            let gone = self.table.not(there);
            lost = self.table.or(lost, gone);
        }
        for msr in status {
            let [here, there] = self.read(msr);
            let done = there.answers.when(&Kind::Done);
            let same = word::equal(&mut self.table, &here.value, &there.value);
            let same = self.table.and(same, done);
            let valid = self
                .table
                .and(here.value[VALID], here.answers.when(&Kind::Done));
            let gone = self.table.less(valid, same);
            lost = self.table.or(lost, gone);
        }
        for (side, cells) in self.sides.iter_mut().zip(before) {
            side.cells = cells;
        }
        self.table.and(handles, lost)
    }

    /// The MSRs of a register of the old side that the question is about.
    fn asked_of(&self, id: RegisterId) -> Vec<u32> {
        let register = self.sides[0].view.register(id);
        let msrs = register.addresses.iter().flat_map(|address| address.msrs());
        let msrs = msrs.map(|(msr, _)| msr);
        msrs.filter(|msr| self.group.msrs.contains(msr)).collect()
    }
}
