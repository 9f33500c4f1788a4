//! The `interface!` macro: an MSR spec as Rust.
//!
//! A thin front: parsing, checking and generating are those of `msr-dsl`, so that `msr check` says the same, at the same
//! line and column.

use msr_dsl::Outcome;
use msr_dsl::diagnostics::{Diagnostic, Severity};
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};

/// A spec: one interface over its whole life. Gives a module per version, with the state of one vCPU.
#[proc_macro]
pub fn interface(tokens: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let tokens = TokenStream::from(tokens);
    let end = tokens
        .clone()
        .into_iter()
        .last()
        .map_or_else(Span::call_site, |tree| tree.span());
    let Outcome { model, diagnostics } = msr_dsl::compile(tokens, end);
    let mut out = TokenStream::new();
    let errors = || {
        diagnostics
            .iter()
            .filter(|one| one.severity() == Severity::Error)
    };
    for diagnostic in errors() {
        out.extend(compile_error(diagnostic));
    }
    if let Some(model) = model.filter(|_| errors().next().is_none()) {
        out.extend(msr_dsl::generate::generate(&model));
    }
    out.into()
}

/// `compile_error!("text")`, whose tokens lie over the place.
fn compile_error(diagnostic: &Diagnostic) -> TokenStream {
    let (text, span) = (diagnostic.text(), diagnostic.span);
    let path = quote_spanned!(span=> ::core::compile_error!);
    let text = quote_spanned!(span=> { #text });
    quote!(#path #text)
}
