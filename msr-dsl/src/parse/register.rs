//! `register NAME @ ADDRESS in VERSIONS { ... }` and `bank register ...`

use super::words::{
    absent, doc, error, illegal, integer, name, nearly, optional, peek, string, take, unknown,
    waiver, word,
};
use super::{Lines, bits, block, expression, field, head, semicolon};
use crate::ast::{Address, AddressKind, At, Init, Migrate, Name, Read, Register, Statement, Write};
use crate::diagnostics::{Diagnostics, from_to};
use crate::words::closest;
use syn::parse::ParseStream;
use syn::{Token, token};

const STATEMENTS: &[&str] = &[
    "cite", "when", "reset", "init", "read", "write", "legal", "require", "reserved", "migrate",
    "restore", "held", "scope", "waive", "in",
];

/// A register, its documentation and `first` word (`register`, `bank` or `hidden`) already read; none if a mistake hides
/// its name or its versions.
pub fn register(
    input: ParseStream,
    first: &str,
    doc: String,
    diagnostics: &mut Diagnostics,
) -> Option<Register> {
    let hidden = first == "hidden";
    let (mut banked, mut its_name) = (first == "bank", None);
    let (mut addresses, mut versions) = (Vec::new(), None);
    let known = head(input, diagnostics, &mut versions, |input, diagnostics| {
        if hidden && take(input, "bank").is_some() {
            banked = true;
        }
        if first != "register" {
            keyword(input, diagnostics)?;
        }
        let name = name(input)?;
        let span = name.span;
        let text = name.text.clone();
        its_name = Some(name);
        if hidden {
            return Ok(());
        }
        if !input.peek(Token![@]) {
            return Err(error(
                span,
                format!("register `{text}` has no address"),
                "write `@ 0x179` after the name",
            ));
        }
        input.parse::<Token![@]>()?;
        addresses.push(address(input)?);
        while input.peek(Token![,]) {
            input.parse::<Token![,]>()?;
            addresses.push(address(input)?);
        }
        Ok(())
    });
    let statements = block(
        input,
        diagnostics,
        &Lines {
            known: STATEMENTS,
            line: statement,
            poisoned: Statement::Poisoned,
        },
    );
    let name = its_name.filter(|_| known)?;
    Some(Register {
        doc,
        name,
        banked,
        hidden,
        addresses,
        versions,
        statements,
    })
}

/// The word `register` behind `bank` or `hidden`. One that is nearly right is noted and taken.
fn keyword(input: ParseStream, diagnostics: &mut Diagnostics) -> syn::Result<()> {
    if let Err(error) = word(input, "register") {
        let (ident, _) = input.cursor().ident().ok_or(error.clone())?;
        closest(&ident.to_string(), ["register"]).ok_or(error.clone())?;
        diagnostics.add_syntax(&error);
        name(input)?;
    }
    Ok(())
}

fn address(input: ParseStream) -> syn::Result<Address> {
    let address = one_address(input)?;
    match input.cursor().punct() {
        Some((mark, _)) if "+-*/".contains(mark.as_char()) => Err(error(
            input.span(),
            "addresses of banks begin with that of bank 0, and then the step",
            "write `0x400 + 4 * i`, or `0x280 + i`",
        )),
        _ => Ok(address),
    }
}

fn one_address(input: ParseStream) -> syn::Result<Address> {
    let first = integer(input)?;
    if input.peek(Token![..=]) {
        input.parse::<Token![..=]>()?;
        let last = integer(input)?;
        return Ok(Address {
            kind: AddressKind::Range(first.value, last.value),
            span: from_to(first.span, last.span),
        });
    }
    if !input.peek(Token![+]) {
        return Ok(Address {
            kind: AddressKind::One(first.value),
            span: first.span,
        });
    }
    input.parse::<Token![+]>()?;
    let mut stride = 1;
    if input.peek(syn::LitInt) {
        stride = integer(input)?.value;
        input.parse::<Token![*]>().map_err(|e| {
            error(
                e.span(),
                "a sum that names no bank",
                "write `0x400 + 4 * i`, or `0x280 + i`",
            )
        })?;
    }
    let i = word(input, "i")?;
    Ok(Address {
        kind: AddressKind::Banked {
            base: first.value,
            stride,
        },
        span: from_to(first.span, i),
    })
}

fn statement(input: ParseStream, diagnostics: &mut Diagnostics) -> syn::Result<Statement> {
    let start = input.span();
    let doc = doc(input)?;
    if input.peek(token::Bracket) {
        return field::field(input, doc, diagnostics);
    }
    if !doc.is_empty() {
        return Err(error(
            start,
            "a doc comment that documents nothing",
            "put it before a field, or write `//`",
        ));
    }
    if peek(input, "waive") {
        return waiver(input).map(Statement::Waive);
    }
    let what = match STATEMENTS.iter().find(|text| peek(input, text)) {
        Some(&text) => {
            word(input, text)?;
            rest(text, input)?
        }
        None => return Err(unknown(input, "statement of a register", STATEMENTS)),
    };
    semicolon(input)?;
    Ok(what)
}

