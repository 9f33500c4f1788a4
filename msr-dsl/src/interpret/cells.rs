//! The states of all registers, in one piece: a comparison makes thousands of guests.

use crate::model::{RegisterId, Scope, View};
use std::ops::{Index, IndexMut};

/// Per register its cells: one, one per bank that is stored, or none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cells {
    words: Vec<u64>,
    /// Where the cells of each register end; those of the next begin there.
    ends: Vec<u32>,
}

impl Cells {
    /// A new guest's.
    pub(super) fn new(view: &View) -> Self {
        let mut cells = Self {
            words: Vec::with_capacity(view.registers.len()),
            ends: Vec::with_capacity(view.registers.len()),
        };
        for register in &view.registers {
            let end = cells.words.len() + view.cells(register);
            cells.words.resize(end, register.reset);
            cells.ends.push(end as u32);
        }
        cells
    }

    fn of(&self, id: RegisterId) -> std::ops::Range<usize> {
        let start = match id.0 {
            0 => 0,
            at => self.ends[at - 1],
        };
        start as usize..self.ends[id.0] as usize
    }

    /// Takes over the state of all registers of a scope.
    pub(super) fn copy_scope(&mut self, view: &View, scope: Scope, from: &Self) {
        for (id, register) in view.ids() {
            if register.scope == scope {
                self[id].copy_from_slice(&from[id]);
            }
        }
    }
}

impl Index<RegisterId> for Cells {
    type Output = [u64];

    fn index(&self, id: RegisterId) -> &[u64] {
        &self.words[self.of(id)]
    }
}

impl IndexMut<RegisterId> for Cells {
    fn index_mut(&mut self, id: RegisterId) -> &mut [u64] {
        let own = self.of(id);
        &mut self.words[own]
    }
}
