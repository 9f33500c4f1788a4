//! Bits of the capability register that a feature had: they keep their meaning in every later version.

use super::select::lives;
use crate::ast::{Name, Spec, Statement};
use crate::codes;
use crate::diagnostics::Diagnostics;
use crate::model::{Feature, Field, View};

/// A bit by which guests of one version know a feature is no other feature's in a later one, and no field's that means something else: a
/// record of the older version would bring it.
pub fn taken(spec: &Spec, views: &[View], diagnostics: &mut Diagnostics) {
    for (at, view) in views.iter().enumerate() {
        let earlier = &views[..at];
        for feature in &view.features {
            if let Some((old, version)) = another(earlier, feature)
                && let Some(name) = feature_name(spec, view, feature)
            {
                refuse(view, (name, feature.bit), (&old.name, version), diagnostics);
            }
        }
        for (bit, field, old, version) in given_a_meaning(earlier, view) {
            if let Some(name) = field_name(spec, view, field) {
                refuse(view, (name, bit), (&old.name, version), diagnostics);
            }
        }
    }
}

/// The first feature of another name that had this one's bit.
fn another<'a>(earlier: &'a [View], feature: &Feature) -> Option<(&'a Feature, u16)> {
    earlier.iter().find_map(|view| {
        let mut features = view.features.iter();
        let old = features.find(|old| old.bit == feature.bit && old.name != feature.name)?;
        Some((old, view.version))
    })
}

/// Bits of earlier features that have none now, and that are in a field of another name which a guest can have.
fn given_a_meaning<'a>(
    earlier: &'a [View],
    view: &'a View,
) -> Vec<(u32, &'a Field, &'a Feature, u16)> {
    let mut found = Vec::new();
    let Some(register) = view.capability.map(|id| view.register(id)) else {
        return found;
    };
    for older in earlier {
        for old in &older.features {
            let bit = 1 << old.bit;
            let known = view.features.iter().any(|one| one.bit == old.bit);
            if known || (register.reset | register.accepts) & bit == 0 {
                continue;
            }
            let of = |view: &'a View| {
                let register = view.register(view.capability?);
                register.fields.iter().find(|one| one.mask() & bit != 0)
            };
            if let (Some(before), Some(now)) = (of(older), of(view))
                && before.name != now.name
            {
                found.push((old.bit, now, old, older.version));
            }
        }
    }
    found
}

fn feature_name<'a>(spec: &'a Spec, view: &View, feature: &Feature) -> Option<&'a Name> {
    let features = spec.features.iter();
    let mut alive = features.filter(|one| lives(one.versions, view.version));
    let found = alive.find(|one| one.name.text == feature.name)?;
    Some(&found.name)
}

fn field_name<'a>(spec: &'a Spec, view: &View, field: &Field) -> Option<&'a Name> {
    let register = &view.register(view.capability?).name;
    let registers = spec.registers.iter();
    let mut alive = registers.filter(|one| lives(one.versions, view.version));
    let register = alive.find(|one| one.name.text == *register)?;
    register
        .statements
        .iter()
        .find_map(|said| match &said.what {
            Statement::Field(one)
                if one.name.text == field.name
                    && lives(said.versions, view.version)
                    && lives(one.versions, view.version) =>
            {
                Some(&one.name)
            }
            _ => None,
        })
}

fn refuse(
    view: &View,
    (name, bit): (&Name, u32),
    (old, version): (&str, u16),
    diagnostics: &mut Diagnostics,
) {
    let register = view.capability.map(|id| view.register(id).name.as_str());
    diagnostics.add(
        &codes::TOMBSTONE,
        name.span,
        format!(
            "bit {bit} of `{}` is feature `{old}` in version {version} and `{}` in version {}",
            register.unwrap_or_default(),
            name.text,
            view.version
        ),
        "a bit keeps its meaning for ever: take one that was never used",
    );
}
