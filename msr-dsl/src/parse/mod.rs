//! From tokens to the syntax tree. A mistake in one statement does not hide those in the next.

mod bits;
mod expression;
mod extra;
mod field;
mod injection;
mod interface;
mod register;
mod words;

use crate::ast::{Lost, Said, Spec, Versions};
use crate::diagnostics::Diagnostics;
use crate::words::closest;
use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
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

/// Reads the body of `interface! { ... }`. Of what has a mistake in its words the tree holds what could be read, and what
/// was lost, so that the rest can be checked.
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
        let start = input.cursor();
        match item(input, spec, diagnostics) {
            Ok(Read::Whole) => {}
            Ok(Read::Part) => lose(spec, start, input.cursor()),
            Err(error) => {
                diagnostics.add_syntax(&error);
                skip_item(input);
                lose(spec, start, input.cursor());
            }
        }
    }
}

/// The words between two places, blocks aside, may have named something.
fn lose(spec: &mut Spec, start: Cursor, end: Cursor) {
    spec.lost_item = true;
    let mut at = start;
    while at != end
        && let Some((tree, next)) = at.token_tree()
    {
        if let TokenTree::Ident(word) = tree {
            spec.lost.push(word.to_string());
        }
        at = next;
    }
}

/// Whether an item is in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    Whole,
    Part,
}

impl From<bool> for Read {
    fn from(whole: bool) -> Self {
        if whole { Self::Whole } else { Self::Part }
    }
}

fn item(input: ParseStream, spec: &mut Spec, diagnostics: &mut Diagnostics) -> syn::Result<Read> {
    let doc = doc(input)?;
    let (kind, span) = first_word(input, diagnostics)?;
    let item = match kind {
        "interface" => {
            let interface = interface::interface(input, doc, span, diagnostics);
            spec.interfaces.push(interface);
            return Ok(Read::Whole);
        }
        "feature" => interface::feature(input, doc, diagnostics).map(|one| spec.features.push(one)),
        "hook" => interface::hook(input, doc, diagnostics).map(|one| spec.hooks.push(one)),
        "injection" => {
            let injection = injection::injection(input, span, diagnostics);
            spec.injections.push(injection);
            return Ok(Read::Whole);
        }
        "removed" => interface::removed(input, span, diagnostics).map(|one| spec.removed.push(one)),
        _ => register::register(input, kind, doc, diagnostics).map(|one| spec.registers.push(one)),
    };
    Ok(item.is_some().into())
}

/// The word with which an item begins. One that is nearly right is noted and taken as what it is meant to be.
fn first_word(
    input: ParseStream,
    diagnostics: &mut Diagnostics,
) -> syn::Result<(&'static str, Span)> {
    let error = unknown(input, "item", ITEMS);
    let (ident, _) = input.cursor().ident().ok_or(error.clone())?;
    let text = ident.to_string();
    let kind = match ITEMS.iter().find(|item| **item == text) {
        Some(item) => item,
        None => {
            let meant = closest(&text, ITEMS.iter().copied()).ok_or(error.clone())?;
            diagnostics.add_syntax(&error);
            ITEMS.iter().find(|item| **item == meant).ok_or(error)?
        }
    };
    words::name(input)?;
    Ok((kind, ident.span()))
}

/// Reads what stands before a block. A mistake there is noted, and reading goes on at the block; `versions` are still
/// found behind it. Gives whether they are known.
pub(super) fn head(
    input: ParseStream,
    diagnostics: &mut Diagnostics,
    versions: &mut Option<Versions>,
    read: impl FnOnce(ParseStream, &mut Diagnostics) -> syn::Result<()>,
) -> bool {
    let in_versions = |input: ParseStream, versions: &mut Option<Versions>| {
        *versions = words::maybe_versions(input)?;
        open(input)
    };
    let mut known = true;
    let read = read(input, diagnostics).and_then(|()| {
        // What stands where the versions would may be meant as them.
        known = input.peek(token::Brace);
        in_versions(input, versions)
    });
    let Err(error) = read else { return true };
    diagnostics.add_syntax(&error);
    known |= versions.is_some();
    let mut first = true;
    while !input.is_empty() && !input.peek(token::Brace) {
        if at_item(input) && !first {
            break;
        }
        first = false;
        if let Some(read) = words::nearly_versions(input) {
            known = read.is_some();
            *versions = read;
        } else if matches!(input.parse::<TokenTree>(), Ok(TokenTree::Punct(mark)) if mark.as_char() == ';')
        {
            break;
        }
    }
    known
}

