//! Features and the capability register.

use super::Context;
use super::expression::{Scope, condition_in};
use super::select::{lives, single};
use crate::ast::{self, Statement};
use crate::codes;
use crate::diagnostics::{Diagnostics, start};
use crate::model::{Expr, Feature, Migrate, Offer, Read, RegisterId, View};
use crate::words::suggest;

/// The register that `capability` names.
pub fn capability(cx: &Context, view: &View, diagnostics: &mut Diagnostics) -> Option<RegisterId> {
    let said = cx.spec.interfaces[0]
        .capability
        .iter()
        .map(|name| (name, name.span));
    let (name, span) = single(said, "capability", diagnostics)?;
    let Some(id) = view.find(&name.text) else {
        let known: Vec<&str> = view
            .registers
            .iter()
            .map(|register| register.name.as_str())
            .collect();
        diagnostics.add(
            &codes::UNKNOWN_NAME,
            span,
            format!("unknown register `{}`", name.text),
            suggest(&name.text, &known),
        );
        return None;
    };
    let register = view.register(id);
    if register.banked
        || !matches!(register.read, Read::Value(Expr::State))
        || super::register::writable(register) != 0
    {
        diagnostics.add(
            &codes::CAPABILITY,
            cx.registers[id.0].name.span,
            format!(
                "`{}` is the capability register, which a guest must not change",
                name.text
            ),
            "let it be one register with state and `write ignore;` or `write fault;`",
        );
    }
    Some(id)
}

/// The features of this version.
pub fn features(cx: &Context, view: &View, diagnostics: &mut Diagnostics) -> Vec<Feature> {
    cx.features()
        .filter_map(|feature| one(cx, view, feature, diagnostics))
        .collect()
}

fn one(
    cx: &Context,
    view: &View,
    feature: &ast::Feature,
    diagnostics: &mut Diagnostics,
) -> Option<Feature> {
    let Some((path, span)) = single(
        feature.bit.iter().map(|bit| (bit, bit.span)),
        "bit",
        diagnostics,
    ) else {
        diagnostics.add(
            &codes::FEATURE_WITHOUT_BIT,
            feature.name.span,
            format!("feature `{}` has no bit", feature.name.text),
            "say how a guest sees it: `bit MCG_CAP.LMCE_P;`",
        );
        return None;
    };
    let bit = match condition_in(cx, path, Scope::OUTSIDE, diagnostics)? {
        Expr::IsSet(field) => match *field {
            Expr::Field(of, bit, _) if matches!(*of, Expr::Register(id) if Some(id) == view.capability) => {
                bit
            }
            _ => return not_capability(span, diagnostics),
        },
        _ => return not_capability(span, diagnostics),
    };
    let offer = single(
        feature.offer.iter().map(|at| (at.value, at.span)),
        "default",
        diagnostics,
    );
    if offer.is_none() {
        diagnostics.add(
            &codes::FEATURE_OFFER,
            feature.name.span,
            format!("feature `{}` does not say who gets it", feature.name.text),
            "add `default;` (every guest) or `offered;` (guests for which it is selected)",
        );
    }
    for name in feature.requires.iter().flatten() {
        if !cx.features().any(|other| other.name.text == name.text) {
            let known: Vec<&str> = cx
                .features()
                .map(|other| other.name.text.as_str())
                .collect();
            diagnostics.add(
                &codes::UNKNOWN_NAME,
                name.span,
                format!("no feature `{}` in version {}", name.text, cx.version),
                suggest(&name.text, &known),
            );
        }
    }
    half_there(cx, feature, diagnostics);
    let host = single(
        feature.host.iter().map(|name| (name, name.span)),
        "host",
        diagnostics,
    );
    Some(Feature {
        name: feature.name.text.clone(),
        doc: feature.doc.clone(),
        bit,
        offer: offer?.0,
        requires: feature
            .requires
            .iter()
            .map(|list| list.iter().map(|name| name.text.clone()).collect())
            .collect(),
        host: host
            .map(|(name, _)| name.text.clone())
            .filter(|name| name != "none"),
    })
}

fn not_capability<T>(span: proc_macro2::Span, diagnostics: &mut Diagnostics) -> Option<T> {
    diagnostics.add(
        &codes::FEATURE_BIT,
        span,
        "not a bit of the capability register",
        "name a `bool` field of the register that `capability` names in the interface",
    );
    None
}

/// A register that a feature brings exists wherever the feature does.
fn half_there(cx: &Context, feature: &ast::Feature, diagnostics: &mut Diagnostics) {
    let bit = feature.bit.first().and_then(|bit| match &bit.kind {
        ast::ExprKind::Path { field, .. } => field.as_ref(),
        _ => None,
    });
    for register in cx
        .spec
        .registers
        .iter()
        .filter(|register| !lives(register.versions, cx.version))
    {
        let brought = register.statements.iter().any(|said| match &said.what {
            Statement::When(condition, _) => {
                speaks_of(condition, &feature.name.text)
                    || bit.is_some_and(|bit| speaks_of(condition, &bit.text))
            }
            _ => false,
        });
        let other = cx
            .spec
            .registers
            .iter()
            .any(|r| r.name.text == register.name.text && lives(r.versions, cx.version));
        if brought && !other {
            let at = start(feature.name.span);
            diagnostics.add(
                &codes::FEATURE_HALF_THERE,
                register.name.span,
                format!(
                    "feature `{}` (at {}:{}) exists in version {}, and its register `{}` does not",
                    feature.name.text, at.line, at.column, cx.version, register.name.text
                ),
                "give both the same versions",
            );
        }
    }
}

