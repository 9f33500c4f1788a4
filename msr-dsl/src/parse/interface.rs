//! `interface`, `feature`, `hook`, `removed`.

use super::words::{
    absent, error, integer, maybe_versions, name, optional, peek, string, take, unknown, waiver,
};
use super::{Lines, bits, block, expression, extra, head, semicolon};
use crate::ast::{
    At, Banks, Extra, Feature, Hook, Interface, Lost, Name, Offer, Removed, RemovedThing, Said,
    VersionLine, Waiver,
};
use crate::diagnostics::{Diagnostics, from_to};
use crate::words::closest;
use proc_macro2::{Delimiter, Span};
use syn::Token;
use syn::buffer::Cursor;
use syn::parse::ParseStream;
use syn::token;

enum InterfaceLine {
    Vendor(Name),
    Version(VersionLine),
    Capability(Name),
    Banks(Banks),
    Extra(Extra),
    Waive(Waiver),
    Poisoned(Lost),
}

const INTERFACE: Lines<InterfaceLine> = Lines {
    known: &[
        "vendor",
        "version",
        "capability",
        "banks",
        "extra",
        "waive",
        "in",
    ],
    line: interface_line,
    poisoned: InterfaceLine::Poisoned,
};

/// `interface NAME { ... }`; its first word, at `span`, already read.
pub fn interface(
    input: ParseStream,
    doc: String,
    span: Span,
    diagnostics: &mut Diagnostics,
) -> Interface {
    let mut name = Name {
        text: String::new(),
        span,
    };
    head(input, diagnostics, &mut None, |input, _| {
        name = dashed(input)?;
        Ok(())
    });
    let mut interface = Interface {
        doc,
        name,
        vendor: Vec::new(),
        versions: Vec::new(),
        capability: Vec::new(),
        banks: Vec::new(),
        extra: Vec::new(),
        waivers: Vec::new(),
        lost: Vec::new(),
    };
    for said in block(input, diagnostics, &INTERFACE) {
        match said.what {
            InterfaceLine::Vendor(vendor) => interface.vendor.push(vendor),
            InterfaceLine::Version(line) => interface.versions.push(line),
            InterfaceLine::Capability(register) => interface.capability.push(register),
            InterfaceLine::Banks(what) => {
                interface.banks.push(Said {
                    what,
                    span: said.span,
                    versions: said.versions,
                });
            }
            InterfaceLine::Extra(what) => {
                interface.extra.push(Said {
                    what,
                    span: said.span,
                    versions: said.versions,
                });
            }
            InterfaceLine::Waive(waiver) => interface.waivers.push(waiver),
            InterfaceLine::Poisoned(lost) => interface.lost.push(lost),
        }
    }
    interface
}

/// A name that may hold dashes, as file names do: `vmce-amd`.
fn dashed(input: ParseStream) -> syn::Result<Name> {
    let mut whole = name(input)?;
    while input.peek(Token![-]) {
        input.parse::<Token![-]>()?;
        let part = name(input)?;
        whole = Name {
            text: format!("{}-{}", whole.text, part.text),
            span: from_to(whole.span, part.span),
        };
    }
    Ok(whole)
}

fn interface_line(input: ParseStream, diagnostics: &mut Diagnostics) -> syn::Result<InterfaceLine> {
    if peek(input, "waive") {
        return waiver(input).map(InterfaceLine::Waive);
    }
    if take(input, "banks").is_some() {
        return Ok(InterfaceLine::Banks(banks(input, diagnostics)));
    }
    if take(input, "extra").is_some() {
        return Ok(InterfaceLine::Extra(extra::extra(input, diagnostics)));
    }
    let line = if take(input, "vendor").is_some() {
        InterfaceLine::Vendor(name(input)?)
    } else if take(input, "version").is_some() {
        let number = integer(input)?;
        let restore_only = optional(input, "restore_only", &[])?;
        InterfaceLine::Version(VersionLine {
            number,
            text: string(input).map_err(|e| {
                error(
                    e.span(),
                    "what is new in this version is not said",
                    "say it in a few words: `version 2 \"...\";`",
                )
            })?,
            restore_only,
        })
    } else if take(input, "capability").is_some() {
        InterfaceLine::Capability(name(input)?)
    } else {
        let error = unknown(input, "statement of an interface", INTERFACE.known);
        // One that has a block and is nearly `banks` is taken as that.
        let nearly = |(word, after): (proc_macro2::Ident, Cursor)| {
            closest(&word.to_string(), ["banks"]).is_some()
                && after.group(Delimiter::Brace).is_some()
        };
        if !input.cursor().ident().is_some_and(nearly) {
            return Err(error);
        }
        diagnostics.add_syntax(&error);
        name(input)?;
        return Ok(InterfaceLine::Banks(banks(input, diagnostics)));
    };
    semicolon(input)?;
    Ok(line)
}

