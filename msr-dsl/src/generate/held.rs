//! Registers whose state the hypervisor sets and takes.

use super::fields::doc;
use super::names::{camel, snake};
use crate::model::{Register, View};
use proc_macro2::TokenStream;
use quote::quote;

/// `Held`, and the methods of `State` that go by it; nothing where no register is held.
pub fn held(view: &View) -> TokenStream {
    let held: Vec<&Register> = view.registers.iter().filter(|r| r.held).collect();
    if held.is_empty() {
        return TokenStream::new();
    }
    let names: Vec<_> = held.iter().map(|register| camel(&register.name)).collect();
    let cells: Vec<_> = held.iter().map(|register| snake(&register.name)).collect();
    let docs = held
        .iter()
        .map(|register| doc(&register.doc, &register.name));
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
        pub enum Held { #(#docs #names,)* }

        impl Held {
            /// All of them, in the order of the spec.
            pub const ALL: &'static [Self] = &[#(Self::#names),*];

            /// The MSR's number.
            pub const fn msr(self) -> u32 {
                match self { #(Self::#names => #msrs,)* }
            }
        }

        impl State {
            /// The state of a held register.
            #[inline]
            pub const fn held(&self, register: Held) -> u64 {
                match register { #(Held::#names => self.#cells,)* }
            }

            /// Sets the state of a held register, unchecked.
            #[inline]
            pub const fn hold(&mut self, register: Held, value: u64) {
                match register { #(Held::#names => self.#cells = value,)* }
            }
        }
    }
}
