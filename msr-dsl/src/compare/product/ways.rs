//! The shortest way to what is asked for, as a user can walk it.

use super::{ERROR, FLAGS, INPUTS, Path, Product, VALUE};
use crate::compare::steps::{Injected, Step};
use crate::compare::truth::{Bit, Picked, Truth};

impl Product<'_> {
    /// The shortest way to a condition on states and a written value, with small values and little that is unusual.
    pub fn path(&mut self, condition: Truth) -> Option<Path> {
        let (path, states) = self.way(condition)?;
        match self.origin.is_some() {
            true => self.arrived(path, &states),
            false => Some(path),
        }
    }

    /// The same, and the states from which it starts.
    pub(super) fn way(&mut self, condition: Truth) -> Option<(Path, Vec<u64>)> {
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
    pub(super) fn way_to(&mut self, layer: usize, picked: &Picked) -> Option<(Path, Vec<u64>)> {
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
    pub(super) fn step_with(&self, transition: usize, picked: &Picked) -> Step {
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
    pub(super) fn picked(&self, condition: Truth) -> Option<Picked> {
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
    pub(super) fn state_is(
        &mut self,
        states: &[u64],
        capability: &[(Bit, bool)],
        cells: &[usize],
    ) -> Truth {
        let mut cube = Truth::YES;
        for bit in (0..64).rev() {
            for cell in cells.iter().rev() {
                if self.still[*cell] >> bit & 1 == 0 {
                    let at = self.at(self.slot(*cell), bit);
                    cube = self.literal(at, states[*cell] >> bit & 1 == 1, cube);
                }
            }
        }
        for (bit, set) in capability.iter().rev() {
            if self.guests.varies & 1 << bit != 0 {
                cube = self.literal(*bit, *set, cube);
            }
        }
        cube
    }

    pub(super) fn literal(&mut self, bit: Bit, set: bool, rest: Truth) -> Truth {
        let own = self.table.bit(bit);
        let own = if set { own } else { self.table.not(own) };
        self.table.and(own, rest)
    }
}

pub(super) fn capability_cube(word: u64) -> Vec<(Bit, bool)> {
    (0..64).map(|bit| (bit, word >> bit & 1 == 1)).collect()
}