fn banks(input: ParseStream, diagnostics: &mut Diagnostics) -> Banks {
    enum Line {
        Count(crate::ast::Expr),
        Limit(At<u64>),
        Stored(At<u64>),
        Beyond(At<crate::ast::Absent>),
        Poisoned(Lost),
    }
    const KNOWN: &[&str] = &["count", "limit", "stored", "beyond", "in"];
    let line = |input: ParseStream, _: &mut Diagnostics| {
        let line = if take(input, "count").is_some() {
            Line::Count(expression::expression(input)?)
        } else if take(input, "limit").is_some() {
            Line::Limit(integer(input)?)
        } else if take(input, "stored").is_some() {
            Line::Stored(integer(input)?)
        } else if let Some(span) = take(input, "beyond") {
            Line::Beyond(At {
                value: absent(input)?,
                span,
            })
        } else {
            return Err(unknown(input, "statement of banks", KNOWN));
        };
        semicolon(input)?;
        Ok(line)
    };
    head(input, diagnostics, &mut None, |_, _| Ok(()));
    let lines = block(
        input,
        diagnostics,
        &Lines {
            known: KNOWN,
            line,
            poisoned: Line::Poisoned,
        },
    );
    let mut banks = Banks {
        count: Vec::new(),
        limit: Vec::new(),
        stored: Vec::new(),
        beyond: Vec::new(),
        lost: Vec::new(),
    };
    for said in lines {
        let (span, versions) = (said.span, said.versions);
        match said.what {
            Line::Count(what) => banks.count.push(Said {
                what,
                span,
                versions,
            }),
            Line::Poisoned(lost) => banks.lost.push(lost),
            Line::Limit(limit) => banks.limit.push(limit),
            Line::Stored(what) => banks.stored.push(Said {
                what,
                span,
                versions,
            }),
            Line::Beyond(what) => banks.beyond.push(Said {
                what,
                span,
                versions,
            }),
        }
    }
    banks
}

/// `feature NAME in VERSIONS { ... }`, its first word already read; none if a mistake hides its name or its versions.
pub fn feature(input: ParseStream, doc: String, diagnostics: &mut Diagnostics) -> Option<Feature> {
    enum Line {
        Bit(crate::ast::Expr),
        Offer(At<Offer>),
        Requires(Vec<Name>),
        Host(Name),
        Waive(Waiver),
        Poisoned,
    }
    const LINES: &[&str] = &["bit", "default", "offered", "requires", "host", "waive"];
    let (mut its_name, mut versions) = (None, None);
    let known = head(input, diagnostics, &mut versions, |input, _| {
        its_name = Some(name(input)?);
        Ok(())
    });
    let line = |input: ParseStream, _: &mut Diagnostics| {
        if peek(input, "waive") {
            return waiver(input).map(Line::Waive);
        }
        let line = if take(input, "bit").is_some() {
            Line::Bit(expression::path(input)?)
        } else if let Some(span) = take(input, "default") {
            Line::Offer(At {
                value: Offer::Default,
                span,
            })
        } else if let Some(span) = take(input, "offered") {
            Line::Offer(At {
                value: Offer::Offered,
                span,
            })
        } else if take(input, "requires").is_some() {
            let mut one_of = vec![name(input)?];
            while input.peek(Token![|]) {
                input.parse::<Token![|]>()?;
                one_of.push(name(input)?);
            }
            Line::Requires(one_of)
        } else if take(input, "host").is_some() {
            Line::Host(name(input)?)
        } else {
            return Err(unknown(input, "statement of a feature", LINES));
        };
        semicolon(input)?;
        Ok(line)
    };
    let lines = block(
        input,
        diagnostics,
        &Lines {
            known: LINES,
            line,
            poisoned: |_| Line::Poisoned,
        },
    );
    let mut feature = Feature {
        doc,
        name: its_name.filter(|_| known)?,
        versions,
        bit: Vec::new(),
        offer: Vec::new(),
        requires: Vec::new(),
        host: Vec::new(),
        waivers: Vec::new(),
    };
    for said in lines {
        if let Some(versions) = said.versions {
            diagnostics.add_syntax(&error(
                versions.span,
                "an `in` block in a feature",
                "write two features, or put `in` after the feature's name",
            ));
        }
        match said.what {
            Line::Bit(bit) => feature.bit.push(bit),
            Line::Offer(offer) => feature.offer.push(offer),
            Line::Requires(one_of) => feature.requires.push(one_of),
            Line::Host(host) => feature.host.push(host),
            Line::Waive(waiver) => feature.waivers.push(waiver),
            Line::Poisoned => {}
        }
    }
    Some(feature)
}

