//! From the model to Rust: a module per version with its registers' types, its state, and the runtime's traits.
//!
//! The generated code is `no_std`, allocates nothing, has no `unsafe` and cannot panic. It names the runtime as
//! `::msr_runtime`.

mod expression;
mod fields;
mod held;
mod injection;
pub(crate) mod names;
mod read;
mod record;
mod refused;
mod shared;
mod state;
mod table;
mod write;

use crate::model::{BitRule, Model, Register, View, Write};
use names::camel;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};

/// The Rust for a whole spec.
pub fn generate(model: &Model) -> TokenStream {
    let name = &model.name;
    let versions = versions(model);
    let list = list(model, &versions);
    let modules = model
        .views
        .iter()
        .filter(|view| !view.restore_only)
        .map(version);
    quote! {
        /// The interface's name.
        pub const NAME: &str = #name;
        /// Versions under which a guest can run, oldest first.
        pub const VERSIONS: &[u16] = &[#(#versions),*];
        #list
        #(#modules)*
    }
}

/// A macro that hands the versions to another one, so that a choice among versions follows the spec:
/// `versions! { next { DONE } module { REST } }` is `next! { { DONE module { Name2 = v2, ... } } REST }`.
fn list(model: &Model, versions: &[u16]) -> TokenStream {
    let list: TokenStream = list_text(model, versions).parse().unwrap_or_default();
    quote! {
        #[allow(unused_macros)]
        #list
        #[allow(unused_imports)]
        pub(crate) use versions;
    }
}

/// The name of that macro.
pub const LIST: &str = "versions";

/// That macro as people write it: what lays Rust out leaves the bodies of macros as they come.
pub fn list_text(model: &Model, versions: &[u16]) -> String {
    let one = |version: &u16| {
        let variant = camel(&format!("{}_{version}", model.name.replace('-', "_")));
        format!("                    {variant} = v{version},\n")
    };
    let all: String = versions.iter().map(one).collect();
    format!(
        "macro_rules! {LIST} {{
    ($next:ident {{ $($done:tt)* }} $module:ident {{ $($rest:tt)* }}) => {{
        $next! {{
            {{
                $($done)*
                $module {{
{all}                }}
            }}
            $($rest)*
        }}
    }};
}}"
    )
}

/// Versions under which a guest can run, oldest first.
pub fn versions(model: &Model) -> Vec<u16> {
    let views = model.views.iter().filter(|view| !view.restore_only);
    views.map(|view| view.version).collect()
}

fn version(view: &View) -> TokenStream {
    let module = format_ident!("v{}", view.version);
    let doc = fields::lines(&format!("Version {}: {}", view.version, view.text));
    let types = view.registers.iter().map(fields::types);
    let hook = hook(view);
    let table = table::table(view);
    let items = &table.items;
    let state = state::state(view, &table);
    let injection = injection::injection(view);
    let held = held::held(view);
    let guest = shared::guest(view);
    let interface = match view.is_shared() {
        true => quote!(SharedInterface),
        false => quote!(Interface),
    };
    quote! {
        #doc
        #[allow(clippy::all, unreachable_code, unused_variables, unused_parens, unused_mut, dead_code, missing_docs, non_snake_case)]
        pub mod #module {
            use ::msr_runtime::{#interface, Refusal, Reset};
            #(#types)*
            #hook
            #items
            #guest
            #state
            #injection
            #held
        }
    }
}

fn hook(view: &View) -> TokenStream {
    if view.hooks.is_empty() {
        return quote! {
            /// This version has no hooks.
            pub use ::core::convert::Infallible as Hook;
        };
    }
    let variants = view.hooks.iter().map(|hook| {
        let name = camel(&hook.name);
        let doc = fields::doc(&hook.doc, &hook.name);
        let arguments = hook.arguments.iter().map(|argument| match argument {
            crate::model::Argument::Value => quote!(/** The value written. */ value: u64),
            crate::model::Argument::Msr => quote!(/** The MSR's number. */ msr: u32),
            crate::model::Argument::Index => {
                quote!(/** Bank, or place in the register's range. */ index: u32)
            }
        });
        if hook.arguments.is_empty() {
            quote!(#doc #name,)
        } else {
            quote!(#doc #name { #(#arguments),* },)
        }
    });
    quote! {
        /// Accesses for which the hypervisor has to act.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Hook { #(#variants)* }
    }
}

/// The register's bits that a write can change.
fn writable(register: &Register) -> u64 {
    if !matches!(register.write, Write::Bits(_)) {
        return 0;
    }
    let of = |rule: &BitRule, mask: u64| if rule.changes() { mask } else { 0 };
    let fields = register
        .fields
        .iter()
        .map(|field| of(&field.write, field.mask()));
    fields.fold(
        of(&register.reserved, register.reserved_mask),
        |all, mask| all | mask,
    )
}
