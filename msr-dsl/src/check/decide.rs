//! Whether a condition is the same in every guest and every state that it can have, for all of them at once.

use super::migration::{holdable, injected};
use super::register::writable;
use super::{closed, dead};
use crate::compare::symbols::{Cell, Places, Side, in_sets, places};
use crate::compare::truth::{Table, Truth};
use crate::compare::word::{self, Word};
use crate::model::{Expr, Field, Migrate, RegisterId, Set, View};
use std::sync::Arc;

/// A question that needs more functions than this is not decided.
const MOST: usize = 20_000;

/// Answers questions about one version.
pub struct Decider<'a> {
    view: &'a View,
    places: Arc<Places>,
    /// Cells of the registers with state, the capability register aside: each has its own bits among all variables.
    cells: Vec<Cell>,
}

impl<'a> Decider<'a> {
    pub fn new(view: &'a View) -> Self {
        let stored = view
            .ids()
            .filter(|(id, register)| register.stored && view.capability != Some(*id));
        let cells = stored.flat_map(|(id, register)| {
            let banks = 0..view.cells(register) as u32;
            banks.map(move |bank| Cell { register: id, bank })
        });
        Self {
            view,
            places: Arc::new(places(view)),
            cells: cells.collect(),
        }
    }

    /// What a condition of a register is wherever `given` holds; none if that differs, or is too much to decide.
    pub fn always(&self, id: RegisterId, given: Option<&Expr>, condition: &Expr) -> Option<bool> {
        let mut table = Table::up_to(MOST);
        let (side, possible) = self.side(&mut table, id, &[given, Some(condition)]);
        let (mut holds, mut fails) = (false, false);
        for index in self.indices(id, condition) {
            let given = given.map_or(Truth::YES, |given| side.asks(&mut table, id, index, given));
            let possible = table.and(possible, given);
            let asked = side.asks(&mut table, id, index, condition);
            let not = table.not(asked);
            holds |= table.and(possible, asked) != Truth::NO;
            fails |= table.and(possible, not) != Truth::NO;
            if table.is_full() || holds && fails {
                return None;
            }
        }
        // Where neither is, `given` is never so: that is told elsewhere.
        (holds != fails).then_some(holds)
    }

    /// Banks, or places of a range, where a condition may differ.
    fn indices(&self, id: RegisterId, condition: &Expr) -> std::ops::Range<u32> {
        let register = self.view.register(id);
        let mut asks = register.banked;
        condition.walk(&mut |one| asks |= *one == Expr::Index);
        let most = register.addresses.iter().map(|address| address.count).max();
        match asks {
            true => 0..most.unwrap_or(1),
            false => 0..1,
        }
    }

    /// Everything that the registers which are asked can be: the words, and which of them a guest can have.
    fn side(
        &self,
        table: &mut Table,
        own: RegisterId,
        asked: &[Option<&Expr>],
    ) -> (Side<'a>, Truth) {
        let named = asked.iter().flatten().flat_map(|one| one.registers());
        let asked = self
            .view
            .computed_from(named.chain([own]).collect::<Vec<_>>());
        let mut side = Side::new(self.view, Arc::clone(&self.places));
        side.value = self.word(table, 0, u64::MAX);
        let (capability, mut possible) = self.capability(table);
        side.capability = capability;
        for (at, cell) in self.cells.iter().enumerate() {
            if !asked.contains(&cell.register) {
                continue;
            }
            let register = self.view.register(cell.register);
            let word = self.word(table, at + 2, ones(self.view, cell.register));
            for field in &register.fields {
                if let Some(values) = names(self.view, cell.register, field) {
                    let named = among(table, &word, field, &values);
                    possible = table.and(possible, named);
                }
            }
            side.cells.insert(*cell, word);
        }
        (side, possible)
    }

    /// A word of which these bits are free and the others 0. High bits come first, and the bits of one place next to each other: so
    /// comparisons of words stay small.
    fn word(&self, table: &mut Table, number: usize, free: u64) -> Word {
        let words = self.cells.len() + 2;
        std::array::from_fn(|bit| match free >> bit & 1 {
            0 => Truth::NO,
            _ => table.bit(((63 - bit) * words + number) as u32),
        })
    }

    /// The capability word of any guest: the reset value with any features, or what a restore accepts.
    fn capability(&self, table: &mut Table) -> (Word, Truth) {
        let Some(id) = self.view.capability else {
            return (word::number(0), Truth::YES);
        };
        let register = self.view.register(id);
        let features = self.view.features.iter();
        let features = features.fold(0, |bits, feature| bits | 1u64 << feature.bit);
        let restored = match register.migrate {
            Migrate::Saved { .. } => register.accepts,
            _ => 0,
        };
        let word = self.word(table, 1, features | restored | register.reset);
        let reset = (0..64).rev().fold(Truth::YES, |all, bit| {
            let same = match (features >> bit & 1, register.reset >> bit & 1) {
                (1, _) => Truth::YES,
                (_, 1) => word[bit],
                _ => table.not(word[bit]),
            };
            table.and(all, same)
        });
        let outside = (0..64).rev().filter(|bit| restored >> bit & 1 == 0);
        let outside: Vec<Truth> = outside.map(|bit| word[bit]).collect();
        let outside = table.any(outside);
        let mut accepted = table.not(outside);
        for field in &register.fields {
            if let Some(values) = &field.restored {
                let listed = among(table, &word, field, values);
                accepted = table.and(accepted, listed);
            }
        }
        let possible = table.or(reset, accepted);
        (word, possible)
    }
}

/// When the bits of a field are one of these values.
fn among(table: &mut Table, word: &Word, field: &Field, values: &[u64]) -> Truth {
    let own: Word = std::array::from_fn(|bit| match bit as u32 <= field.hi - field.lo {
        true => word[bit + field.lo as usize],
        false => Truth::NO,
    });
    let sets: Vec<Set> = values.iter().map(|one| Set::Range(*one, *one)).collect();
    in_sets(table, &sets, &own)
}

/// The only values that the state of a closed enumeration can have, if that is known: its names, and what records of older versions bring.
fn names(view: &View, id: RegisterId, field: &Field) -> Option<Vec<u64>> {
    closed::names(field)?;
    let own = closed::possible(view, id, field)?;
    match view.register(id).migrate {
        Migrate::Saved { .. } => field.restored.clone(),
        _ => Some(own.into_iter().collect()),
    }
}

/// Bits that some guest can have set in the state of a register.
pub fn ones(view: &View, id: RegisterId) -> u64 {
    let register = view.register(id);
    let default = match register.migrate {
        Migrate::Saved { default, .. } => default | register.accepts,
        _ => 0,
    };
    let pending = view.injection.as_ref().and_then(|one| one.pending) == Some(id);
    let written = writable(register) & dead::written(register);
    register.reset
        | register.init.unwrap_or(0)
        | default
        | written
        | holdable(register)
        | injected(view, id)
        | if pending { u64::MAX } else { 0 }
}
