//! From an MSR's number to its register in constant time, whatever the number of registers.
//!
//! MSRs live in a few windows of 0x2000 numbers (from 0, 0x40000000, 0xc0000000, ...). One table holds the windows one
//! behind the other, each from its first listed MSR to its last; an entry is the register's slot and its index (bank, or
//! place in a range). Slots are an enumeration, so that the jump through them needs no check.

use super::names::camel;
use crate::model::{RegisterId, View};
use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};
use std::collections::BTreeMap;

const WINDOW_BITS: u32 = 13;

/// What a slot answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// The register.
    pub register: RegisterId,
    /// Of a banked register: the banks that have cells, so many that a mask bounds the index, or the others.
    pub part: Part,
}

/// See [`Slot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The whole register.
    Whole,
    /// Banks with cells; `index & mask` is in bounds.
    Cells,
    /// Banks without.
    NoCells,
}

impl Slot {
    /// The variant's name. No register's own name ends in an underscore and a word.
    pub fn name(&self, view: &View) -> Ident {
        let register = camel(&view.register(self.register).name);
        match self.part {
            Part::Whole => register,
            Part::Cells => format_ident!("{}_Stored", register),
            Part::NoCells => format_ident!("{}_Unstored", register),
        }
    }
}

/// The generated table and how to use it.
pub struct Table {
    /// A module with the slots and the table.
    pub items: TokenStream,
    /// Statements that, given `msr`, define `slot` and `index`; an MSR outside of every window leaves with `Unlisted`.
    pub locate: TokenStream,
    /// All slots but that for MSRs that are not listed, which is `Unlisted_`.
    pub slots: Vec<Slot>,
}

/// The slots of a view.
fn slots(view: &View) -> Vec<Slot> {
    let mut slots = Vec::new();
    for (register, what) in view.ids().filter(|(_, what)| !what.addresses.is_empty()) {
        let stored = view.cells(what);
        let limit = view.banks.as_ref().map_or(0, |banks| banks.limit as usize);
        let slot = |part| Slot { register, part };
        if what.banked && stored.is_power_of_two() && stored < limit {
            slots.extend([slot(Part::Cells), slot(Part::NoCells)]);
        } else {
            slots.push(slot(Part::Whole));
        }
    }
    slots
}

/// The table of a view.
pub fn table(view: &View) -> Table {
    let slots = slots(view);
    let entries = entries(view, &slots);
    let names: Vec<Ident> = slots.iter().map(|slot| slot.name(view)).collect();
    let longest = entries.values().map(|(_, index)| *index).max().unwrap_or(0);
    let index = if longest > 0xff {
        quote!(u16)
    } else {
        quote!(u8)
    };
    let mut cells = Vec::new();
    let mut places = Vec::new();
    for (first, last) in windows(&entries) {
        let (length, before) = (last - first + 1, cells.len());
        places.push(quote!(if msr.wrapping_sub(#first) < #length { msr.wrapping_sub(#first) as usize + #before }));
        cells.extend((first..=last).map(|msr| match entries.get(&msr) {
            Some((slot, index)) => {
                let (name, index) = (&names[*slot], Literal::u32_unsuffixed(*index));
                quote!((#name, #index))
            }
            None => quote!((Unlisted_, 0)),
        }));
    }
    let length = cells.len();
    let items = quote! {
        /// From an MSR's number to its register.
        #[allow(non_camel_case_types)]
        mod table {
            use Slot::*;
            /// What answers for an MSR.
            #[derive(Clone, Copy)]
            pub enum Slot { Unlisted_, #(#names),* }
            /// The windows of listed MSRs: slot, and bank or place in a range.
            pub static TABLE: [(Slot, #index); #length] = [#(#cells),*];
        }
    };
    let locate = quote! {
        let place = #(#places else)* { return Err(Refusal::Unlisted) };
        let Some(entry) = table::TABLE.get(place) else { return Err(Refusal::Unlisted) };
        let (slot, index) = (entry.0, entry.1 as usize);
    };
    Table {
        items,
        locate,
        slots,
    }
}

/// Every listed MSR: the place of its slot in `slots`, and its index.
fn entries(view: &View, slots: &[Slot]) -> BTreeMap<u32, (usize, u32)> {
    let mut entries = BTreeMap::new();
    for (register, what) in view.ids() {
        let cells = view.cells(what) as u32;
        for (msr, index) in what.addresses.iter().flat_map(|address| address.msrs()) {
            let is = |slot: &Slot| match slot.part {
                Part::Whole => slot.register == register,
                Part::Cells => slot.register == register && index < cells,
                Part::NoCells => slot.register == register && index >= cells,
            };
            if let Some(slot) = slots.iter().position(is) {
                entries.insert(msr, (slot, index));
            }
        }
    }
    entries
}

/// First and last listed MSR of each window, the fullest window first: it is asked first.
fn windows(entries: &BTreeMap<u32, (usize, u32)>) -> Vec<(u32, u32)> {
    let mut windows: BTreeMap<u32, (u32, u32, usize)> = BTreeMap::new();
    for msr in entries.keys() {
        let window = windows.entry(msr >> WINDOW_BITS).or_insert((*msr, *msr, 0));
        (window.1, window.2) = (*msr, window.2 + 1);
    }
    let mut windows: Vec<_> = windows.into_values().collect();
    windows.sort_by_key(|(_, _, listed)| std::cmp::Reverse(*listed));
    windows
        .into_iter()
        .map(|(first, last, _)| (first, last))
        .collect()
}
