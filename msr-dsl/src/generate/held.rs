//! Registers whose state the hypervisor sets and takes.

use super::fields::doc;
use super::names::{camel, snake};
use super::refused::refusals;
use crate::model::{Register, Scope, View};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

/// `Held`, and the methods of `State` that go by it; the same for what the guest's vCPUs share.
pub fn held(view: &View) -> TokenStream {
    let own = of(
        view,
        Scope::Vcpu,
        &format_ident!("Held"),
        &format_ident!("State"),
    );
    let shared = of(
        view,
        Scope::Guest,
        &format_ident!("GuestHeld"),
        &format_ident!("Guest"),
    );
    quote!(#own #shared)
}

/// An enumeration of the held registers of a scope, and the methods that go by it; nothing where no register is held.
fn of(view: &View, scope: Scope, list: &Ident, state: &Ident) -> TokenStream {
    let held = view.registers.iter().filter(|r| r.held && r.scope == scope);
    let held: Vec<&Register> = held.collect();
    if held.is_empty() {
        return TokenStream::new();
    }
    let names: Vec<_> = held.iter().map(|register| camel(&register.name)).collect();
    let cells: Vec<_> = held.iter().map(|register| snake(&register.name)).collect();
    let docs = held
        .iter()
        .map(|register| doc(&register.doc, &register.name));
    let holds = held
        .iter()
        .zip(&names)
        .zip(&cells)
        .map(|((register, name), cell)| {
            let refused = refusals(view, register, &quote!());
            let outside = refused.outside.map(|bits| quote!(#bits != 0));
            let any: Vec<TokenStream> = outside.into_iter().chain(refused.illegal).collect();
            let checked = (!any.is_empty()).then(|| quote!(if #(#any)||* { return false; }));
            quote!(#list::#name => { #checked self.#cell = word; })
        });
    let msrs: Vec<u32> = held
        .iter()
        .map(|register| {
            register
                .addresses
                .first()
                .map_or(0, |address| address.first)
        })
        .collect();
    quote! {
        /// A register whose state the hypervisor sets and takes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum #list { #(#docs #names,)* }

        impl #list {
            /// All of them, in the order of the spec.
            pub const ALL: &'static [Self] = &[#(Self::#names),*];

            /// The MSR's number.
            pub const fn msr(self) -> u32 {
                match self { #(Self::#names => #msrs,)* }
            }
        }

        impl #state {
            /// The state of a held register.
            #[inline]
            pub const fn held(&self, register: #list) -> u64 {
                match register { #(#list::#names => self.#cells,)* }
            }

            /// Sets the state of a held register. False: the spec excludes the value, as a restore would, and nothing changes.
            #[must_use]
            #[inline]
            pub const fn hold(&mut self, register: #list, value: u64) -> bool {
                let word = value;
                match register { #(#holds)* }
                true
            }
        }
    }
}
