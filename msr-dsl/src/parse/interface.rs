//! `interface`, `feature`, `hook`, `removed`.

use super::words::{
    absent, error, integer, maybe_versions, name, peek, string, take, unknown, waiver, word,
};
use super::{bits, block, contained, expression, semicolon};
use crate::ast::{
    At, Banks, Feature, Hook, Interface, Name, Offer, Removed, RemovedThing, Said, VersionLine,
    Waiver,
};
use crate::diagnostics::{Diagnostics, from_to};
use syn::Token;
use syn::parse::ParseStream;
use syn::token;

enum InterfaceLine {
    Vendor(Name),
    Version(VersionLine),
    Capability(Name),
    Banks(Banks),
    Extra(At<u64>),
    Waive(Waiver),
}

/// `interface NAME { ... }`
pub fn interface(
    input: ParseStream,
    doc: String,
    diagnostics: &mut Diagnostics,
) -> syn::Result<Interface> {
    word(input, "interface")?;
    let mut interface = Interface {
        doc,
        name: dashed(input)?,
        vendor: Vec::new(),
        versions: Vec::new(),
        capability: Vec::new(),
        banks: Vec::new(),
        extra: Vec::new(),
        waivers: Vec::new(),
    };
    for said in block(input, diagnostics, &mut interface_line)? {
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
            InterfaceLine::Extra(count) => interface.extra.push(count),
            InterfaceLine::Waive(waiver) => interface.waivers.push(waiver),
        }
    }
    Ok(interface)
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
    let known = [
        "vendor",
        "version",
        "capability",
        "banks",
        "extra",
        "waive",
        "in",
    ];
    if peek(input, "waive") {
        return waiver(input).map(InterfaceLine::Waive);
    }
    if take(input, "banks").is_some() {
        return banks(input, diagnostics).map(InterfaceLine::Banks);
    }
    let line = if take(input, "vendor").is_some() {
        InterfaceLine::Vendor(name(input)?)
    } else if take(input, "version").is_some() {
        let number = integer(input)?;
        let restore_only = take(input, "restore_only").is_some();
        InterfaceLine::Version(VersionLine {
            number,
            text: string(input)?,
            restore_only,
        })
    } else if take(input, "capability").is_some() {
        InterfaceLine::Capability(name(input)?)
    } else if take(input, "extra").is_some() {
        InterfaceLine::Extra(integer(input)?)
    } else {
        return Err(unknown(input, "statement of an interface", &known));
    };
    semicolon(input)?;
    Ok(line)
}

fn banks(input: ParseStream, diagnostics: &mut Diagnostics) -> syn::Result<Banks> {
    enum Line {
        Count(crate::ast::Expr),
        Limit(At<u64>),
        Stored(At<u64>),
        Beyond(At<crate::ast::Absent>),
    }
    let lines = block(input, diagnostics, &mut |input, _| {
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
            return Err(unknown(
                input,
                "statement of banks",
                &["count", "limit", "stored", "beyond", "in"],
            ));
        };
        semicolon(input)?;
        Ok(line)
    })?;
    let mut banks = Banks {
        count: Vec::new(),
        limit: Vec::new(),
        stored: Vec::new(),
        beyond: Vec::new(),
    };
    for said in lines {
        let (span, versions) = (said.span, said.versions);
        match said.what {
            Line::Count(what) => banks.count.push(Said {
                what,
                span,
                versions,
            }),
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
    Ok(banks)
}

/// `feature NAME in VERSIONS { ... }`
pub fn feature(
    input: ParseStream,
    doc: String,
    diagnostics: &mut Diagnostics,
) -> syn::Result<Feature> {
    enum Line {
        Bit(crate::ast::Expr),
        Offer(At<Offer>),
        Requires(Vec<Name>),
        Host(Name),
        Waive(Waiver),
        Poisoned,
    }
    const LINES: &[&str] = &["bit", "default", "offered", "requires", "host", "waive"];
    word(input, "feature")?;
    let feature_name = name(input)?;
    let versions = maybe_versions(input)?;
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
    let lines = block(input, diagnostics, &mut |input, diagnostics| {
        Ok(contained(
            input,
            diagnostics,
            LINES,
            |_| Line::Poisoned,
            line,
        ))
    })?;
    let mut feature = Feature {
        doc,
        name: feature_name,
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
    Ok(feature)
}

/// `hook NAME(argument: type, ...);`
pub fn hook(input: ParseStream, doc: String) -> syn::Result<Hook> {
    word(input, "hook")?;
    let hook_name = name(input)?;
    let mut arguments = None;
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
    semicolon(input)?;
    Ok(Hook {
        doc,
        name: hook_name,
        arguments,
    })
}

/// `removed tag N [accepted] "why";`, `removed bit REG [n] "why";`
pub fn removed(input: ParseStream) -> syn::Result<Removed> {
    let span = word(input, "removed")?;
    let what = if take(input, "tag").is_some() {
        let tag = integer(input)?;
        RemovedThing::Tag {
            tag,
            accepted: take(input, "accepted").is_some(),
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
