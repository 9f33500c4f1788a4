//! A spec file as text: exactly one `interface! { ... }` and comments.

use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::{Outcome, compile};
use crate::{brackets, codes};
use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use std::path::Path;

/// Compiles a spec file, together with the manifest of its released versions that may stand beside it (`NAME.lock`).
///
/// # Errors
/// The spec or the manifest cannot be read.
pub fn compile_file(path: &Path) -> std::io::Result<(String, Outcome)> {
    let text = std::fs::read_to_string(path)?;
    let outcome = compile_locked(&text, manifest_of(path)?.as_deref());
    Ok((text, outcome))
}

/// The manifest beside a spec file, if there is one.
///
/// # Errors
/// It is there and cannot be read.
pub fn manifest_of(path: &Path) -> std::io::Result<Option<String>> {
    match std::fs::read_to_string(path.with_extension("lock")) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Compiles the text of a spec file.
pub fn compile_text(text: &str) -> Outcome {
    compile_locked(text, None)
}

/// Compiles the text of a spec file with the manifest of its released versions.
pub fn compile_locked(text: &str, manifest: Option<&str>) -> Outcome {
    let mut diagnostics = Diagnostics::default();
    let tokens = match text.parse::<TokenStream>() {
        Ok(tokens) => tokens,
        Err(error) => {
            match brackets::trouble(text) {
                Some(one) => diagnostics.add(
                    &codes::LEXICAL,
                    span_at(one.line, one.column),
                    one.message,
                    one.help,
                ),
                None => diagnostics.add(
                    &codes::LEXICAL,
                    error.span(),
                    "the text does not fall into words",
                    "a character here belongs to no word of the language (texts stand in double quotes)",
                ),
            }
            return Outcome {
                model: None,
                diagnostics: diagnostics.into_sorted(),
            };
        }
    };
    match body(tokens, &mut diagnostics) {
        Some(group) => {
            let mut outcome = compile(group.stream(), group.span_close(), manifest);
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

/// A span that starts at a place: that of a word which stands there in an otherwise empty text.
fn span_at(line: usize, column: usize) -> Span {
    let text = format!("{}{}x", "\n".repeat(line - 1), " ".repeat(column - 1));
    let tree = text
        .parse::<TokenStream>()
        .ok()
        .and_then(|tokens| tokens.into_iter().next());
    tree.map_or_else(Span::call_site, |tree| tree.span())
}

/// What else stands in the text besides `interface! { ... }`; nothing if the text is empty or does not fall into words.
pub fn surroundings(text: &str) -> Option<Diagnostic> {
    let tokens = text
        .parse::<TokenStream>()
        .ok()
        .filter(|tokens| !tokens.is_empty())?;
    let mut diagnostics = Diagnostics::default();
    body(tokens, &mut diagnostics);
    diagnostics.into_sorted().into_iter().next()
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

/// What a spec file says, word for word, if it has no mistakes in its words.
#[cfg(feature = "compare")]
pub(crate) fn syntax(text: &str) -> Option<crate::ast::Spec> {
    let tokens = text.parse::<TokenStream>().ok()?;
    let mut diagnostics = Diagnostics::default();
    let group = body(tokens, &mut diagnostics)?;
    let spec = crate::parse::parse(group.stream(), &mut diagnostics);
    (!diagnostics.has_errors()).then_some(spec)
}
