//! `injection { ... }`

use super::words::{integer, name, peek, unknown, word};
use super::{Lines, bits, block, expression, head, semicolon};
use crate::ast::{At, Bits, Expr, Injection, Lost, Name};
use crate::diagnostics::Diagnostics;
use proc_macro2::Span;
use syn::parse::ParseStream;

const STATEMENTS: &[&str] = &[
    "deliver", "bank", "global", "status", "address", "misc", "local", "pending", "in",
];

enum Line {
    Deliver(Name),
    Bank(At<u64>),
    Role(Name, Name, Bits),
    Local(Expr),
    Pending(Name),
    Poisoned(Lost),
}

const LINES: Lines<Line> = Lines {
    known: STATEMENTS,
    line,
    poisoned: Line::Poisoned,
};

/// The section; its first word, at `span`, already read.
pub fn injection(input: ParseStream, span: Span, diagnostics: &mut Diagnostics) -> Injection {
    head(input, diagnostics, &mut None, |_, _| Ok(()));
    let mut injection = Injection {
        span,
        deliver: Vec::new(),
        bank: Vec::new(),
        roles: Vec::new(),
        local: Vec::new(),
        pending: Vec::new(),
        lost: Vec::new(),
    };
    for said in block(input, diagnostics, &LINES) {
        let (span, versions) = (said.span, said.versions);
        match said.what {
            Line::Poisoned(lost) => injection.lost.push(lost),
            Line::Deliver(how) => injection.deliver.push(how),
            Line::Bank(bank) => injection.bank.push(bank),
            Line::Role(role, register, bits) => {
                injection.roles.push(crate::ast::Said {
                    what: (role, register, bits),
                    span,
                    versions,
                });
            }
            Line::Pending(what) => injection.pending.push(crate::ast::Said {
                what,
                span,
                versions,
            }),
            Line::Local(enable) => injection.local.push(crate::ast::Said {
                what: enable,
                span,
                versions,
            }),
        }
    }
    injection
}

fn line(input: ParseStream, _: &mut Diagnostics) -> syn::Result<Line> {
    let line = if peek(input, "deliver") {
        word(input, "deliver")?;
        Line::Deliver(name(input)?)
    } else if peek(input, "bank") {
        word(input, "bank")?;
        Line::Bank(integer(input)?)
    } else if peek(input, "pending") {
        word(input, "pending")?;
        Line::Pending(name(input)?)
    } else if peek(input, "local") {
        word(input, "local")?;
        Line::Local(expression::expression(input)?)
    } else if ["global", "status", "address", "misc"]
        .iter()
        .any(|role| peek(input, role))
    {
        let role = name(input)?;
        let register = name(input)?;
        word(input, "sets")?;
        Line::Role(role, register, bits::bits(input)?)
    } else {
        return Err(unknown(input, "statement of an injection", STATEMENTS));
    };
    semicolon(input)?;
    Ok(line)
}