fn open(input: ParseStream) -> syn::Result<()> {
    if input.peek(token::Brace) {
        return Ok(());
    }
    let found = if input.is_empty() {
        "the end".to_owned()
    } else {
        format!("`{}`", next_text(input))
    };
    Err(words::error(
        input.span(),
        format!("expected `{{`, found {found}"),
        "write the lines between `{` and `}`",
    ))
}

/// How the lines of a block are read.
pub(super) struct Lines<T> {
    /// The words with which a line begins.
    pub known: &'static [&'static str],
    /// Reads one.
    pub line: fn(ParseStream, &mut Diagnostics) -> syn::Result<T>,
    /// What stands for one with a mistake in its words.
    pub poisoned: fn(Lost) -> T,
}

/// Reads `{ line ... }`; an `in VERSIONS { ... }` block inside gives its lines their versions. Where the block itself is
/// missing, which has been noted then, anything may have been said.
pub(super) fn block<T>(
    input: ParseStream,
    diagnostics: &mut Diagnostics,
    lines: &Lines<T>,
) -> Vec<Said<T>> {
    let mut said = Vec::new();
    let mut inside = |input: ParseStream| -> syn::Result<()> {
        let content;
        syn::braced!(content in input);
        self::lines(&content, diagnostics, None, lines, &mut said);
        Ok(())
    };
    if !input.peek(token::Brace) || inside(input).is_err() {
        said.push(Said {
            what: (lines.poisoned)(Lost::ANYTHING),
            span: input.span(),
            versions: None,
        });
    }
    said
}

fn lines<T>(
    input: ParseStream,
    diagnostics: &mut Diagnostics,
    versions: Option<Versions>,
    lines: &Lines<T>,
    said: &mut Vec<Said<T>>,
) {
    while !input.is_empty() {
        let span = input.span();
        if words::is_nearly_in(input) {
            if !peek(input, "in")
                && let Err(error) = (lines.line)(&input.fork(), diagnostics)
            {
                diagnostics.add_syntax(&error);
            }
            if let Err(error) = block_in(input, diagnostics, versions, lines, said) {
                diagnostics.add_syntax(&error);
                skip_statement(input);
            }
            continue;
        }
        let start = input.cursor();
        let what = (lines.line)(input, diagnostics).unwrap_or_else(|error| {
            diagnostics.add_syntax(&error);
            if !(is_no_semicolon(&error) && at_line(input, span, lines.known)) {
                skip_statement(input);
            }
            (lines.poisoned)(lost(start, input.cursor(), lines.known))
        });
        said.push(Said {
            what,
            span,
            versions,
        });
    }
}

/// `in VERSIONS { ... }` inside a block.
fn block_in<T>(
    input: ParseStream,
    diagnostics: &mut Diagnostics,
    outer: Option<Versions>,
    lines: &Lines<T>,
    said: &mut Vec<Said<T>>,
) -> syn::Result<()> {
    let span = input.span();
    let mut inner = None;
    let mut known = true;
    if outer.is_some() {
        diagnostics.add_syntax(&words::error(
            span,
            "an `in` block inside an `in` block",
            "name the versions once",
        ));
        words::nearly_versions(input);
        skip_to_block(input);
        known = false;
    } else {
        let head = head_of_in(input, &mut inner);
        if let Err(error) = head {
            diagnostics.add_syntax(&error);
            skip_to_block(input);
            known = false;
        }
    }
    let mut own = Vec::new();
    if input.peek(token::Brace) {
        let content;
        syn::braced!(content in input);
        self::lines(&content, diagnostics, inner.or(outer), lines, &mut own);
    }
    if known {
        said.extend(own);
    } else {
        // Nobody knows in which versions it counts.
        said.push(Said {
            what: (lines.poisoned)(Lost::ANYTHING),
            span,
            versions: None,
        });
    }
    Ok(())
}

