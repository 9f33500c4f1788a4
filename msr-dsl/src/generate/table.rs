//! From an MSR's number to its register in constant time, whatever the number of registers.
//!
//! MSRs live in a few windows of 0x2000 numbers (from 0, 0x40000000, 0xc0000000, ...). Per window there is one table, from
//! the first listed MSR to the last; an entry holds the register's slot and its index (bank, or place in a range). The
//! slots fill a power of two, so that the jump through them needs no check.

use crate::model::{RegisterId, View};
use proc_macro2::{Literal, TokenStream};
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

/// The generated tables and how to use them.
pub struct Table {
    /// `static` items.
    pub items: TokenStream,
    /// Statements that, given `msr`, define `slot` and `index`; an MSR outside of every window leaves with `Unlisted`.
    pub locate: TokenStream,
    /// Slots from 1 on; 0 is "not listed".
    pub slots: Vec<Slot>,
}

/// The slots of a view.
fn slots(view: &View) -> Vec<Slot> {
    let mut slots = Vec::new();
    for (register, what) in view.ids().filter(|(_, what)| !what.addresses.is_empty()) {
        let stored = view.cells(what);
        let limit = view.banks.as_ref().map_or(0, |banks| banks.limit as usize);
        if what.banked && stored.is_power_of_two() && stored < limit {
            slots.extend([
                Slot {
                    register,
                    part: Part::Cells,
                },
                Slot {
                    register,
                    part: Part::NoCells,
                },
            ]);
        } else {
            slots.push(Slot {
                register,
                part: Part::Whole,
            });
        }
    }
    slots
}

/// The tables of a view.
pub fn table(view: &View) -> Table {
    let slots = slots(view);
    let mut entries: BTreeMap<u32, u64> = BTreeMap::new();
    let slot_of = |register: RegisterId, index: u32| {
        let cells = view.cells(view.register(register)) as u32;
        let is = |slot: &Slot| match slot.part {
            Part::Whole => slot.register == register,
            Part::Cells => slot.register == register && index < cells,
            Part::NoCells => slot.register == register && index >= cells,
        };
        slots.iter().position(is).map_or(0, |at| at as u64 + 1)
    };
    let longest = view
        .registers
        .iter()
        .flat_map(|r| &r.addresses)
        .map(|address| address.count)
        .max()
        .unwrap_or(0);
    let wide = slots.len() > 0xff || longest > 0x100;
    let shift = if wide { 16 } else { 8 };
    for (id, register) in view.ids() {
        for (msr, index) in register.addresses.iter().flat_map(|address| address.msrs()) {
            entries.insert(msr, slot_of(id, index) | u64::from(index) << shift);
        }
    }
    let mask = (slots.len() + 1).next_power_of_two() - 1;
    let entry = if wide { quote!(u32) } else { quote!(u16) };
    let mut items = TokenStream::new();
    let mut lookups = Vec::new();
    for (number, window) in windows(&entries).into_iter().enumerate() {
        let (first, last) = (window[0].0, window[window.len() - 1].0);
        let name = format_ident!("TABLE_{}", number);
        let cells = (first..=last)
            .map(|msr| Literal::u64_unsuffixed(entries.get(&msr).copied().unwrap_or(0)));
        let length = (last - first) as usize + 1;
        items.extend(quote!(static #name: [#entry; #length] = [#(#cells),*];));
        lookups.push(
            quote!(if let Some(entry) = #name.get(msr.wrapping_sub(#first) as usize) { *entry }),
        );
    }
    let lookup = quote!(#(#lookups else)* { return Err(Refusal::Unlisted) });
    let locate = quote! {
        let entry = #lookup;
        let slot = entry as usize & #mask;
        let index = (entry >> #shift) as usize;
        let _ = index;
    };
    Table {
        items,
        locate,
        slots,
    }
}

/// The listed MSRs by window, the fullest window first: it is asked first.
fn windows(entries: &BTreeMap<u32, u64>) -> Vec<Vec<(u32, u64)>> {
    let mut windows: BTreeMap<u32, Vec<(u32, u64)>> = BTreeMap::new();
    for (msr, entry) in entries {
        windows
            .entry(msr >> WINDOW_BITS)
            .or_default()
            .push((*msr, *entry));
    }
    let mut windows: Vec<_> = windows.into_values().collect();
    windows.sort_by_key(|window| std::cmp::Reverse(window.len()));
    windows
}
