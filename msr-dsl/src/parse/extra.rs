//! `extra { ... }` of an interface.

use super::words::{error, integer, take, unknown};
use super::{Lines, bits, block, head, semicolon};
use crate::ast::{At, Bits, Extra, Lost, Windows};
use crate::diagnostics::{Diagnostics, from_to};
use syn::Token;
use syn::parse::ParseStream;

enum Line {
    Most(At<u64>),
    Msrs(At<Windows>),
    Capability(Bits),
    Poisoned(Lost),
}

const LINES: Lines<Line> = Lines {
    known: &["most", "msr", "capability"],
    line,
    poisoned: Line::Poisoned,
};

/// The section; its first word already read.
pub fn extra(input: ParseStream, diagnostics: &mut Diagnostics) -> Extra {
    let mut extra = Extra {
        most: Vec::new(),
        msrs: Vec::new(),
        capability: Vec::new(),
        lost: Vec::new(),
    };
    head(input, diagnostics, &mut None, |_, _| Ok(()));
    for said in block(input, diagnostics, &LINES) {
        if let Some(versions) = said.versions {
            diagnostics.add_syntax(&error(
                versions.span,
                "an `in` block in `extra`",
                "put the whole section into `in VERSIONS { ... }`",
            ));
        }
        match said.what {
            Line::Most(most) => extra.most.push(most),
            Line::Msrs(windows) => extra.msrs.push(windows),
            Line::Capability(bits) => extra.capability.push(bits),
            Line::Poisoned(lost) => extra.lost.push(lost),
        }
    }
    extra
}

fn line(input: ParseStream, _: &mut Diagnostics) -> syn::Result<Line> {
    let line = if take(input, "most").is_some() {
        Line::Most(integer(input)?)
    } else if let Some(span) = take(input, "msr") {
        let mut value = vec![window(input)?];
        while input.peek(Token![,]) {
            input.parse::<Token![,]>()?;
            value.push(window(input)?);
        }
        Line::Msrs(At { value, span })
    } else if take(input, "capability").is_some() {
        Line::Capability(bits::bits(input)?)
    } else {
        return Err(unknown(input, "statement of extras", LINES.known));
    };
    semicolon(input)?;
    Ok(line)
}

/// `0x4d0` or `0x0..=0x1fff`.
fn window(input: ParseStream) -> syn::Result<At<(u64, u64)>> {
    let first = integer(input)?;
    if !input.peek(Token![..=]) {
        return Ok(At {
            value: (first.value, first.value),
            span: first.span,
        });
    }
    input.parse::<Token![..=]>()?;
    let last = integer(input)?;
    Ok(At {
        value: (first.value, last.value),
        span: from_to(first.span, last.span),
    })
}