fn speaks_of(expr: &ast::Expr, name: &str) -> bool {
    match &expr.kind {
        ast::ExprKind::Path { base, field, .. } => {
            base.text == name || field.as_ref().is_some_and(|field| field.text == name)
        }
        ast::ExprKind::Not(inner) => speaks_of(inner, name),
        ast::ExprKind::Binary(_, a, b) => speaks_of(a, name) || speaks_of(b, name),
        ast::ExprKind::If(a, b, c) => [a, b, c].iter().any(|e| speaks_of(e, name)),
        _ => false,
    }
}

/// Features among themselves, and with the capability register's values.
pub fn consistent(cx: &Context, view: &View, diagnostics: &mut Diagnostics) {
    let span_of = |name: &str| {
        cx.features()
            .find(|f| f.name.text == name)
            .map(|f| f.name.span)
    };
    let Some(capability) = view.capability else {
        return;
    };
    let register = view.register(capability);
    unreachable(cx, view, capability, diagnostics);
    for (i, feature) in view.features.iter().enumerate() {
        let Some(span) = span_of(&feature.name) else {
            continue;
        };
        if let Some(first) = view.features[..i]
            .iter()
            .find(|first| first.bit == feature.bit)
        {
            diagnostics.add(
                &codes::FEATURE_BIT_TWICE,
                span,
                format!(
                    "`{}` and `{}` have the same bit {}",
                    feature.name, first.name, feature.bit
                ),
                "a guest tells features by their bits: give each its own",
            );
        }
        let born = register.reset >> feature.bit & 1 == 1;
        match feature.offer {
            Offer::Default if !born => diagnostics.add(
                &codes::FEATURE_RESET,
                span,
                format!(
                    "`{}` is default, and its bit {} is clear in the reset value of `{}`",
                    feature.name, feature.bit, register.name
                ),
                "set the bit there, or write `offered;`",
            ),
            Offer::Offered if born => diagnostics.add(
                &codes::FEATURE_RESET,
                span,
                format!(
                    "`{}` is offered, and its bit {} is set in the reset value of `{}`",
                    feature.name, feature.bit, register.name
                ),
                "clear the bit there, or write `default;`",
            ),
            _ => {}
        }
        if matches!(register.migrate, Migrate::Saved { .. })
            && register.accepts >> feature.bit & 1 == 0
        {
            diagnostics.add(
                &codes::FEATURE_RESTORE,
                span,
                format!(
                    "a guest with `{}` is saved, and its record is refused",
                    feature.name
                ),
                format!("add its field to `restore accepts` of `{}`", register.name),
            );
        }
        if cyclic(view, &feature.name, &feature.name, &mut Vec::new()) {
            diagnostics.add(
                &codes::FEATURE_CYCLE,
                span,
                format!("`{}` requires itself in the end", feature.name),
                "take one `requires` out of the circle",
            );
            return;
        }
    }
}

/// Some guest has each register: a new one, one with features, or a restored one.
fn unreachable(cx: &Context, view: &View, capability: RegisterId, diagnostics: &mut Diagnostics) {
    let register = view.register(capability);
    let features = view
        .features
        .iter()
        .fold(0, |bits, feature| bits | 1u64 << feature.bit);
    let restored = if matches!(register.migrate, Migrate::Saved { .. }) {
        register.accepts
    } else {
        0
    };
    let possible = register.reset | features | restored;
    let mut words = vec![0, register.reset, possible];
    words.extend((0..64).flat_map(|bit| [possible & (1 << bit), possible & !(1 << bit)]));
    for (id, register) in view.ids() {
        let Some((condition, _)) = &register.present else {
            continue;
        };
        let mut by_capability = true;
        condition.walk(&mut |one| match one {
            Expr::Register(other) => by_capability &= *other == capability,
            Expr::State | Expr::Value | Expr::Index | Expr::Cell(..) => by_capability = false,
            _ => {}
        });
        if by_capability
            && !words
                .iter()
                .any(|word| crate::interpret::holds_with(view, *word, condition))
        {
            diagnostics.add(
                &codes::UNREACHABLE,
                cx.registers[id.0].name.span,
                format!("no guest of version {} can have `{}`", cx.version, register.name),
                "its condition needs a bit that no feature, reset value or restore sets: add the feature, or take the register out",
            );
        }
    }
}

fn cyclic<'a>(view: &'a View, from: &'a str, to: &str, seen: &mut Vec<&'a str>) -> bool {
    if seen.contains(&from) {
        return false;
    }
    seen.push(from);
    let Some(feature) = view.features.iter().find(|feature| feature.name == from) else {
        return false;
    };
    feature
        .requires
        .iter()
        .flatten()
        .any(|next| next == to || cyclic(view, next, to, seen))
}
