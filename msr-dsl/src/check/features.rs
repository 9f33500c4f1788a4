//! Features and the capability register.

use super::Context;
use super::expression::{Scope, resolve};
use super::select::{lives, single};
use crate::ast::{self, Statement};
use crate::codes;
use crate::diagnostics::{Diagnostics, start};
use crate::model::{Expr, Feature, Migrate, Offer, Read, RegisterId, View};
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
    let interface = &cx.spec.interfaces[0];
    if interface.capability.is_empty()
        && let Some(feature) = cx.features().next()
    {
        if !interface.may_say("capability") {
            diagnostics.add(
                &codes::CAPABILITY,
                interface.name.span,
                format!(
                    "`{}` has features (`{}`), and no capability register that tells a guest of them",
                    interface.name.text, feature.name.text
                ),
                match feature.bit.first().map(|bit| &bit.kind) {
                    Some(ast::ExprKind::Path { base, .. }) => {
                        format!("add `capability {};` to the interface", base.text)
                    }
                    _ => "name it in the interface: `capability REGISTER;`".to_owned(),
                },
            );
        }
        return Vec::new();
    }
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
    let bit = match resolve(cx, path, Scope::OUTSIDE, diagnostics)? {
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
        if cx.features().any(|other| other.name.text == name.text) {
            continue;
        }
        let mut elsewhere = cx.spec.features.iter();
        if elsewhere.any(|other| other.name.text == name.text) {
            diagnostics.add(
                &codes::NOT_IN_VERSION,
                name.span,
                format!(
                    "feature `{}` does not exist in version {}",
                    name.text, cx.version
                ),
                format!(
                    "widen its versions, or let `{}` begin where it does",
                    feature.name.text
                ),
            );
        } else {
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
                let own = speaks_of(condition, &feature.name.text)
                    || bit.is_some_and(|bit| speaks_of(condition, &bit.text));
                own && !asks_for_later(cx, condition)
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
                    let own = speaks_of(condition, &feature.name.text)
                        || bit.is_some_and(|bit| speaks_of(condition, &bit.text));
                    own && !asks_for_later(cx, condition)
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

/// A condition asks for a feature that this version has not got, beside one that it has: what needs both comes with the later one.
fn asks_for_later(cx: &Context, condition: &ast::Expr) -> bool {
    let mut features = cx.spec.features.iter();
    features.any(|feature| {
        !lives(feature.versions, cx.version) && speaks_of(condition, &feature.name.text)
    })
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
    let unset = unset(cx, view);
    if let Some(unset) = &unset {
        diagnostics.add(
            &codes::FEATURE_RESET,
            cx.registers[capability.0].name.span,
            format!(
                "`{}` has no reset value in version {}: every new guest has {}, and nothing says so",
                register.name,
                cx.version,
                unset.names.join(", ")
            ),
            format!(
                "add `reset {:#x};`, with the bank count and what else every new guest has",
                unset.bits
            ),
        );
    }
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
            Offer::Default if !born && unset.is_none() => diagnostics.add(
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
                restore_help(cx, view, capability),
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

/// How the capability register comes to accept a feature's bit.
fn restore_help(cx: &Context, view: &View, capability: RegisterId) -> String {
    let (ast, register) = (cx.registers[capability.0], view.register(capability));
    let mut said = super::select::select(&ast.statements, cx.version);
    if said.any(|said| matches!(said.what, Statement::Accepts(_))) {
        return format!("add its field to `restore accepts` of `{}`", register.name);
    }
    let features = view.features.iter();
    let wanted = features.fold(register.accepts, |all, one| all | 1 << one.bit);
    let fields = register.fields.iter().rev();
    let names = fields.filter(|field| field.mask() & wanted != 0);
    let names: Vec<&str> = names.map(|field| field.name.as_str()).collect();
    format!(
        "add `restore accepts {};` to `{}`: without it a restore takes the reset value's bits alone",
        names.join(" | "),
        register.name
    )
}

/// The default features whose bits nothing sets in a new guest.
pub struct Unset<'v> {
    names: Vec<&'v str>,
    bits: u64,
}

/// These, where the capability register has no reset value at all: that is one mistake, whatever follows from it.
pub fn unset<'v>(cx: &Context, view: &'v View) -> Option<Unset<'v>> {
    let own = cx.registers[view.capability?.0];
    let mut said = super::select::select(&own.statements, cx.version);
    if said.any(|said| matches!(said.what, Statement::Reset(_))) {
        return None;
    }
    let default = view
        .features
        .iter()
        .filter(|one| one.offer == Offer::Default);
    let (names, bits): (Vec<&str>, Vec<u64>) =
        default.map(|one| (one.name.as_str(), 1 << one.bit)).unzip();
    let bits = bits.into_iter().fold(0, |all, bit| all | bit);
    (!names.is_empty()).then_some(Unset { names, bits })
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
