//! Banks: how many there are, and how many have state.

use super::Context;
use super::expression::{Scope, value_in};
use super::select::{select, single};
use crate::codes;
use crate::diagnostics::Diagnostics;
use crate::model::{Banks, Expr, Op, Read, Register, View};

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
    if super::features::unset(cx, view).is_some() {
        return;
    }
    let said = select(&cx.spec.interfaces[0].banks, cx.version).next();
    let Some(count) = said.and_then(|said| select(&said.what.count, cx.version).next()) else {
        return;
    };
    let born = crate::interpret::at_reset(view, &banks.count);
    if let Some((message, help)) = contradicted(view, banks, born) {
        diagnostics.add(&codes::BANK_COUNT, count.what.span, message, help);
    } else if born == 0 {
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
    } else if let Some(most) = most(view, banks).filter(|most| *most < u64::from(banks.stored)) {
        let stored = said.and_then(|said| select(&said.what.stored, cx.version).next());
        diagnostics.add(
            &codes::BANK_COUNT,
            stored.map_or(count.what.span, |stored| stored.what.span),
            format!(
                "{} banks have state, and no guest of version {} counts more than {most}",
                banks.stored, cx.version
            ),
            format!("write `stored {most};`, or let `restore accepts` take higher counts"),
        );
    }
}

/// The most banks that any guest counts, up to those that have state; none if that is not decided by the capability register.
fn most(view: &View, banks: &Banks) -> Option<u64> {
    let (_, register) = view.ids().find(|(_, register)| register.banked)?;
    let at_least = |number: u64| {
        let number = Box::new(Expr::Number(number));
        let condition = Expr::Binary(Op::Ge, Box::new(banks.count.clone()), number);
        super::guests::same_for_all(view, register, &condition) != Some(false)
    };
    (0..=u64::from(banks.stored))
        .rev()
        .find(|number| at_least(*number))
}

/// The MSR in whose bits 7:0 a guest reads how many banks it has (SDM vol. 3, 16.3.1.1).
const MCG_CAP: u32 = 0x179;

/// What MCG_CAP says of the banks, if that is not what answers. A count above the limit is none: those banks have no addresses.
fn contradicted(view: &View, banks: &Banks, born: u64) -> Option<(String, String)> {
    let at = |register: &&Register| register.addresses.iter().any(|one| one.first == MCG_CAP);
    let register = view.registers.iter().find(at)?;
    let id = view.find(&register.name)?;
    if register.banked || !matches!(register.read, Read::Value(_)) {
        return None;
    }
    let said = crate::interpret::at_reset(view, &Expr::Register(id)) & 0xff;
    let help = match register.fields.iter().find(|field| field.mask() == 0xff) {
        Some(field) => format!("write `count {}.{};`", register.name, field.name),
        None => format!("name bits 7:0 of `{}` and count by them", register.name),
    };
    if said != born {
        let message = format!(
            "a new guest reads a count of {said} in `{}`, and {born} banks answer",
            register.name
        );
        return Some((message, help));
    }
    let varies = view.capability == Some(id) && register.accepts & 0xff & !register.reset != 0;
    let follows = view.computed_from(banks.count.registers()).contains(&id);
    (varies && !follows).then(|| {
        let message = format!(
            "a restored guest may read another count in `{}`, and {born} banks answer all the same",
            register.name
        );
        (message, help)
    })
}
