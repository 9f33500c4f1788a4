//! State that all vCPUs of a guest share: `Guest`, beside the `State` of each vCPU.
//!
//! Where a version has none, nothing of this is generated, and accesses take the vCPU's state alone.

use super::expression::hex;
use super::names::snake;
use super::record::record;
use super::state::{cell_type, cell_value};
use crate::model::{Register, RegisterId, Scope, View};
use proc_macro2::TokenStream;
use quote::quote;

/// What holds the register's cells where an access is answered: the vCPU's state, or the guest's.
pub fn owner(register: &Register) -> TokenStream {
    match register.scope {
        Scope::Vcpu => quote!(self),
        Scope::Guest => quote!(guest),
    }
}

/// What a method of the vCPU's state takes too where what it shows of a register depends on what is shared.
pub fn borrowed(view: &View, id: RegisterId) -> Option<TokenStream> {
    needed(view, id).then(|| quote!(guest: &Guest))
}

/// What it is called with.
pub fn passed(view: &View, id: RegisterId) -> Option<TokenStream> {
    needed(view, id).then(|| quote!(guest))
}

fn needed(view: &View, id: RegisterId) -> bool {
    let shared = |id: &RegisterId| view.register(*id).scope == Scope::Guest;
    view.is_shared() && view.computed_from(vec![id]).iter().any(shared)
}

/// The registers with cells of a scope.
pub fn stored(view: &View, scope: Scope) -> Vec<&Register> {
    let stored = view.registers.iter().filter(|register| register.stored);
    stored.filter(|register| register.scope == scope).collect()
}

/// `Guest` and what it implements; nothing if no state is shared.
pub fn guest(view: &View) -> TokenStream {
    if !view.is_shared() {
        return TokenStream::new();
    }
    let registers = stored(view, Scope::Guest);
    let names: Vec<_> = registers.iter().map(|one| snake(&one.name)).collect();
    let types = registers.iter().map(|one| cell_type(view, one));
    let values = registers.iter().map(|one| cell_value(view, one, one.reset));
    let (record, helpers) = record(view, Scope::Guest);
    let doc = super::fields::lines(&format!(
        "What all vCPUs of a guest share under version {} of `{}`: one for each guest. The hypervisor sees to it that one vCPU \
         at a time has it to write.",
        view.version, view.name
    ));
    let (name, version) = (&view.name, view.version);
    quote! {
        #doc
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Guest { #(#names: #types,)* }

        impl Guest {
            /// That of a new guest.
            #[inline]
            pub const fn new() -> Self {
                Self { #(#names: #values,)* }
            }
        }

        impl Default for Guest {
            fn default() -> Self {
                Self::new()
            }
        }

        #helpers

        impl ::msr_runtime::SharedState for Guest {
            const NAME: &'static str = #name;
            const VERSION: u16 = #version;
            #record

            fn create() -> Self {
                Self::new()
            }
        }
    }
}

/// The statements by which an INIT of a vCPU changes what the guest's vCPUs share.
pub fn init(view: &View) -> TokenStream {
    let lines = stored(view, Scope::Guest).into_iter().filter_map(|one| {
        let (name, value) = (snake(&one.name), one.init?);
        let sticky = super::state::sticky(one);
        let (sticky, fresh) = (hex(sticky), hex(value & !sticky));
        Some(if one.banked {
            quote!(for cell in &mut guest.#name { *cell = (*cell & #sticky) | #fresh; })
        } else {
            quote!(guest.#name = (guest.#name & #sticky) | #fresh;)
        })
    });
    quote!(#(#lines)*)
}
