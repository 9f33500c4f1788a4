//! `[hi:lo] NAME: TYPE in VERSIONS { ... }`

use super::words::{doc, error, integer, maybe_versions, name, peek, take, unknown, word};
use super::{Lines, bits, block, expression, lost, semicolon, words};
use crate::ast::{At, Field, FieldStatement, FieldType, Name, Statement};
use crate::diagnostics::Diagnostics;
use crate::words::closest;
use proc_macro2::{Delimiter, Ident, TokenTree};
use syn::parse::ParseStream;
use syn::{Token, token};

const STATEMENTS: &[&str] = &["when", "read", "write", "legal", "restore"];

const LINES: Lines<FieldStatement> = Lines {
    known: STATEMENTS,
    line: statement,
    poisoned: |_| FieldStatement::Poisoned,
};

/// A field, its documentation already read.
pub fn field(
    input: ParseStream,
    doc: String,
    diagnostics: &mut Diagnostics,
) -> syn::Result<Statement> {
    let start = input.cursor();
    let mut field = match head(input, doc) {
        Ok(field) => field,
        Err(error) => {
            diagnostics.add_syntax(&error);
            skip(input, diagnostics);
            return Ok(Statement::Poisoned(lost(start, input.cursor(), &[])));
        }
    };
    if input.peek(token::Brace) {
        field.statements = block(input, diagnostics, &LINES);
    } else {
        semicolon(input)?;
    }
    Ok(Statement::Field(field))
}

fn head(input: ParseStream, doc: String) -> syn::Result<Field> {
    let (hi, lo, bits_span) = bits::range(input)?;
    let name = name(input)?;
    if !input.peek(Token![:]) {
        return Err(error(
            name.span,
            format!("field `{}` has no type", name.text),
            "write `: bool`, `: u8`, `: const 1` or `: enum { ... }`",
        ));
    }
    input.parse::<Token![:]>()?;
    let ty = field_type(input)?;
    let versions = maybe_versions(input)?;
    Ok(Field {
        doc,
        hi,
        lo,
        bits_span,
        name,
        ty,
        versions,
        statements: Vec::new(),
    })
}

/// Behind the field after a mistake before its lines, which are still read. A block may also hold the values of an
/// enumeration.
fn skip(input: ParseStream, diagnostics: &mut Diagnostics) {
    while !input.is_empty() {
        if let Some((inside, _, _)) = input.cursor().group(Delimiter::Brace) {
            let known =
                |(word, _): (Ident, _)| STATEMENTS.iter().any(|text| word == text) || word == "in";
            if inside.ident().is_some_and(known) {
                block(input, diagnostics, &LINES);
                return;
            }
        }
        let tree = input.parse::<TokenTree>();
        if matches!(tree, Ok(TokenTree::Punct(mark)) if mark.as_char() == ';') {
            return;
        }
        // What is no part of a field follows: there was none to end.
        if input.peek(token::Bracket) || input.peek(Token![#]) {
            return;
        }
    }
}

fn field_type(input: ParseStream) -> syn::Result<At<FieldType>> {
    let span = input.span();
    if take(input, "bool").is_some() {
        return Ok(At {
            value: FieldType::Bool,
            span,
        });
    }
    if take(input, "const").is_some() {
        return Ok(At {
            value: FieldType::Const(integer(input)?.value),
            span,
        });
    }
    if take(input, "enum").is_some() {
        return enumeration(input).map(|value| At { value, span });
    }
    let expected = ["bool", "u8", "u64", "const", "enum"];
    let Some((ident, _)) = input.cursor().ident() else {
        return Err(unknown(input, "type", &expected));
    };
    let text = ident.to_string();
    let width = text
        .strip_prefix('u')
        .and_then(|digits| digits.parse::<u64>().ok());
    match width {
        Some(width @ 1..=64) => {
            words::name(input)?;
            Ok(At {
                value: FieldType::Unsigned(width),
                span,
            })
        }
        Some(_) => Err(error(
            span,
            format!("`{text}` is no width of a field"),
            "u1 to u64",
        )),
        None => match meant_width(&text) {
            Some(width) => Err(error(
                span,
                format!("unknown type `{text}`"),
                format!("{width} bits are `u{width}`"),
            )),
            None if closest(&text, expected).is_some() => Err(unknown(input, "type", &expected)),
            None => Err(error(
                span,
                format!("unknown type `{text}`"),
                "one of: bool, u1 to u64, const, enum",
            )),
        },
    }
}

/// The width that `uint16`, `i8` or `bits5` asks for.
fn meant_width(text: &str) -> Option<u64> {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let digits = digits.strip_suffix("_t").unwrap_or(digits);
    digits.parse().ok().filter(|width| (1..=64).contains(width))
}

fn enumeration(input: ParseStream) -> syn::Result<FieldType> {
    let content;
    syn::braced!(content in input);
    let mut values: Vec<(Name, At<u64>)> = Vec::new();
    let mut other = false;
    while !content.is_empty() {
        doc(&content)?;
        if content.peek(Token![_]) {
            content.parse::<Token![_]>()?;
            other = true;
        } else {
            let value_name = name(&content)?;
            content.parse::<Token![=]>().map_err(|e| {
                error(
                    e.span(),
                    format!("`{}` has no value", value_name.text),
                    "write `NAME = 1`; `_` stands for all other values",
                )
            })?;
            values.push((value_name, integer(&content)?));
        }
        if !content.is_empty() {
            content.parse::<Token![,]>().map_err(|e| {
                error(
                    e.span(),
                    "expected `,` between values",
                    "write `A = 0, B = 1`",
                )
            })?;
        }
    }
    Ok(FieldType::Enum { values, other })
}

fn statement(input: ParseStream, _: &mut Diagnostics) -> syn::Result<FieldStatement> {
    let what = if peek(input, "when") {
        word(input, "when")?;
        FieldStatement::When(expression::expression(input)?)
    } else if peek(input, "read") {
        word(input, "read")?;
        FieldStatement::Read(expression::expression(input)?)
    } else if peek(input, "write") {
        word(input, "write")?;
        let span = input.span();
        FieldStatement::Write(At {
            value: bits::rule(input)?,
            span,
        })
    } else if peek(input, "legal") {
        word(input, "legal")?;
        let sets = bits::sets(input)?;
        FieldStatement::Legal(sets, words::illegal(input)?)
    } else if peek(input, "restore") {
        word(input, "restore")?;
        word(input, "accepts")?;
        FieldStatement::Accepts(bits::sets(input)?)
    } else {
        return Err(unknown(input, "statement of a field", STATEMENTS));
    };
    semicolon(input)?;
    Ok(what)
}
