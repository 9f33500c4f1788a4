//! Bits of a register, and sets of values.

use super::words::{error, integer, name, peek, unknown};
use super::{expression, words};
use crate::ast::{BitItem, BitRule, Bits, Set};
use crate::diagnostics::from_to;
use proc_macro2::Span;
use syn::parse::ParseStream;
use syn::{Token, token};

/// The words for [`BitRule`].
pub const RULES: &[&str] = &[
    "store",
    "ignore",
    "fault_if_set",
    "fault_on_change",
    "one_clears",
    "one_sets",
    "zero_clears",
    "sticky",
    "locked",
];

/// `store`, `one_clears`, `locked FIELD`, ...
pub fn rule(input: ParseStream) -> syn::Result<BitRule> {
    for text in RULES {
        if words::take(input, text).is_none() {
            continue;
        }
        return Ok(match *text {
            "store" => BitRule::Store,
            "ignore" => BitRule::Ignore,
            "fault_if_set" => BitRule::FaultIfSet,
            "fault_on_change" => BitRule::FaultOnChange,
            "one_clears" => BitRule::OneClears,
            "one_sets" => BitRule::OneSets,
            "zero_clears" => BitRule::ZeroClears,
            "sticky" => BitRule::Sticky,
            _ => BitRule::Locked(expression::expression(input)?),
        });
    }
    Err(unknown(input, "rule", RULES))
}

/// `[hi:lo]` or `[bit]`.
pub fn range(input: ParseStream) -> syn::Result<(u64, u64, Span)> {
    let content;
    let bracket = syn::bracketed!(content in input);
    let span = bracket.span.join();
    let hi = integer(&content)?.value;
    let lo = match content.peek(Token![:]) {
        true => {
            content.parse::<Token![:]>()?;
            integer(&content)?.value
        }
        false => hi,
    };
    if !content.is_empty() {
        return Err(error(
            content.span(),
            "more than a bit range",
            "write `[hi:lo]` or `[bit]`",
        ));
    }
    if hi > 63 {
        return Err(error(
            span,
            format!("bit {hi} of an MSR"),
            "the highest bit is 63",
        ));
    }
    if lo > hi {
        return Err(error(
            span,
            format!("[{hi}:{lo}] is upside down"),
            format!("write the higher bit first: [{lo}:{hi}]"),
        ));
    }
    Ok((hi, lo, span))
}

fn item(input: ParseStream) -> syn::Result<(BitItem, Span)> {
    if input.peek(token::Bracket) {
        let (hi, lo, span) = range(input)?;
        return Ok((BitItem::Range(hi, lo, span), span));
    }
    if input.peek(syn::LitInt) {
        let mask = integer(input)?;
        return Ok((BitItem::Mask(mask.value, mask.span), mask.span));
    }
    let name = name(input)?;
    let span = name.span;
    Ok((BitItem::Field(name), span))
}

/// `A | [7:0] | 0x30`, `all`, `none`, `all less A | B`.
pub fn bits(input: ParseStream) -> syn::Result<Bits> {
    let start = input.span();
    if peek(input, "none") {
        let span = words::word(input, "none")?;
        return Ok(Bits {
            all_less: false,
            items: Vec::new(),
            span,
        });
    }
    let mut all_less = false;
    if peek(input, "all") {
        all_less = true;
        let all = words::word(input, "all")?;
        if !words::optional(input, "less", &[])? {
            return Ok(Bits {
                all_less,
                items: Vec::new(),
                span: all,
            });
        }
    }
    let (first, mut last) = item(input)?;
    let mut items = vec![first];
    while input.peek(Token![|]) {
        input.parse::<Token![|]>()?;
        let (one, span) = item(input)?;
        items.push(one);
        last = span;
    }
    Ok(Bits {
        all_less,
        items,
        span: from_to(start, last),
    })
}

/// `zero, all_ones, all_ones less [0] [10], 3..=7`
pub fn sets(input: ParseStream) -> syn::Result<Vec<Set>> {
    let mut sets = Vec::new();
    loop {
        sets.push(set(input)?);
        if !input.peek(Token![,]) {
            return Ok(sets);
        }
        input.parse::<Token![,]>()?;
    }
}

fn set(input: ParseStream) -> syn::Result<Set> {
    if is_less(input) {
        words::word(input, "all_ones")?;
        words::optional(input, "less", &[])?;
        let mut items = vec![item(input)?.0];
        while input.peek(token::Bracket) {
            items.push(item(input)?.0);
        }
        return Ok(Set::AllOnesLess(items));
    }
    if input.peek(syn::LitInt) && input.peek2(Token![..=]) {
        let low = integer(input)?;
        input.parse::<Token![..=]>()?;
        let high = integer(input)?;
        if high.value < low.value {
            return Err(error(
                from_to(low.span, high.span),
                "an empty range",
                "write the lower value first",
            ));
        }
        return Ok(Set::Range(low.value, high.value));
    }
    if input.peek(syn::LitInt) && input.peek2(Token![..]) {
        integer(input)?;
        return Err(error(
            input.span(),
            "both ends of a range belong to it",
            "write `..=`",
        ));
    }
    Ok(Set::One(expression::expression(input)?))
}

/// `all_ones less`, or the same with `less` misspelt.
fn is_less(input: ParseStream) -> bool {
    let ahead = input.fork();
    words::take(&ahead, "all_ones").is_some()
        && !matches!(words::optional(&ahead, "less", &[]), Ok(false))
}
