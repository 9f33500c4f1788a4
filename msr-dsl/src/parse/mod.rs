//! From tokens to the syntax tree. A mistake in one statement does not hide those in the next.

mod bits;
mod expression;
mod field;
mod injection;
mod interface;
mod register;
mod words;

use crate::ast::{Lost, Said, Spec, Versions};
use crate::diagnostics::Diagnostics;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::buffer::Cursor;
use syn::parse::{ParseStream, Parser};
use syn::{Token, token};
use words::{doc, peek, unknown};

const ITEMS: &[&str] = &[
    "interface",
    "feature",
    "hook",
    "register",
    "bank",
    "hidden",
    "injection",
    "removed",
];

/// Reads the body of `interface! { ... }`.
pub fn parse(tokens: TokenStream, diagnostics: &mut Diagnostics) -> Spec {
    let mut spec = Spec::default();
    let parser = |input: ParseStream| {
        items(input, &mut spec, diagnostics);
        Ok(())
    };
    let rest = parser.parse2(tokens);
    // A block left half-read by a mistake makes syn complain again at the end: one mistake, one error.
    if let Err(error) = rest
        && !diagnostics.has_errors()
    {
        diagnostics.add_syntax(&error);
    }
    spec
}

fn items(input: ParseStream, spec: &mut Spec, diagnostics: &mut Diagnostics) {
    while !input.is_empty() {
        if let Err(error) = item(input, spec, diagnostics) {
            diagnostics.add_syntax(&error);
            skip_item(input);
        }
    }
}

fn item(input: ParseStream, spec: &mut Spec, diagnostics: &mut Diagnostics) -> syn::Result<()> {
    let doc = doc(input)?;
    if peek(input, "interface") {
        spec.interfaces
            .push(interface::interface(input, doc, diagnostics)?);
    } else if peek(input, "feature") {
        spec.features
            .push(interface::feature(input, doc, diagnostics)?);
    } else if peek(input, "hook") {
        spec.hooks.push(interface::hook(input, doc)?);
    } else if ["register", "bank", "hidden"]
        .iter()
        .any(|word| peek(input, word))
    {
        spec.registers
            .push(register::register(input, doc, diagnostics)?);
    } else if peek(input, "injection") {
        spec.injections
            .push(injection::injection(input, diagnostics)?);
    } else if peek(input, "removed") {
        spec.removed.push(interface::removed(input)?);
    } else {
        return Err(unknown(input, "item", ITEMS));
    }
    Ok(())
}

/// Reads `{ statement ... }`; an `in VERSIONS { ... }` block inside gives its statements their versions.
pub(super) fn block<T>(
    input: ParseStream,
    diagnostics: &mut Diagnostics,
    statement: &mut dyn FnMut(ParseStream, &mut Diagnostics) -> syn::Result<T>,
) -> syn::Result<Vec<Said<T>>> {
    let content;
    syn::braced!(content in input);
    let mut said = Vec::new();
    statements(&content, diagnostics, None, statement, &mut said);
    Ok(said)
}

fn statements<T>(
    input: ParseStream,
    diagnostics: &mut Diagnostics,
    versions: Option<Versions>,
    statement: &mut dyn FnMut(ParseStream, &mut Diagnostics) -> syn::Result<T>,
    said: &mut Vec<Said<T>>,
) {
    while !input.is_empty() {
        let span = input.span();
        let mut one = || -> syn::Result<()> {
            if peek(input, "in") {
                if versions.is_some() {
                    return Err(words::error(
                        span,
                        "an `in` block inside an `in` block",
                        "name the versions once",
                    ));
                }
                let inner = words::versions(input)?;
                let content;
                syn::braced!(content in input);
                statements(&content, diagnostics, Some(inner), statement, said);
                return Ok(());
            }
            let what = statement(input, diagnostics)?;
            said.push(Said {
                what,
                span,
                versions,
            });
            Ok(())
        };
        if let Err(error) = one() {
            diagnostics.add_syntax(&error);
            skip_statement(input);
        }
    }
}

/// Takes a statement. A mistake in it is noted, and a poisoned one stands in its place, so that the rest can be checked.
pub(super) fn contained<T>(
    input: ParseStream,
    diagnostics: &mut Diagnostics,
    known: &[&str],
    poisoned: impl FnOnce(Lost) -> T,
    statement: impl FnOnce(ParseStream, &mut Diagnostics) -> syn::Result<T>,
) -> T {
    let start = input.cursor();
    statement(input, diagnostics).unwrap_or_else(|error| {
        diagnostics.add_contained(&error);
        skip_statement(input);
        poisoned(lost(start, input.cursor(), known))
    })
}

/// What may stand between two places. Where a `;` is missing, that is more than one statement.
fn lost(start: Cursor, end: Cursor, known: &[&str]) -> Lost {
    let first = start.ident().map(|(word, _)| word.to_string());
    let (mut words, mut field, mut at) = (Vec::new(), first.is_none(), start);
    let mut unknown = first.is_some_and(|word| !known.contains(&word.as_str()));
    while at != end
        && let Some((tree, next)) = at.token_tree()
    {
        match tree {
            TokenTree::Ident(word) => words.push(word.to_string()),
            TokenTree::Group(group) => {
                let block = group.delimiter() == Delimiter::Brace;
                field |= block || group.delimiter() == Delimiter::Bracket;
                unknown |= block;
            }
            _ => {}
        }
        at = next;
    }
    Lost {
        words: if unknown { None } else { Some(words) },
        field,
    }
}

/// The `;` at the end of a statement.
pub(super) fn semicolon(input: ParseStream) -> syn::Result<()> {
    if input.peek(Token![;]) {
        input.parse::<Token![;]>()?;
        return Ok(());
    }
    let found = if input.is_empty() {
        "the end of the block".to_owned()
    } else {
        format!("`{}`", next_text(input))
    };
    Err(words::error(
        input.span(),
        format!("expected `;`, found {found}"),
        "end the statement with `;`",
    ))
}

fn next_text(input: ParseStream) -> String {
    match input.cursor().token_tree() {
        Some((TokenTree::Group(_), _)) => "{".to_owned(),
        Some((tree, _)) => tree.to_string(),
        None => String::new(),
    }
}

/// After a mistake: on to what follows the next `;` or block.
fn skip_statement(input: ParseStream) {
    while !input.is_empty() {
        if input.peek(Token![;]) {
            let _ = input.parse::<Token![;]>();
            return;
        }
        let block = input.peek(token::Brace);
        let _ = input.parse::<TokenTree>();
        if block {
            // That of an enumeration has one.
            let _ = input.parse::<Option<Token![;]>>();
            return;
        }
    }
}

/// After a mistake outside a block: on to the next item.
fn skip_item(input: ParseStream) {
    loop {
        skip_statement(input);
        if input.is_empty() || input.peek(Token![#]) || ITEMS.iter().any(|item| peek(input, item)) {
            return;
        }
    }
}
