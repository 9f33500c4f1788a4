//! Closed enumerations (no `_` at the end): which values their bits can have, and with that what a restore takes. Of a number the field's
//! own `restore accepts` says that.

use super::select::lives;
use crate::ast::{self, Spec, Statement};
use crate::codes;
use crate::diagnostics::Diagnostics;
use crate::interpret::{allows, in_sets};
use crate::model::{
    BitRule, Field, FieldType, Legal, Migrate, Register, RegisterId, Set, View, Write, mask,
};
use proc_macro2::Span;
use std::collections::BTreeSet;

/// The named values of a closed enumeration.
pub fn names(field: &Field) -> Option<BTreeSet<u64>> {
    match &field.ty {
        FieldType::Enum {
            values,
            other: false,
        } => Some(values.iter().map(|(_, value)| *value).collect()),
        _ => None,
    }
}

/// A value without a name that a write may store all the same: the field's own `legal` takes the place of the names.
pub fn nameless(field: &Field) -> Option<u64> {
    let names = names(field)?;
    if field.rules.is_empty() || !field.write.changes() {
        return None;
    }
    let low_ends = field.rules.iter().flat_map(|rule| match &rule.legal {
        Legal::Sets(sets) => sets.as_slice(),
        Legal::Holds(_) => &[],
    });
    let most = mask(field.hi - field.lo, 0);
    let candidates = low_ends.flat_map(|set| match set {
        // One more than there are names: if all of them have one, the range is too small for another.
        Set::Range(low, high) => *low..=(*high).min(low.saturating_add(names.len() as u64)),
        Set::AllOnesLess(_) => most..=most,
    });
    let legal = |value: &u64| field.rules.iter().all(|rule| in_sets(rule, *value));
    let mut nameless = candidates.filter(|value| *value <= most && !names.contains(value));
    nameless.find(legal)
}

/// The values that the bits of a field can have in this version: names of a closed enumeration, or what a restore takes of a number;
/// none if they can have any.
pub fn possible(view: &View, id: RegisterId, field: &Field) -> Option<BTreeSet<u64>> {
    let register = view.register(id);
    if let (FieldType::Unsigned, Some(values)) = (&field.ty, &field.restored) {
        return Some(values.iter().copied().collect());
    }
    let names = names(field)?;
    let injected = view.injection.as_ref().is_some_and(|injection| {
        injection
            .shown()
            .iter()
            .any(|(role, bits)| *role == id && bits & field.mask() != 0)
    });
    let whole = matches!(
        field.write,
        BitRule::Store
            | BitRule::Ignore
            | BitRule::FaultIfSet
            | BitRule::FaultOnChange
            | BitRule::Locked(_)
    );
    // In a guest that lacks the field, the bits are reserved ones.
    let nameless_guest = field.present.is_some() && register.reserved.changes();
    let written = matches!(register.write, Write::Bits(_)) && (!whole || nameless_guest);
    (!injected && !written && field.read.is_none()).then_some(names)
}

/// What the record of a version holds under a tag, in the bits of a field: some values, or any.
fn written_by(view: &View, tag: u16, field: &Field) -> Option<BTreeSet<u64>> {
    let saved = |register: &Register| matches!(register.migrate, Migrate::Saved { tag: own, .. } if own == tag);
    let Some((id, register)) = view.ids().find(|(_, register)| saved(register)) else {
        return Some(BTreeSet::new());
    };
    if register.accepts & field.mask() == 0 {
        return Some(BTreeSet::from([0]));
    }
    let same = |own: &&Field| (own.hi, own.lo) == (field.hi, field.lo);
    possible(view, id, register.fields.iter().find(same)?)
}

/// Says of every field which values a restore takes: those that a guest can have, or that an older version can have written. Then
/// notes the defaults that are none of them.
pub fn restored(spec: &Spec, views: &mut [View], diagnostics: &mut Diagnostics) {
    for at in 0..views.len() {
        let (older, newer) = views.split_at_mut(at);
        let Some(view) = newer.first_mut() else {
            return;
        };
        let mut all: Vec<(usize, usize, Option<Vec<u64>>)> = Vec::new();
        for (id, register) in view.ids() {
            for (number, field) in register.fields.iter().enumerate() {
                // A list is what the spec says: what it leaves out is refused, whoever wrote it.
                if field.restored.is_some() {
                    continue;
                }
                let own = possible(view, id, field);
                let values = match register.migrate {
                    Migrate::Saved { tag, .. } => older.iter().fold(own, |all, older| {
                        let mut all = all?;
                        all.extend(written_by(older, tag, field)?);
                        Some(all)
                    }),
                    _ => names(field),
                };
                let values = values.map(|values| values.into_iter().collect());
                all.push((id.0, number, values));
            }
        }
        for (register, field, values) in all {
            view.registers[register].fields[field].restored = values;
        }
        defaults(spec, view, diagnostics);
    }
}

/// What stands in for a missing item is what a restore would take.
fn defaults(spec: &Spec, view: &View, diagnostics: &mut Diagnostics) {
    for (id, register) in view.ids() {
        let (Migrate::Saved { default, .. }, Some(span)) =
            (&register.migrate, said(spec, view, register))
        else {
            continue;
        };
        let field = register.fields.iter().find(|field| {
            let own = (default & field.mask()) >> field.lo;
            let refused = |values: &Vec<u64>| !values.contains(&own);
            field.restored.as_ref().is_some_and(refused)
        });
        let about_value = register.rules.iter().filter(|rule| rule.is_about_value());
        let mut about_value = about_value;
        let illegal = about_value.any(|rule| !allows(rule, *default));
        let of_field = register.fields.iter().find(|field| {
            let own = (default & field.mask()) >> field.lo;
            !field.rules.iter().all(|rule| in_sets(rule, own))
        });
        // What a machine check sets, or nothing but the hypervisor, no rule for writes binds.
        let written = matches!(register.write, Write::Bits(_))
            && *default != register.reset
            && !view.injection.iter().any(|injection| injection.sets(id));
        let unwritten = written && (illegal || of_field.is_some());
        let illegal = illegal && register.held;
        let message = match field {
            Some(field) => format!(
                "a restore refuses {default:#x}: `{}` has no such value",
                field.name
            ),
            None if illegal => format!(
                "a restore refuses {default:#x}: the rules of `{}` do",
                register.name
            ),
            None if unwritten => format!(
                "no guest could write {default:#x} to `{}`: its rules refuse it",
                register.name
            ),
            None => continue,
        };
        diagnostics.add(
            &codes::RESTORE_DEFAULT,
            span,
            message,
            "choose another default, one that a guest can have",
        );
    }
}

/// Where the default of a register stands, if it is said.
fn said(spec: &Spec, view: &View, register: &Register) -> Option<Span> {
    let ast = spec
        .registers
        .iter()
        .find(|ast| ast.name.text == register.name && lives(ast.versions, view.version))?;
    super::select::select(&ast.statements, view.version).find_map(|said| match &said.what {
        Statement::Migrate(ast::Migrate::Saved {
            default: Some(default),
            ..
        }) => Some(default.span),
        _ => None,
    })
}
