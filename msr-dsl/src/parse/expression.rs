//! Expressions, with Rust's precedence.

use super::words::{error, integer, name, optional, peek, take, unknown};
use crate::ast::{At, Expr, ExprKind, Op};
use crate::diagnostics::{TOO_DEEP, from_to};
use proc_macro2::Span;
use syn::parse::ParseStream;
use syn::{Token, token};

/// How deep an expression may be nested, chains of one operator included: what works on it goes down as deep.
const DEEPEST: usize = 128;

/// An expression and how many are in each other there.
struct Nested {
    expr: Expr,
    height: usize,
}

impl Nested {
    /// Over others.
    fn over(kind: ExprKind, span: Span, heights: &[usize]) -> syn::Result<Self> {
        let height = 1 + heights.iter().max().copied().unwrap_or(0);
        let expr = Expr { kind, span };
        match height > DEEPEST {
            true => Err(too_deep(span)),
            false => Ok(Self { expr, height }),
        }
    }
}

fn too_deep(span: Span) -> syn::Error {
    error(
        span,
        format!("{TOO_DEEP} ({DEEPEST} deep)"),
        "write it shorter: fewer brackets, fewer terms in one chain",
    )
}

/// `A if C else B`, or anything tighter.
pub fn expression(input: ParseStream) -> syn::Result<Expr> {
    let all = whole(input, 0)?;
    no_operator(input)?;
    Ok(all.expr)
}

/// What stands behind an expression is no operator that Rust has and the language has not.
fn no_operator(input: ParseStream) -> syn::Result<()> {
    if input.peek(Token![=]) {
        return Err(error(
            input.span(),
            "`=` compares nothing",
            "two values are compared with `==`",
        ));
    }
    let mark = match input.cursor().punct() {
        Some((mark, _)) if "+-*/%^".contains(mark.as_char()) => mark.as_char(),
        _ => return Ok(()),
    };
    Err(error(
        input.span(),
        format!("there is no operator `{mark}`"),
        "there are `!`, `<<`, `>>`, `&`, `|`, comparisons, `&&` and `||`, and no arithmetic",
    ))
}

/// `depth` says in how many others it stands.
fn whole(input: ParseStream, depth: usize) -> syn::Result<Nested> {
    if depth > DEEPEST {
        return Err(too_deep(input.span()));
    }
    let yes = binary(input, 0, depth)?;
    if take(input, "if").is_none() {
        return Ok(yes);
    }
    let condition = binary(input, 0, depth)?;
    if !optional(input, "else", &[])? {
        return Err(error(
            input.span(),
            "an `if` without `else`",
            "say the other value too: `A if CONDITION else B`",
        ));
    }
    let no = whole(input, depth + 1)?;
    let span = from_to(yes.expr.span, no.expr.span);
    let heights = [yes.height, condition.height, no.height];
    let [yes, condition, no] = [yes, condition, no].map(|one| Box::new(one.expr));
    Nested::over(ExprKind::If(condition, yes, no), span, &heights)
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

fn binary(input: ParseStream, level: u8, depth: usize) -> syn::Result<Nested> {
    if level == LEVELS {
        return unary(input, depth);
    }
    let mut left = binary(input, level + 1, depth)?;
    while let Some(op) = operator(input, level) {
        take_operator(input, op)?;
        let right = binary(input, level + 1, depth)?;
        let span = from_to(left.expr.span, right.expr.span);
        let heights = [left.height, right.height];
        let kind = ExprKind::Binary(op, Box::new(left.expr), Box::new(right.expr));
        left = Nested::over(kind, span, &heights)?;
    }
    Ok(left)
}

fn unary(input: ParseStream, depth: usize) -> syn::Result<Nested> {
    if depth > DEEPEST {
        return Err(too_deep(input.span()));
    }
    if input.peek(Token![!]) {
        let not: Token![!] = input.parse()?;
        let inner = unary(input, depth + 1)?;
        let span = from_to(not.span, inner.expr.span);
        let kind = ExprKind::Not(Box::new(inner.expr));
        return Nested::over(kind, span, &[inner.height]);
    }
    if input.peek(token::Paren) {
        let content;
        let paren = syn::parenthesized!(content in input);
        let mut inner = whole(&content, depth + 1)?;
        no_operator(&content)?;
        if !content.is_empty() {
            return Err(error(
                content.span(),
                "more than one expression in the parentheses",
                "put an operator between",
            ));
        }
        inner.expr.span = paren.span.join();
        return Ok(inner);
    }
    if input.peek(syn::LitInt) {
        let number = integer(input)?;
        return Nested::over(ExprKind::Number(number.value), number.span, &[]);
    }
    for (text, kind) in [
        ("zero", ExprKind::Number(0)),
        ("all_ones", ExprKind::Number(u64::MAX)),
        ("true", ExprKind::Bool(true)),
        ("false", ExprKind::Bool(false)),
    ] {
        if let Some(span) = take(input, text) {
            return Nested::over(kind, span, &[]);
        }
    }
    let expr = path(input)?;
    Ok(Nested { expr, height: 1 })
}

/// `NAME`, `NAME[1]`, `NAME.FIELD`, `NAME[1].FIELD`.
pub fn path(input: ParseStream) -> syn::Result<Expr> {
    if let Some(word) = ["if", "else"].into_iter().find(|word| peek(input, word)) {
        return Err(error(
            input.span(),
            format!("expected a value, found `{word}`"),
            format!("write a number, a register or a field before `{word}`"),
        ));
    }
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
        if peek(&content, "i") {
            return Err(error(
                content.span(),
                format!(
                    "`{}[i]` asks a register of the same bank, which cannot be asked",
                    base.text
                ),
                "the bank is a number: `[1]` for all banks alike; or put what depends on each other into one register",
            ));
        }
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
