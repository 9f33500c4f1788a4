//! Expressions, with Rust's precedence.

use super::words::{error, integer, name, take, unknown};
use crate::ast::{At, Expr, ExprKind, Op};
use crate::diagnostics::from_to;
use syn::parse::ParseStream;
use syn::{Token, token};

/// `A if C else B`, or anything tighter.
pub fn expression(input: ParseStream) -> syn::Result<Expr> {
    let yes = binary(input, 0)?;
    if take(input, "if").is_none() {
        return Ok(yes);
    }
    let condition = binary(input, 0)?;
    if take(input, "else").is_none() {
        return Err(error(
            input.span(),
            "an `if` without `else`",
            "say the other value too: `A if CONDITION else B`",
        ));
    }
    let no = expression(input)?;
    let span = from_to(yes.span, no.span);
    Ok(Expr {
        kind: ExprKind::If(Box::new(condition), Box::new(yes), Box::new(no)),
        span,
    })
}

/// `||`, `&&`, comparisons, `|`, `&`, shifts: loosest first.
const LEVELS: u8 = 6;

fn operator(input: ParseStream, level: u8) -> Option<Op> {
    Some(match level {
        0 if input.peek(Token![||]) => Op::Either,
        1 if input.peek(Token![&&]) => Op::Both,
        2 if input.peek(Token![==]) => Op::Eq,
        2 if input.peek(Token![!=]) => Op::Ne,
        2 if input.peek(Token![<=]) => Op::Le,
        2 if input.peek(Token![>=]) => Op::Ge,
        2 if input.peek(Token![<]) && !input.peek(Token![<<]) => Op::Lt,
        2 if input.peek(Token![>]) && !input.peek(Token![>>]) => Op::Gt,
        3 if input.peek(Token![|]) && !input.peek(Token![||]) => Op::Or,
        4 if input.peek(Token![&]) && !input.peek(Token![&&]) => Op::And,
        5 if input.peek(Token![<<]) => Op::Shl,
        5 if input.peek(Token![>>]) => Op::Shr,
        _ => return None,
    })
}

fn take_operator(input: ParseStream, op: Op) -> syn::Result<()> {
    match op {
        Op::Either => input.parse::<Token![||]>().map(drop),
        Op::Both => input.parse::<Token![&&]>().map(drop),
        Op::Eq => input.parse::<Token![==]>().map(drop),
        Op::Ne => input.parse::<Token![!=]>().map(drop),
        Op::Le => input.parse::<Token![<=]>().map(drop),
        Op::Ge => input.parse::<Token![>=]>().map(drop),
        Op::Lt => input.parse::<Token![<]>().map(drop),
        Op::Gt => input.parse::<Token![>]>().map(drop),
        Op::Or => input.parse::<Token![|]>().map(drop),
        Op::And => input.parse::<Token![&]>().map(drop),
        Op::Shl => input.parse::<Token![<<]>().map(drop),
        Op::Shr => input.parse::<Token![>>]>().map(drop),
    }
}

fn binary(input: ParseStream, level: u8) -> syn::Result<Expr> {
    if level == LEVELS {
        return unary(input);
    }
    let mut left = binary(input, level + 1)?;
    while let Some(op) = operator(input, level) {
        take_operator(input, op)?;
        let right = binary(input, level + 1)?;
        let span = from_to(left.span, right.span);
        left = Expr {
            kind: ExprKind::Binary(op, Box::new(left), Box::new(right)),
            span,
        };
    }
    Ok(left)
}

fn unary(input: ParseStream) -> syn::Result<Expr> {
    if input.peek(Token![!]) {
        let not: Token![!] = input.parse()?;
        let inner = unary(input)?;
        let span = from_to(not.span, inner.span);
        return Ok(Expr {
            kind: ExprKind::Not(Box::new(inner)),
            span,
        });
    }
    if input.peek(token::Paren) {
        let content;
        let paren = syn::parenthesized!(content in input);
        let mut inner = expression(&content)?;
        if !content.is_empty() {
            return Err(error(
                content.span(),
                "more than one expression in the parentheses",
                "put an operator between",
            ));
        }
        inner.span = paren.span.join();
        return Ok(inner);
    }
    if input.peek(syn::LitInt) {
        let number = integer(input)?;
        return Ok(Expr {
            kind: ExprKind::Number(number.value),
            span: number.span,
        });
    }
    for (text, kind) in [
        ("zero", ExprKind::Number(0)),
        ("all_ones", ExprKind::Number(u64::MAX)),
        ("true", ExprKind::Bool(true)),
        ("false", ExprKind::Bool(false)),
    ] {
        if let Some(span) = take(input, text) {
            return Ok(Expr { kind, span });
        }
    }
    path(input)
}

/// `NAME`, `NAME[1]`, `NAME.FIELD`, `NAME[1].FIELD`.
pub fn path(input: ParseStream) -> syn::Result<Expr> {
    if input.cursor().ident().is_none() {
        return Err(unknown(
            input,
            "value",
            &["a number", "REGISTER", "REGISTER.FIELD", "zero", "all_ones"],
        ));
    }
    let base = name(input)?;
    let mut span = base.span;
    let mut index = None;
    if input.peek(token::Bracket) {
        let content;
        let bracket = syn::bracketed!(content in input);
        let number = integer(&content)?;
        span = from_to(span, bracket.span.close());
        index = Some(At {
            value: number.value,
            span: number.span,
        });
    }
    let mut field = None;
    if input.peek(Token![.]) {
        input.parse::<Token![.]>()?;
        let of = name(input)?;
        span = from_to(span, of.span);
        field = Some(of);
    }
    Ok(Expr {
        kind: ExprKind::Path { base, index, field },
        span,
    })
}