/// `hook NAME(argument: type, ...);`, its first word already read; none if a mistake hides its name.
pub fn hook(input: ParseStream, doc: String, diagnostics: &mut Diagnostics) -> Option<Hook> {
    let (mut its_name, mut arguments) = (None, None);
    if let Err(error) = signature(input, &mut its_name, &mut arguments) {
        diagnostics.add_syntax(&error);
        super::to_next_item(input);
        // Which arguments it has is not known; that it has some is.
        arguments.get_or_insert_default();
    }
    Some(Hook {
        doc,
        name: its_name?,
        arguments,
    })
}

fn signature(
    input: ParseStream,
    its_name: &mut Option<Name>,
    arguments: &mut Option<Vec<(Name, Name)>>,
) -> syn::Result<()> {
    *its_name = Some(name(input)?);
    if input.peek(token::Paren) {
        let content;
        syn::parenthesized!(content in input);
        let list = arguments.insert(Vec::new());
        while !content.is_empty() {
            let argument = name(&content)?;
            content.parse::<Token![:]>().map_err(|e| {
                error(
                    e.span(),
                    format!("argument `{}` has no type", argument.text),
                    "write `value: u64`",
                )
            })?;
            list.push((argument, name(&content)?));
            if !content.is_empty() {
                content.parse::<Token![,]>()?;
            }
        }
    }
    semicolon(input)
}

/// `removed tag N [accepted [in VERSIONS]] "why";`, `removed bit REG [n] "why";`; its first word, at `span`, already read; none if
/// there is a mistake in it.
pub fn removed(input: ParseStream, span: Span, diagnostics: &mut Diagnostics) -> Option<Removed> {
    let read = tombstone(input, span);
    if let Err(error) = &read {
        diagnostics.add_syntax(error);
        super::to_next_item(input);
    }
    read.ok()
}

fn tombstone(input: ParseStream, span: Span) -> syn::Result<Removed> {
    let what = if take(input, "tag").is_some() {
        let tag = integer(input)?;
        let accepted = optional(input, "accepted", &[])?;
        let versions = match accepted {
            true => maybe_versions(input)?,
            false => None,
        };
        RemovedThing::Tag {
            tag,
            accepted,
            versions,
        }
    } else if take(input, "bit").is_some() {
        let register = name(input)?;
        let (hi, lo, bits_span) = bits::range(input)?;
        if hi != lo {
            return Err(error(
                bits_span,
                "more than one bit",
                "write a line for each bit",
            ));
        }
        RemovedThing::Bit(
            register,
            At {
                value: hi,
                span: bits_span,
            },
        )
    } else {
        return Err(unknown(input, "word", &["tag", "bit"]));
    };
    let why = string(input)?.value;
    semicolon(input)?;
    Ok(Removed { span, what, why })
}
