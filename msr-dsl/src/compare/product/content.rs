//! What a condition is, whatever registers are called and in whatever order they stand.

use super::{Bit, INPUTS, Product, Truth, VALUE};
use crate::compare::content::Content;
use crate::compare::items::tag;
use crate::compare::symbols::Cell;

impl Product<'_> {
    /// The content of conditions on guests, states and a written value, each with what it is the condition of, as far as they are
    /// met. What the states are besides those that are asked for does not count.
    pub fn content(&mut self, met: &[(String, Truth)]) -> Content {
        let any: Vec<Truth> = met.iter().map(|(_, when)| *when).collect();
        let any = self.table.any(any);
        let asked = self.table.bits_of(any);
        let reached = self.reached;
        let near = self
            .table
            .exists(reached, &|bit| bit >= 64 && !asked.contains(&bit));
        let met = met.iter().map(|(said, when)| {
            let met = self.table.and(*when, near);
            (said.clone(), met)
        });
        let met: Vec<(String, Truth)> = met.collect();
        Content::of_truths(&self.table, &met, &|bit| self.name(bit))
    }

    /// `MCG_CAP` is one for all; a state is that of the register at an MSR.
    fn name(&self, bit: Bit) -> String {
        match self.owner(bit) {
            None => format!("capability {bit}"),
            Some((VALUE, bit)) => format!("value {bit}"),
            Some((slot, bit)) => match slot.checked_sub(INPUTS) {
                None => format!("input {slot} {bit}"),
                Some(slot) => {
                    let (side, cell) = self.cells[(slot / 2) as usize];
                    format!("state {side} {} {bit}", self.place(side, cell))
                }
            },
        }
    }

    /// The register's first MSR, or, of one that no access reaches, its tag; and the bank.
    fn place(&self, side: usize, cell: Cell) -> String {
        let register = self.sides[side].view.register(cell.register);
        let msrs = register.addresses.iter().flat_map(|address| address.msrs());
        let first = msrs.map(|(msr, _)| msr).min();
        match first {
            Some(msr) => format!("{msr:#x} {}", cell.bank),
            None => format!("item {:?} {}", tag(register), cell.bank),
        }
    }
}