fn rest(text: &str, input: ParseStream) -> syn::Result<Statement> {
    Ok(match text {
        "cite" => Statement::Cite(string(input)?.value),
        "when" => {
            let condition = expression::expression(input)?;
            if !optional(input, "else", &[])? {
                return Err(error(
                    input.span(),
                    "what an absent register does is not said",
                    "end with `else fault;`, `else zero;` or `else unlisted;`",
                ));
            }
            Statement::When(condition, absent(input)?)
        }
        "reset" => Statement::Reset(expression::expression(input)?),
        "init" if take(input, "keep").is_some() => Statement::Init(Init::Keep),
        "init" if take(input, "reset").is_some() => Statement::Init(Init::Reset),
        "init" if nearly(input, &["keep", "reset"]) => {
            return Err(unknown(input, "word", &["keep", "reset"]));
        }
        "init" => Statement::Init(Init::Value(expression::expression(input)?)),
        "read" => Statement::Read(read(input)?),
        "write" => Statement::Write(write(input)?),
        "legal" => {
            let sets = bits::sets(input)?;
            Statement::Legal(sets, illegal(input)?)
        }
        "require" => {
            let condition = expression::expression(input)?;
            Statement::Require(condition, illegal(input)?)
        }
        "reserved" => {
            let span = input.span();
            Statement::Reserved(At {
                value: bits::rule(input)?,
                span,
            })
        }
        "migrate" => Statement::Migrate(migrate(input)?),
        "restore" if take(input, "accepts").is_some() => Statement::Accepts(bits::bits(input)?),
        "restore" if take(input, "after").is_some() => {
            let mut names = vec![name(input)?];
            while input.peek(Token![,]) {
                input.parse::<Token![,]>()?;
                names.push(name(input)?);
            }
            Statement::After(names)
        }
        "restore" => return Err(unknown(input, "word", &["accepts", "after"])),
        "held" => Statement::Held,
        _ => Statement::Scope(name(input)?),
    })
}

fn read(input: ParseStream) -> syn::Result<Read> {
    if take(input, "fault").is_some() {
        return Ok(Read::Fault);
    }
    if take(input, "unlisted").is_some() {
        return Ok(Read::Unlisted);
    }
    if take(input, "pass").is_some() {
        return Ok(Read::Pass);
    }
    if take(input, "hook").is_some() {
        return hook(input).map(Read::Hook);
    }
    expression::expression(input).map(Read::Value)
}

fn write(input: ParseStream) -> syn::Result<Write> {
    if take(input, "fault").is_some() {
        return Ok(Write::Fault);
    }
    if take(input, "unlisted").is_some() {
        return Ok(Write::Unlisted);
    }
    if take(input, "pass").is_some() {
        return Ok(Write::Pass);
    }
    if take(input, "hook").is_some() {
        return hook(input).map(Write::Hook);
    }
    let span = input.span();
    if input.cursor().ident().is_none() || !bits::RULES.iter().any(|text| peek(input, text)) {
        let mut known = vec!["fault", "unlisted", "pass", "hook"];
        known.extend(bits::RULES);
        return Err(unknown(input, "rule", &known));
    }
    let rule = At {
        value: bits::rule(input)?,
        span,
    };
    let hook = match optional(input, "then", STATEMENTS)? {
        true => {
            word(input, "hook")?;
            Some(hook(input)?)
        }
        false => None,
    };
    Ok(Write::Bits(rule, hook))
}

/// A hook's name.
fn hook(input: ParseStream) -> syn::Result<Name> {
    let hook = name(input)?;
    match input.peek(token::Paren) {
        true => Err(error(
            input.span(),
            "a hook is named without arguments",
            format!(
                "write `hook {}`: the hypervisor gets those that its own line lists",
                hook.text
            ),
        )),
        false => Ok(hook),
    }
}

fn migrate(input: ParseStream) -> syn::Result<Migrate> {
    if take(input, "saved").is_some() {
        let tag = integer(input)?;
        let default = match optional(input, "default", STATEMENTS)? {
            true => Some(expression::expression(input)?),
            false => None,
        };
        return Ok(Migrate::Saved { tag, default });
    }
    if take(input, "transient").is_some() {
        return string(input).map(|why| Migrate::Transient(why.value));
    }
    if take(input, "derived").is_some() {
        return Ok(Migrate::Derived);
    }
    Err(unknown(input, "word", &["saved", "transient", "derived"]))
}
