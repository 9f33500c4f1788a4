//! What a condition is in the guests that there can be: every capability word that one can have is tried.

use super::Context;
use crate::ast;
use crate::codes;
use crate::diagnostics::Diagnostics;
use crate::model::{Expr, Migrate, Read, Register, View, Write};

/// The most bits of the capability word that are tried in every combination.
const DECIDED: u32 = 16;

/// Some guest has each register: a new one, one with features, or a restored one. Every capability word that a guest can have is
/// tried, as far as a condition asks for it; a condition that asks for more than [`DECIDED`] bits is not doubted.
pub fn unreachable(cx: &Context, view: &View, diagnostics: &mut Diagnostics) {
    for (id, register) in view.ids() {
        let mut never = |condition: &Expr, what: &str, name: &ast::Name| {
            if !may_hold(view, register, condition) {
                diagnostics.add(
                    &codes::UNREACHABLE,
                    name.span,
                    format!("no guest of version {} can have `{}`", cx.version, name.text),
                    format!("its condition holds for no capability word that a feature, the reset value or a restore gives: add the feature, or take the {what} out"),
                );
            }
        };
        if let Some((condition, _)) = &register.present {
            never(condition, "register", &cx.registers[id.0].name);
        }
        for ast in cx.fields(id) {
            let field = register.fields.iter().find(|one| one.name == ast.name.text);
            if let Some(condition) = field.and_then(|field| field.present.as_ref()) {
                never(condition, "field", &ast.name);
            }
        }
        if matches!(
            (&register.read, &register.write),
            (Read::Unlisted, Write::Unlisted)
        ) {
            let name = &cx.registers[id.0].name;
            diagnostics.add(
                &codes::UNREACHABLE,
                name.span,
                format!(
                    "`{}` lists neither reads nor writes: no access reaches it",
                    name.text
                ),
                "take the register out: what no spec lists is answered so anyway",
            );
        }
    }
}

/// What a condition that asks for the capability register alone is in every guest, at every index of the register; none if that
/// differs, or is more than can be decided.
pub fn same_for_all(view: &View, register: &Register, condition: &Expr) -> Option<bool> {
    asked(view, condition).filter(|asked| asked.count_ones() <= DECIDED)?;
    let not = Expr::Not(Box::new(condition.clone()));
    match (
        may_hold(view, register, condition),
        may_hold(view, register, &not),
    ) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        _ => None,
    }
}

/// The capability word of a guest that does not meet a condition; none if all do, or if that is more than can be decided.
pub fn without(view: &View, condition: &Expr) -> Option<u64> {
    let asked = asked(view, condition).filter(|asked| asked.count_ones() <= DECIDED)?;
    let not = Expr::Not(Box::new(condition.clone()));
    let meets = |word: &u64| crate::interpret::holds_with_one_of(view, [*word], 1, &not);
    words(view, asked).find(meets)
}

/// Whether some guest meets a condition, at some index of the register; yes if that is more than can be decided.
fn may_hold(view: &View, register: &Register, condition: &Expr) -> bool {
    let Some(asked) = asked(view, condition) else {
        return true;
    };
    let indices = register.addresses.iter().map(|address| address.count).max();
    asked.count_ones() > DECIDED
        || crate::interpret::holds_with_one_of(
            view,
            words(view, asked),
            indices.unwrap_or(1),
            condition,
        )
}

/// The bits of the capability word that a condition asks for; none if it asks for anything else.
fn asked(view: &View, condition: &Expr) -> Option<u64> {
    let is_capability =
        |expr: &Expr| matches!(expr, Expr::Register(id) if view.capability == Some(*id));
    match condition {
        Expr::Number(_) | Expr::Bool(_) => Some(0),
        // Every bank, or place of a range, is tried.
        Expr::Index => Some(0),
        Expr::Value | Expr::State | Expr::Cell(..) => None,
        Expr::Register(_) => is_capability(condition).then_some(u64::MAX),
        Expr::Field(inner, hi, lo) if is_capability(inner) => Some(crate::model::mask(*hi, *lo)),
        Expr::Field(inner, ..) | Expr::IsSet(inner) | Expr::AsBit(inner) | Expr::Not(inner) => {
            asked(view, inner)
        }
        Expr::Binary(_, a, b) => Some(asked(view, a)? | asked(view, b)?),
        Expr::If(a, b, c) => Some(asked(view, a)? | asked(view, b)? | asked(view, c)?),
    }
}

/// Every capability word of a guest, where the words differ in these bits: the reset value with any features, and what a restore accepts.
fn words(view: &View, asked: u64) -> impl Iterator<Item = u64> {
    let register = view.capability.map(|id| view.register(id));
    let reset = register.map_or(0, |register| register.reset);
    let restored = match register {
        Some(register) if matches!(register.migrate, Migrate::Saved { .. }) => register.accepts,
        _ => 0,
    };
    let features = view
        .features
        .iter()
        .fold(0, |bits, feature| bits | 1u64 << feature.bit);
    let selected = subsets(features & asked).map(move |bits| reset & !features | bits);
    let fields = register.map_or(&[][..], |register| &register.fields);
    let possible = move |word: &u64| {
        fields.iter().all(|field| {
            let own = asked & field.mask();
            let mut listed = field.restored.iter().flatten();
            field.restored.is_none() || listed.any(|value| value << field.lo & own == word & own)
        })
    };
    selected.chain(subsets(restored & asked).filter(possible))
}

/// Every subset of the bits of a mask.
pub fn subsets(mask: u64) -> impl Iterator<Item = u64> {
    let mut next = Some(0u64);
    std::iter::from_fn(move || {
        let this = next?;
        next = (this != mask).then(|| this.wrapping_sub(mask) & mask);
        Some(this)
    })
}
