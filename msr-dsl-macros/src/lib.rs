//! The `interface!` macro: an MSR spec as Rust.
//!
//! A thin front: parsing, checking and generating are those of `msr-dsl`, so that `msr check` says the same, at the same
//! line and column.

use msr_dsl::Outcome;
use msr_dsl::diagnostics::{Diagnostic, Severity};
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use std::path::Path;

/// A spec: one interface over its whole life. Gives a module per version, with the state of one vCPU.
#[proc_macro]
pub fn interface(tokens: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let tokens = TokenStream::from(tokens);
    let spec = proc_macro::Span::call_site()
        .local_file()
        .filter(|path| path.extension().is_some_and(|e| e == "msr"));
    let manifest = spec.as_deref().map(msr_dsl::source::manifest_of);
    let mut out = surroundings(spec.as_deref());
    let manifest = match manifest {
        Some(Err(error)) => {
            let text = format!("the manifest of released versions cannot be read: {error}");
            out.extend(quote!(::core::compile_error!(#text);));
            None
        }
        Some(Ok(Some(text))) => {
            out.extend(tracked(spec.as_deref()));
            Some(text)
        }
        _ => None,
    };
    let Outcome { model, diagnostics } =
        msr_dsl::compile(tokens, Span::call_site(), manifest.as_deref());
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

/// A change of the manifest triggers a build, and so does its loss: rustc misses a file that it had read. A clean build takes a spec
/// without one as a spec of which nothing is released.
fn tracked(spec: Option<&Path>) -> TokenStream {
    let name = spec.and_then(|path| {
        path.with_extension("lock")
            .file_name()?
            .to_str()
            .map(str::to_owned)
    });
    let Some(name) = name else {
        return TokenStream::new();
    };
    quote!(
        const _: &[u8] = ::core::include_bytes!(#name);
    )
}

/// `include!` compiles whatever stands in a spec file besides the invocation: the language refuses it.
fn surroundings(spec: Option<&Path>) -> TokenStream {
    let text = spec
        .and_then(|path| std::fs::read_to_string(path).ok())
        .unwrap_or_default();
    let Some(found) = msr_dsl::source::surroundings(&text) else {
        return TokenStream::new();
    };
    compile_error(&Diagnostic {
        span: Span::call_site(),
        ..found
    })
}

/// `compile_error!("text")`, whose tokens lie over the place.
fn compile_error(diagnostic: &Diagnostic) -> TokenStream {
    let (text, span) = (diagnostic.text(), diagnostic.span);
    let path = quote_spanned!(span=> ::core::compile_error!);
    let text = quote_spanned!(span=> { #text });
    quote!(#path #text)
}
