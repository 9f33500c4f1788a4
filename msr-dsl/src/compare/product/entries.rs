//! Ways into a difference: what happens where both sides are alike in some bit, and not any more.

use super::{Bit, INPUTS, Path, Product, Step, Truth, VALUE};
use crate::compare::groups::own;
use crate::compare::word::Word;

/// Which ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Those by which the bit changes on this side alone.
    Changes(usize),
    /// The same, to what was written there.
    Takes(usize),
    /// The same, to the opposite of what was written there.
    Turns(usize),
    /// Those after which the bit is so on the old side.
    Gives(bool),
}

/// Bits that are alike before a step and differ after it.
pub struct Sought<'w> {
    /// What of the two sides is looked at.
    pub words: &'w [Word; 2],
    /// The bits.
    pub bits: u64,
    /// Where it is looked at, after the step.
    pub when: Truth,
    /// Where the state behind a bit differs before the step already, though nothing shows it there: what made that differ is another
    /// step, and this one only shows it.
    pub unlike: &'w Word,
}

impl Product<'_> {
    /// The states of the registers at an MSR that both sides keep differ in these bits.
    pub fn unlike(&mut self, msr: u32) -> Word {
        let state = |side: usize| {
            let (id, index) = *self.sides[side].places.get(&msr)?;
            let cell = own(self.sides[side].view, id, index)?;
            self.sides[side].cells.get(&cell).copied()
        };
        match [state(0), state(1)] {
            [Some(old), Some(new)] => {
                std::array::from_fn(|bit| self.table.differ(old[bit], new[bit]))
            }
            _ => [Truth::NO; 64],
        }
    }

    /// What can happen, each by its number: the write that stands for all writes of its MSR, ...
    pub fn steps(&self) -> impl Iterator<Item = (usize, &Step)> {
        let all = self.transitions.iter().enumerate();
        all.map(|(at, transition)| (at, &transition.step))
    }

    /// The shortest path that ends with a step by which some of the bits come to differ; as many of them as can at once.
    pub fn path_into(&mut self, step: usize, way: Way, sought: &Sought) -> Option<Path> {
        let Sought { words, bits, .. } = sought;
        let after = self.after(sought.when, step);
        let taken = self.table.and(after, self.transitions[step].relation);
        let mut into: Vec<(usize, Truth)> = Vec::new();
        for bit in (0..64).filter(|bit| *bits >> bit & 1 == 1) {
            let own = self.enters(step, way, bit, words.each_ref().map(|word| word[bit]));
            let own = self.table.and(own, taken);
            let own = self.table.less(own, sought.unlike[bit]);
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
    fn enters(&mut self, step: usize, way: Way, bit: usize, before: [Truth; 2]) -> Truth {
        let written = self.at(VALUE, bit);
        let after = before.map(|one| self.after(one, step));
        let table = &mut self.table;
        let alike = table.same(before[0], before[1]);
        let unlike = table.differ(after[0], after[1]);
        let wanted = match way {
            Way::Changes(side) => table.differ(before[side], after[side]),
            Way::Takes(side) | Way::Turns(side) => {
                let changes = table.differ(before[side], after[side]);
                let written = table.bit(written);
                let other = table.differ(after[side], written);
                match way {
                    Way::Takes(_) => table.less(changes, other),
                    _ => table.and(changes, other),
                }
            }
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
