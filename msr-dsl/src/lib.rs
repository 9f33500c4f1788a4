//! The language, once: parse, check, model, interpret, generate.
//!
//! A spec file is exactly one `interface! { ... }`. [`compile`] takes the tokens inside the braces and gives the
//! checked [`model::Model`], from which [`interpret`] answers accesses and [`generate`] makes Rust. The macro and the
//! command line call the same functions, so they say the same about a spec, at the same line and column.

pub mod ast;
mod brackets;
mod check;
pub mod codes;
#[cfg(feature = "compare")]
pub mod compare;
/// Without the comparison of versions, what the checker decides conditions with.
#[cfg(not(feature = "compare"))]
#[allow(dead_code, reason = "the comparison needs more of it than the checker")]
mod compare {
    pub mod content;
    pub mod symbols;
    pub mod truth;
    pub mod word;
}
pub mod diagnostics;
#[cfg(feature = "cli")]
pub mod document;
pub mod format;
pub mod generate;
pub mod interpret;
pub mod manifest;
pub mod model;
mod parse;
pub mod source;
pub mod vectors;
pub mod words;

use diagnostics::{Diagnostic, Diagnostics};
use model::Model;
use proc_macro2::{Span, TokenStream};

/// What became of a spec.
#[derive(Debug)]
pub struct Outcome {
    /// The model; none if there are errors.
    pub model: Option<Model>,
    /// Errors and warnings, in the order of the source.
    pub diagnostics: Vec<Diagnostic>,
}

/// Compiles what stands between the braces of `interface! { ... }`. What is missing is reported at the last word, or, if
/// there is none, at `empty`. `manifest` is that of the released versions, if there are any.
pub fn compile(tokens: TokenStream, empty: Span, manifest: Option<&str>) -> Outcome {
    let end = tokens
        .clone()
        .into_iter()
        .last()
        .map_or(empty, |tree| tree.span());
    let mut diagnostics = Diagnostics::default();
    let model = match brackets::too_deep(&tokens) {
        Some(span) => {
            let help = "no spec needs so many brackets in each other: leave some out";
            let message = format!("{} ({} brackets)", diagnostics::TOO_DEEP, brackets::DEEPEST);
            diagnostics.add(&codes::OUT_OF_RANGE, span, message, help);
            None
        }
        None => {
            let spec = parse::parse(tokens, &mut diagnostics);
            check::check(&spec, end, manifest, &mut diagnostics)
        }
    };
    Outcome {
        model,
        diagnostics: diagnostics.into_sorted(),
    }
}