fn head_of_in(input: ParseStream, versions: &mut Option<Versions>) -> syn::Result<()> {
    *versions = Some(words::versions_behind(input)?);
    open(input)
}

/// After a mistake before a block of lines: on to the block, or behind the next `;`.
fn skip_to_block(input: ParseStream) {
    while !input.is_empty() && !input.peek(token::Brace) {
        if matches!(input.parse::<TokenTree>(), Ok(TokenTree::Punct(mark)) if mark.as_char() == ';')
        {
            return;
        }
    }
}

/// What may stand between two places. Where a `;` is missing, that is more than one statement.
pub(super) fn lost(start: Cursor, end: Cursor, known: &[&str]) -> Lost {
    let first = start.ident().map(|(word, _)| word.to_string());
    let (mut words, mut field, mut at) = (Vec::new(), first.is_none(), start);
    // A line of a field begins with its bits, any other one with a word.
    let mut anything = first.is_none() && start.group(Delimiter::Bracket).is_none();
    if let Some(first) = first.filter(|word| !known.contains(&word.as_str())) {
        // A word that is nearly right is meant to be that one.
        match closest(&first, known.iter().copied()) {
            Some(meant) => words.push(meant.to_owned()),
            None => anything = true,
        }
    }
    while at != end
        && let Some((tree, next)) = at.token_tree()
    {
        match tree {
            TokenTree::Ident(word) => words.push(word.to_string()),
            TokenTree::Group(group) => {
                let block = group.delimiter() == Delimiter::Brace;
                field |= block || group.delimiter() == Delimiter::Bracket;
                anything |= block;
            }
            _ => {}
        }
        at = next;
    }
    Lost {
        words: if anything { None } else { Some(words) },
        field,
    }
}

const NO_SEMICOLON: &str = "expected `;`, found ";

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
        format!("{NO_SEMICOLON}{found}"),
        "end the statement with `;`",
    ))
}

fn is_no_semicolon(error: &syn::Error) -> bool {
    error.to_string().starts_with(NO_SEMICOLON)
}

/// A word with which a statement begins is next, on another line than the one that began at `before`.
fn at_line(input: ParseStream, before: Span, known: &[&str]) -> bool {
    let begins = input.peek(Token![#]) || input.peek(token::Bracket) || input.is_empty();
    (begins || peek(input, "in") || known.iter().any(|word| peek(input, word)))
        && (input.is_empty() || input.span().start().line > before.start().line)
}

fn next_text(input: ParseStream) -> String {
    match input.cursor().token_tree() {
        Some((TokenTree::Group(group), _)) => match group.delimiter() {
            Delimiter::Parenthesis => "(".to_owned(),
            Delimiter::Bracket => "[".to_owned(),
            _ => "{".to_owned(),
        },
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
        if input.is_empty() || at_item(input) {
            return;
        }
    }
}

fn at_item(input: ParseStream) -> bool {
    input.peek(Token![#]) || ITEMS.iter().any(|item| peek(input, item))
}

/// After a mistake in an item without a block: behind its `;`, or, if that is missing, on to the next item.
pub(super) fn to_next_item(input: ParseStream) {
    while !input.is_empty() && !at_item(input) {
        let tree = input.parse::<TokenTree>();
        if matches!(tree, Ok(TokenTree::Punct(mark)) if mark.as_char() == ';') {
            return;
        }
    }
}
