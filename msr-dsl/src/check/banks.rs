//! Banks: how many there are, and how many have state.

use super::Context;
use super::expression::{Scope, value_in};
use super::select::{select, single};
use crate::codes;
use crate::diagnostics::Diagnostics;
use crate::model::{Banks, View};

/// Most banks that any processor has: MCG_CAP.COUNT has eight bits, and MSRs end earlier.
const MOST: u64 = 64;

/// The banks of this version; none if nothing is banked.
pub fn banks(cx: &Context, diagnostics: &mut Diagnostics) -> Option<Banks> {
    let said = select(&cx.spec.interfaces[0].banks, cx.version).map(|said| (&said.what, said.span));
    let banked = cx.registers.iter().find(|register| register.banked);
    let Some((banks, span)) = single(said, "banks", diagnostics) else {
        if let Some(register) = banked {
            diagnostics.add(
                &codes::NO_BANKS,
                register.name.span,
                format!("`{}` is banked, and the interface has no banks", register.name.text),
                "add `banks { count MCG_CAP.COUNT; limit 32; stored 2; beyond fault; }` to the interface",
            );
        }
        return None;
    };
    if banked.is_none() {
        diagnostics.add(
            &codes::NO_BANKS,
            span,
            "banks without a banked register",
            "write `bank register ...`, or leave the banks out",
        );
        return None;
    }
    let missing = |word: &str, diagnostics: &mut Diagnostics| {
        diagnostics.add(
            &codes::HALF_SAID,
            span,
            format!("banks without `{word}`"),
            "say count, limit, stored and beyond",
        );
    };
    let count = single(
        select(&banks.count, cx.version).map(|said| (&said.what, said.what.span)),
        "count",
        diagnostics,
    );
    let limit = single(
        banks.limit.iter().map(|at| (at.value, at.span)),
        "limit",
        diagnostics,
    );
    let stored = single(
        select(&banks.stored, cx.version).map(|said| (said.what.value, said.what.span)),
        "stored",
        diagnostics,
    );
    let beyond = single(
        select(&banks.beyond, cx.version).map(|said| (said.what.value, said.what.span)),
        "beyond",
        diagnostics,
    );
    for (word, there) in [
        ("count", count.is_some()),
        ("limit", limit.is_some()),
        ("stored", stored.is_some()),
        ("beyond", beyond.is_some()),
    ] {
        if !there {
            missing(word, diagnostics);
        }
    }
    let ((count, _), (limit, limit_at), (stored, stored_at), (beyond, _)) =
        (count?, limit?, stored?, beyond?);
    if !(1..=MOST).contains(&limit) {
        diagnostics.add(
            &codes::OUT_OF_RANGE,
            limit_at,
            format!("a limit of {limit} banks"),
            format!("1 to {MOST}"),
        );
        return None;
    }
    if stored > limit {
        diagnostics.add(
            &codes::BANK_COUNT,
            stored_at,
            format!("{stored} banks have state, but only {limit} have addresses"),
            "raise the limit, or store fewer",
        );
        return None;
    }
    let count = value_in(cx, count, Scope::OUTSIDE, diagnostics)?;
    Some(Banks {
        count,
        limit: limit as u32,
        stored: stored as u32,
        beyond,
    })
}

/// A new guest has at least one bank, and not more than have addresses.
pub fn consistent(cx: &Context, view: &View, diagnostics: &mut Diagnostics) {
    let Some(banks) = &view.banks else { return };
    let said = select(&cx.spec.interfaces[0].banks, cx.version).next();
    let Some(count) = said.and_then(|said| select(&said.what.count, cx.version).next()) else {
        return;
    };
    let born = crate::interpret::at_reset(view, &banks.count);
    if born == 0 {
        diagnostics.add(
            &codes::BANK_COUNT,
            count.what.span,
            "a new guest has no bank",
            "let the reset value of the count be at least 1",
        );
    } else if born > u64::from(banks.limit) {
        diagnostics.add(
            &codes::BANK_COUNT,
            count.what.span,
            format!(
                "a new guest counts {born} banks, but only {} have addresses",
                banks.limit
            ),
            "lower the count's reset value, or raise the limit",
        );
    }
}
