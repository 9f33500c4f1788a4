//! A spec file as text: exactly one `interface! { ... }` and comments.

use crate::codes;
use crate::diagnostics::Diagnostics;
use crate::{Outcome, compile};
use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};

/// Compiles the text of a spec file.
pub fn compile_text(text: &str) -> Outcome {
    let mut diagnostics = Diagnostics::default();
    let tokens = match text.parse::<TokenStream>() {
        Ok(tokens) => tokens,
        Err(error) => {
            diagnostics.add(
                &codes::LEXICAL,
                error.span(),
                "the text does not fall into words and balanced brackets from here",
                "look for a missing or extra bracket, quote or comment end",
            );
            return Outcome {
                model: None,
                diagnostics: diagnostics.into_sorted(),
            };
        }
    };
    match body(tokens, &mut diagnostics) {
        Some(group) => {
            let mut outcome = compile(group.stream(), group.span_close());
            if diagnostics.has_errors() {
                outcome.model = None;
                outcome.diagnostics.extend(diagnostics.into_sorted());
            }
            outcome
        }
        None => Outcome {
            model: None,
            diagnostics: diagnostics.into_sorted(),
        },
    }
}

/// The one invocation; whatever else stands in the file is noted.
fn body(tokens: TokenStream, diagnostics: &mut Diagnostics) -> Option<Group> {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let start = trees
        .iter()
        .position(|tree| matches!(tree, TokenTree::Ident(ident) if ident == "interface"));
    let found = start.and_then(|start| match &trees[start..] {
        [_, TokenTree::Punct(bang), TokenTree::Group(group), ..]
            if bang.as_char() == '!' && group.delimiter() == Delimiter::Brace =>
        {
            Some((start, group.clone()))
        }
        _ => None,
    });
    let Some((start, group)) = found else {
        let span = trees.first().map_or_else(Span::call_site, TokenTree::span);
        diagnostics.add(
            &codes::NOT_ALONE,
            span,
            "the file is not `interface! { ... }`",
            "put the whole spec between `interface! {` and `}`",
        );
        return None;
    };
    let extra = trees[..start].first().or_else(|| trees.get(start + 3));
    if let Some(tree) = extra {
        diagnostics.add(
            &codes::NOT_ALONE,
            tree.span(),
            "something besides `interface! { ... }`",
            "a spec file is exactly that one invocation: move the rest elsewhere",
        );
    }
    Some(group)
}
