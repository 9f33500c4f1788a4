//! Features and the capability register.

use super::Context;
use super::expression::{Scope, condition_in};
use super::select::{lives, single};
use crate::ast::{self, Statement};
use crate::codes;
use crate::diagnostics::{Diagnostics, start};
use crate::model::{Expr, Feature, Migrate, Offer, Read, Register, RegisterId, View, Write};
use crate::words::suggest;
use std::collections::BTreeSet;

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
    for (at, list) in feature.requires.iter().enumerate() {
        let texts = |list: &[ast::Name]| {
            list.iter()
                .map(|name| name.text.clone())
                .collect::<BTreeSet<_>>()
        };
        let again = feature.requires[..at]
            .iter()
            .any(|other| texts(other) == texts(list));
        if let Some(name) = list.first()
            && (again || texts(list).len() < list.len())
        {
            diagnostics.add(
                &codes::SAID_TWICE,
                name.span,
                format!("`{}` is required twice", name.text),
                "keep one",
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
            missing(cx, feature, "register", &register.name, diagnostics);
        }
    }
    half_there_fields(cx, feature, bit, diagnostics);
}

/// The same for a field of a register that is there.
fn half_there_fields(
    cx: &Context,
    feature: &ast::Feature,
    bit: Option<&ast::Name>,
    diagnostics: &mut Diagnostics,
) {
    for register in &cx.registers {
        let fields = || {
            register
                .statements
                .iter()
                .filter_map(|said| match &said.what {
                    Statement::Field(field) => Some((
                        lives(said.versions, cx.version) && lives(field.versions, cx.version),
                        field,
                    )),
                    _ => None,
                })
        };
        for (_, field) in fields().filter(|(lives, _)| !lives) {
            let brought = field.statements.iter().any(|said| match &said.what {
                ast::FieldStatement::When(condition) => {
                    speaks_of(condition, &feature.name.text)
                        || bit.is_some_and(|bit| speaks_of(condition, &bit.text))
                }
                _ => false,
            });
            let other = fields().any(|(lives, other)| lives && other.name.text == field.name.text);
            if brought && !other {
                missing(cx, feature, "field", &field.name, diagnostics);
            }
        }
    }
}

fn missing(
    cx: &Context,
    feature: &ast::Feature,
    kind: &str,
    name: &ast::Name,
    diagnostics: &mut Diagnostics,
) {
    let at = start(feature.name.span);
    diagnostics.add(
        &codes::FEATURE_HALF_THERE,
        name.span,
        format!(
            "feature `{}` (at {}:{}) exists in version {}, and its {kind} `{}` does not",
            feature.name.text, at.line, at.column, cx.version, name.text
        ),
        "give both the same versions",
    );
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
    let had = within_reach(view);
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
        let default = |name: &String| {
            let mut named = view.features.iter().filter(|other| other.name == *name);
            named.any(|other| other.offer == Offer::Default)
        };
        let unmet = feature
            .requires
            .iter()
            .find(|one_of| !one_of.iter().any(default));
        if let (Offer::Default, Some(one_of)) = (feature.offer, unmet)
            && had.contains(&feature.name.as_str())
        {
            diagnostics.add(
                &codes::FEATURE_DEFAULT,
                span,
                format!(
                    "every new guest has `{}`, and none has {}, which it requires",
                    feature.name,
                    one_of.join(" or ")
                ),
                "let what it requires be `default;`, or offer it (`offered;`)",
            );
        }
    }
    circle(cx, &had, diagnostics);
}

/// The features that some guest can be the first to have: what they require can be had without them.
fn within_reach(view: &View) -> Vec<&str> {
    let mut had: Vec<&str> = Vec::new();
    loop {
        let met = |feature: &&Feature| {
            let has = |name: &String| had.contains(&name.as_str());
            feature.requires.iter().all(|one_of| one_of.iter().any(has))
        };
        let new = view.features.iter();
        let new = new.filter(|one| !had.contains(&one.name.as_str()));
        let new: Vec<&str> = new.filter(met).map(|one| one.name.as_str()).collect();
        if new.is_empty() {
            return had;
        }
        had.extend(new);
    }
}

/// No feature requires itself in the end.
fn circle(cx: &Context, had: &[&str], diagnostics: &mut Diagnostics) {
    for feature in cx.features() {
        let name = &feature.name.text;
        let mut named = feature.requires.iter().flatten();
        if let Some(own) = named.find(|required| required.text == *name) {
            diagnostics.add(
                &codes::FEATURE_CYCLE,
                own.span,
                format!("`{name}` requires itself"),
                "leave it out",
            );
            return;
        }
    }
    let first = cx
        .features()
        .find(|one| !had.contains(&one.name.text.as_str()));
    if let Some(feature) = first {
        diagnostics.add(
            &codes::FEATURE_CYCLE,
            feature.name.span,
            format!("`{}` requires itself in the end", feature.name.text),
            "take one `requires` out of the circle",
        );
    }
}

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
    selected.chain(subsets(restored & asked))
}

/// Every subset of the bits of a mask.
fn subsets(mask: u64) -> impl Iterator<Item = u64> {
    let mut next = Some(0u64);
    std::iter::from_fn(move || {
        let this = next?;
        next = (this != mask).then(|| this.wrapping_sub(mask) & mask);
        Some(this)
    })
}
