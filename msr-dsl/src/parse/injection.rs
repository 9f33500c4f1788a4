//! `injection { ... }`

use super::words::{integer, name, peek, unknown, word};
use super::{bits, block, expression, semicolon};
use crate::ast::{At, Bits, Expr, Injection, Name};
use crate::diagnostics::Diagnostics;
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
}

/// The section.
pub fn injection(input: ParseStream, diagnostics: &mut Diagnostics) -> syn::Result<Injection> {
    let span = word(input, "injection")?;
    let mut injection = Injection {
        span,
        deliver: Vec::new(),
        bank: Vec::new(),
        roles: Vec::new(),
        local: Vec::new(),
        pending: Vec::new(),
    };
    for said in block(input, diagnostics, &mut |input, _| line(input))? {
        let (span, versions) = (said.span, said.versions);
        match said.what {
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
    Ok(injection)
}

fn line(input: ParseStream) -> syn::Result<Line> {
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
