//! Ways into a difference: what happens where both sides are alike in some bit, and not any more.

use super::{Bit, INPUTS, Path, Product, Step, Truth};
use crate::compare::word::Word;

/// Which ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Those by which the bit changes on this side alone.
    Changes(usize),
    /// Those after which the bit is so on the old side.
    Gives(bool),
}

impl Product<'_> {
    /// What can happen, each by its number: the write that stands for all writes of its MSR, ...
    pub fn steps(&self) -> impl Iterator<Item = (usize, &Step)> {
        let all = self.transitions.iter().enumerate();
        all.map(|(at, transition)| (at, &transition.step))
    }

    /// The shortest path that ends with a step by which some of these bits of two words, which are alike before, differ where `when`
    /// holds; as many of them as can at once.
    pub fn path_into(
        &mut self,
        step: usize,
        way: Way,
        words: &[Word; 2],
        bits: u64,
        when: Truth,
    ) -> Option<Path> {
        let after = self.after(when, step);
        let taken = self.table.and(after, self.transitions[step].relation);
        let mut into: Vec<(usize, Truth)> = Vec::new();
        for bit in (0..64).filter(|bit| bits >> bit & 1 == 1) {
            let own = self.enters(step, way, words.each_ref().map(|word| word[bit]));
            let own = self.table.and(own, taken);
            if let Some(layer) = self.met(own) {
                into.push((layer, own));
            }
        }
        let layer = into.iter().map(|(layer, _)| *layer).min()?;
        let own = into.iter().filter(|(own, _)| *own == layer);
        let own: Vec<((), Truth)> = own.map(|(_, own)| ((), *own)).collect();
        let (together, _) = self.table.join(self.layers[layer], &own);
        self.path_of(step, layer, together)
    }

    /// Where a step makes two truths differ that are alike before it.
    fn enters(&mut self, step: usize, way: Way, before: [Truth; 2]) -> Truth {
        let after = before.map(|one| self.after(one, step));
        let table = &mut self.table;
        let alike = table.same(before[0], before[1]);
        let unlike = table.differ(after[0], after[1]);
        let wanted = match way {
            Way::Changes(side) => table.differ(before[side], after[side]),
            Way::Gives(true) => after[0],
            Way::Gives(false) => table.not(after[0]),
        };
        let enters = table.and(alike, unlike);
        table.and(enters, wanted)
    }

    /// A condition on the states after a step, as one on what is before and after it.
    fn after(&mut self, condition: Truth, step: usize) -> Truth {
        let (width, changed) = (self.width(), self.transitions[step].changed.clone());
        let is_changed = |slot: u32| (changed.iter()).any(|cell| INPUTS + 2 * *cell as u32 == slot);
        let rename = |bit: Bit| match bit.checked_sub(64).map(|at| at % width) {
            Some(slot) if is_changed(slot) => bit + 1,
            _ => bit,
        };
        self.table.exists_then(condition, &|_| false, &rename)
    }

    /// A path whose last step is this one, taken from a layer as the condition on what is before and after it has it.
    fn path_of(&mut self, step: usize, layer: usize, mut target: Truth) -> Option<Path> {
        let usual = self.table.and(target, self.usual);
        if usual != Truth::NO {
            target = usual;
        }
        let picked = self.picked(target)?;
        let last = self.step_with(step, &picked);
        let (mut path, states) = self.way_to(layer, &picked)?;
        path.steps.push(last);
        path.value = 0;
        match self.origin.is_some() {
            true => self.arrived(path, &states),
            false => Some(path),
        }
    }
}
