//! The state of one vCPU and the `Interface` of one version.

use super::expression::hex;
use super::names::snake;
use super::table::{Slot, Table};
use super::{fields, read, record, shared, write};
use crate::model::{BitRule, Offer, Read, Register, RegisterId, Scope, View, Write};
use proc_macro2::TokenStream;
use quote::quote;

/// `State` and what it implements.
pub fn state(view: &View, table: &Table) -> TokenStream {
    let stored = view
        .ids()
        .filter(|(_, one)| one.stored && one.scope == Scope::Vcpu);
    let stored: Vec<(RegisterId, &Register)> = stored.collect();
    let fields = stored.iter().map(|(_, register)| {
        let (name, ty) = (snake(&register.name), cell_type(view, register));
        quote!(#name: #ty,)
    });
    let born = stored.iter().map(|(_, register)| {
        let (name, value) = (
            snake(&register.name),
            cell_value(view, register, register.reset),
        );
        quote!(#name: #value,)
    });
    let accessors = view.ids().map(|(id, _)| read::accessors(view, id));
    let capability = capability(view);
    let doc = fields::lines(&format!(
        "What one vCPU has under version {} of `{}`.",
        view.version, view.name
    ));
    let interface = interface(view, &stored, table);
    quote! {
        #doc
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct State { #(#fields)* }

        impl State {
            /// A new guest's vCPU, with the features that every guest has.
            #[inline]
            pub const fn new() -> Self {
                Self { #(#born)* }
            }
            #capability
            #(#accessors)*
        }

        impl Default for State {
            fn default() -> Self {
                Self::new()
            }
        }

        #interface
    }
}

/// The type of a register's cells.
pub fn cell_type(view: &View, register: &Register) -> TokenStream {
    let cells = view.cells(register);
    if register.banked {
        quote!([u64; #cells])
    } else {
        quote!(u64)
    }
}

/// The cells with one value.
pub fn cell_value(view: &View, register: &Register, value: u64) -> TokenStream {
    let (cells, value) = (view.cells(register), hex(value));
    if register.banked {
        quote!([#value; #cells])
    } else {
        value
    }
}

fn capability(view: &View) -> TokenStream {
    let Some(id) = view.capability else {
        return TokenStream::new();
    };
    let name = snake(&view.register(id).name);
    quote! {
        /// The guest's capability word.
        pub const fn capability(&self) -> u64 {
            self.#name
        }

        /// The same guest with another capability word.
        #[must_use]
        pub const fn with_capability(mut self, capability: u64) -> Self {
            self.#name = capability;
            self
        }
    }
}

fn interface(view: &View, stored: &[(RegisterId, &Register)], table: &Table) -> TokenStream {
    let (name, version) = (&view.name, view.version);
    let arms = |arm: fn(&View, Slot) -> TokenStream| {
        let listed = table.slots.iter().map(move |slot| {
            let (name, arm) = (slot.name(view), arm(view, *slot));
            quote!(table::Slot::#name => #arm,)
        });
        quote!(#(#listed)* table::Slot::Unlisted_ => Err(Refusal::Unlisted),)
    };
    let (reads, writes, locate) = (arms(read::arm), arms(write::arm), &table.locate);
    let resets = resets(view, stored);
    let pass = pass_through(view);
    let features = features(view);
    let (record, helpers) = record::record(view, Scope::Vcpu);
    let extra = extra(view);
    let (of, guest, guest_mut, shared) = match view.is_shared() {
        true => (
            quote!(SharedInterface),
            quote!(, guest: &Guest),
            quote!(, guest: &mut Guest),
            quote!(
                type Guest = Guest;
            ),
        ),
        false => (quote!(Interface), quote!(), quote!(), quote!()),
    };
    quote! {
        #helpers

        impl #of for State {
            const NAME: &'static str = #name;
            const VERSION: u16 = #version;
            const PASS_THROUGH: &'static [::msr_runtime::PassThrough] = &[#(#pass),*];
            #features
            #extra
            #record
            type Hook = Hook;
            #shared

            fn create() -> Self {
                Self::new()
            }

            #[inline(always)]
            fn read(&self #guest, msr: u32) -> Result<u64, Refusal<Hook>> {
                #locate
                match slot {
                    #reads
                }
            }

            #[inline(always)]
            fn write(&mut self #guest_mut, msr: u32, value: u64) -> Result<(), Refusal<Hook>> {
                #locate
                match slot {
                    #writes
                }
            }

            fn reset(&mut self #guest_mut, reset: Reset) {
                #resets
            }
        }
    }
}

fn resets(view: &View, stored: &[(RegisterId, &Register)]) -> TokenStream {
    let resettable = || stored.iter().filter(|(id, _)| view.capability != Some(*id));
    let power_on = resettable().map(|(_, register)| {
        let (name, value) = (
            snake(&register.name),
            cell_value(view, register, register.reset),
        );
        quote!(self.#name = #value;)
    });
    let init = resettable().filter_map(|(_, register)| {
        let value = register.init?;
        let name = snake(&register.name);
        let sticky = sticky(register);
        let (sticky, fresh) = (hex(sticky), hex(value & !sticky));
        Some(if register.banked {
            quote!(for cell in &mut self.#name { *cell = (*cell & #sticky) | #fresh; })
        } else {
            quote!(self.#name = (self.#name & #sticky) | #fresh;)
        })
    });
    let shared = shared::init(view);
    quote! {
        match reset {
            Reset::PowerOn => { #(#power_on)* }
            Reset::Init => { #(#init)* #shared }
        }
    }
}

/// Bits that are kept over INIT.
pub fn sticky(register: &Register) -> u64 {
    register
        .fields
        .iter()
        .map(|field| (&field.write, field.mask()))
        .chain([(&register.reserved, register.reserved_mask)])
        .filter(|(rule, _)| matches!(rule, BitRule::Sticky))
        .fold(0, |all, (_, mask)| all | mask)
}

/// Ranges of MSRs whose reads or writes go to hardware; neighbours of one kind are one range.
fn pass_through(view: &View) -> Vec<TokenStream> {
    let mut msrs: Vec<(u32, bool, bool)> = Vec::new();
    for register in &view.registers {
        let (read, write) = (
            matches!(register.read, Read::Pass),
            matches!(register.write, Write::Pass),
        );
        if read || write {
            msrs.extend(
                register
                    .addresses
                    .iter()
                    .flat_map(|address| address.msrs())
                    .map(|(msr, _)| (msr, read, write)),
            );
        }
    }
    msrs.sort_unstable();
    let mut ranges: Vec<(u32, u32, bool, bool)> = Vec::new();
    for (msr, read, write) in msrs {
        match ranges.last_mut() {
            Some(last) if last.1 + 1 == msr && (last.2, last.3) == (read, write) => last.1 = msr,
            _ => ranges.push((msr, msr, read, write)),
        }
    }
    let range = |(first, last, read, write): &(u32, u32, bool, bool)| quote!(::msr_runtime::PassThrough { first: #first, last: #last, read: #read, write: #write });
    ranges.iter().map(range).collect()
}

fn features(view: &View) -> TokenStream {
    let list = view.features.iter().map(|feature| {
        let (name, bit) = (&feature.name, hex(1 << feature.bit));
        let default = feature.offer == Offer::Default;
        let requires = feature.requires.iter().map(|one_of| quote!(&[#(#one_of),*]));
        let host = match &feature.host {
            Some(host) => quote!(Some(#host)),
            None => quote!(None),
        };
        quote!(::msr_runtime::Feature { name: #name, bit: #bit, default: #default, requires: &[#(#requires),*], host: #host })
    });
    let with = match view.capability {
        Some(id) => {
            let name = snake(&view.register(id).name);
            quote! {
                fn capability_word(&self) -> u64 { self.#name }
                fn set_capability_word(&mut self, word: u64) { self.#name = word; }
            }
        }
        None => quote! {
            fn capability_word(&self) -> u64 { 0 }
            fn set_capability_word(&mut self, _word: u64) {}
        },
    };
    quote! {
        const FEATURES: &'static [::msr_runtime::Feature] = &[#(#list),*];
        #with
    }
}

/// What an administrator may name.
fn extra(view: &View) -> TokenStream {
    let limits = view.extra.as_ref();
    let most = limits.map_or(0, |limits| limits.most);
    let capability = hex(limits.map_or(0, |limits| limits.capability));
    let msrs = limits.map_or(&[][..], |limits| &limits.msrs);
    let windows = msrs.iter().map(|(first, last)| quote!((#first, #last)));
    quote! {
        const EXTRA: ::msr_runtime::ExtraLimits<'static> =
            ::msr_runtime::ExtraLimits { most: #most, msrs: &[#(#windows),*], capability: #capability };
    }
}
