//! `[hi:lo] NAME: TYPE in VERSIONS { ... }`

use super::words::{doc, error, integer, maybe_versions, name, peek, take, unknown, word};
use super::{bits, block, contained, expression, semicolon, words};
use crate::ast::{At, Field, FieldStatement, FieldType, Name};
use crate::diagnostics::Diagnostics;
use syn::parse::ParseStream;
use syn::{Token, token};

const STATEMENTS: &[&str] = &["when", "read", "write", "legal"];

/// A field, its documentation already read.
pub fn field(input: ParseStream, doc: String, diagnostics: &mut Diagnostics) -> syn::Result<Field> {
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
    let statements = match input.peek(token::Brace) {
        true => block(input, diagnostics, &mut |input, diagnostics| {
            Ok(contained(
                input,
                diagnostics,
                STATEMENTS,
                |_| FieldStatement::Poisoned,
                |input, _| statement(input),
            ))
        })?,
        false => {
            semicolon(input)?;
            Vec::new()
        }
    };
    Ok(Field {
        doc,
        hi,
        lo,
        bits_span,
        name,
        ty,
        versions,
        statements,
    })
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
        None => Err(unknown(input, "type", &expected)),
    }
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

fn statement(input: ParseStream) -> syn::Result<FieldStatement> {
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
    } else {
        return Err(unknown(input, "statement of a field", STATEMENTS));
    };
    semicolon(input)?;
    Ok(what)
}
