//! From an MSR's number to its register in constant time: two tables of small numbers, whatever the number of registers.
//!
//! MSRs live in a few windows of 0x2000 (0, 0x40000000, 0xc0000000, ...). The first table has an entry per 32 MSRs of a
//! window, which names a page of the second; the page has, per MSR, the register's slot and its index (bank or place).

use crate::model::View;
use proc_macro2::{Literal, TokenStream};
use quote::quote;
use std::collections::{BTreeMap, HashMap};

const WINDOW_BITS: u32 = 13;
const PAGE_BITS: u32 = 5;
const PAGES_PER_WINDOW: usize = 1 << (WINDOW_BITS - PAGE_BITS);
const PAGE: usize = 1 << PAGE_BITS;

/// The generated tables and how to use them.
pub struct Table {
    /// `static` items.
    pub items: TokenStream,
    /// Statements that, given `msr`, define `slot` and `index`; an MSR outside of every window leaves with `Unlisted`.
    pub locate: TokenStream,
}

/// Slots are the registers' numbers plus one; 0 is "not listed".
pub fn table(view: &View) -> Table {
    let mut entries: BTreeMap<u32, (usize, u32)> = BTreeMap::new();
    for (id, register) in view.ids() {
        for address in &register.addresses {
            entries.extend(address.msrs().map(|(msr, index)| (msr, (id.0 + 1, index))));
        }
    }
    let wide = entries
        .values()
        .any(|(slot, index)| *slot > 0xff || *index > 0xff);
    let mut windows: Vec<u32> = entries.keys().map(|msr| msr >> WINDOW_BITS).collect();
    windows.dedup();
    if windows.is_empty() {
        windows.push(0);
    }
    let (directory, pages) = pages(&entries, &windows);
    let page_count = pages.len().next_power_of_two();
    let empty = [(0usize, 0u32); PAGE];
    let rows = (0..page_count).map(|i| {
        let page = pages.get(i).unwrap_or(&empty);
        let cells = page.iter().map(|(slot, index)| {
            let entry = if wide {
                *slot as u64 | u64::from(*index) << 16
            } else {
                *slot as u64 | u64::from(*index) << 8
            };
            Literal::u64_unsuffixed(entry)
        });
        quote!([#(#cells),*])
    });
    let number = if page_count > 0x100 {
        quote!(u16)
    } else {
        quote!(u8)
    };
    let entry = if wide { quote!(u32) } else { quote!(u16) };
    let directory_rows = directory.iter().map(|row| {
        let cells = row.iter().map(|page| Literal::usize_unsuffixed(*page));
        quote!([#(#cells),*])
    });
    let (window_count, last_page) = (windows.len(), page_count - 1);
    let items = quote! {
        static DIRECTORY: [[#number; #PAGES_PER_WINDOW]; #window_count] = [#(#directory_rows),*];
        static PAGES: [[#entry; #PAGE]; #page_count] = [#(#rows),*];
    };
    let arms = windows
        .iter()
        .enumerate()
        .map(|(i, window)| quote!(#window => &DIRECTORY[#i],));
    let split = if wide {
        quote!(let slot = entry as u16; let index = (entry >> 16) as usize;)
    } else {
        quote!(let slot = entry as u8; let index = (entry >> 8) as usize;)
    };
    let (page_mask, directory_mask) = (PAGE - 1, PAGES_PER_WINDOW - 1);
    let locate = quote! {
        let directory = match msr >> #WINDOW_BITS {
            #(#arms)*
            _ => return Err(Refusal::Unlisted),
        };
        let page = directory[(msr >> #PAGE_BITS) as usize & #directory_mask] as usize & #last_page;
        let entry = PAGES[page][msr as usize & #page_mask];
        #split
        let _ = index;
    };
    Table { items, locate }
}

type Page = [(usize, u32); PAGE];

/// Page 0 is empty; equal pages are kept once.
fn pages(entries: &BTreeMap<u32, (usize, u32)>, windows: &[u32]) -> (Vec<Vec<usize>>, Vec<Page>) {
    let mut pages: Vec<Page> = vec![[(0, 0); PAGE]];
    let mut known: HashMap<Page, usize> = HashMap::from([(pages[0], 0)]);
    let mut directory = Vec::new();
    for window in windows {
        let mut row = Vec::new();
        for page in 0..PAGES_PER_WINDOW as u32 {
            let base = window << WINDOW_BITS | page << PAGE_BITS;
            let mut content: Page = [(0, 0); PAGE];
            for (msr, entry) in entries.range(base..=base + (PAGE as u32 - 1)) {
                content[(msr - base) as usize] = *entry;
            }
            let number = *known.entry(content).or_insert_with(|| {
                pages.push(content);
                pages.len() - 1
            });
            row.push(number);
        }
        directory.push(row);
    }
    (directory, pages)
}
