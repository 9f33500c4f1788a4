//! `restore accepts` of a field: the only values of a number that a restore takes.

use super::Context;
use super::migration::injected;
use super::select::select;
use crate::ast::{self, FieldStatement};
use crate::codes;
use crate::diagnostics::Diagnostics;
use crate::interpret::in_sets;
use crate::model::{
    BitRule, Field, FieldType, Legal, Migrate, Register, RegisterId, Set, View, Write, mask,
};
use proc_macro2::Span;
use std::collections::BTreeSet;

/// A restore looks for a value in a list, so it is no long one.
pub const MOST: u64 = 256;

/// The values, the smallest first.
pub fn values(
    field: &ast::Field,
    ty: &FieldType,
    sets: &[Set],
    span: Span,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<u64>> {
    let name = &field.name.text;
    if *ty != FieldType::Unsigned {
        diagnostics.add(
            &codes::FIELD_TYPE,
            span,
            format!("`restore accepts` lists values of a number, and `{name}` is none"),
            "of a closed enumeration a restore takes the names; which bits it takes the register's `restore accepts` says",
        );
        return None;
    }
    let mut all = BTreeSet::new();
    for set in sets {
        let more = match set {
            Set::Range(low, high) if high - low < MOST => Some((*low..=*high).collect()),
            Set::AllOnesLess(clear) => {
                let most = mask((field.hi - field.lo) as u32, 0);
                let clear = clear & most;
                let few = clear.count_ones() <= MOST.ilog2();
                few.then(|| {
                    super::guests::subsets(clear)
                        .map(|bits| most & !bits)
                        .collect()
                })
            }
            Set::Range(..) => None,
        };
        let more: Option<Vec<u64>> = more;
        all.extend(more.unwrap_or_else(|| (0..=MOST).collect()));
    }
    if all.len() as u64 > MOST {
        diagnostics.add(
            &codes::OUT_OF_RANGE,
            span,
            format!("a restore of `{name}` would look for more than {MOST} values"),
            format!("list at most {MOST}, or leave the line out"),
        );
        return None;
    }
    Some(all.into_iter().collect())
}

/// Where a field of a register says which values a restore takes.
pub fn said<'a>(cx: &Context<'a>, id: RegisterId, field: &Field) -> Option<Span> {
    let ast = cx.fields(id).find(|ast| ast.name.text == field.name)?;
    let mut said = select(&ast.statements, cx.version);
    said.find_map(|said| matches!(said.what, FieldStatement::Accepts(_)).then_some(said.span))
}

/// Bits that are set in some listed value.
pub fn bits(view: &View, id: RegisterId) -> u64 {
    let fields = view.register(id).fields.iter();
    fields.fold(0, |all, field| {
        let listed = field.restored.iter().flatten();
        listed.fold(all, |all, value| all | value << field.lo)
    })
}

/// Bits of listed fields that no listed value sets.
pub fn never(view: &View, id: RegisterId) -> u64 {
    let fields = view.register(id).fields.iter();
    let listed = fields.filter(|field| field.restored.is_some());
    listed.fold(0, |all, field| all | field.mask()) & !bits(view, id)
}

/// A register that is not saved is not restored either, whatever is said of that.
pub fn without_save(register: &str, span: Span, diagnostics: &mut Diagnostics) {
    diagnostics.add(
        &codes::RESTORE_WITHOUT_SAVE,
        span,
        format!("`{register}` is not in the record, so nothing is restored"),
        "leave the line out, or write `migrate saved TAG;`",
    );
}

/// A guest's own record holds listed values alone, and each of them is taken.
pub fn consistent(cx: &Context, view: &View, id: RegisterId, diagnostics: &mut Diagnostics) {
    let register = view.register(id);
    for field in &register.fields {
        let (Some(values), Some(span)) = (&field.restored, said(cx, id, field)) else {
            continue;
        };
        let name = &field.name;
        if !matches!(register.migrate, Migrate::Saved { .. }) {
            without_save(&register.name, span, diagnostics);
            continue;
        }
        let outside = values
            .iter()
            .find(|value| *value << field.lo & !register.accepts != 0);
        if let Some(value) = outside {
            diagnostics.add(
                &codes::RULE_WITHOUT_EFFECT,
                span,
                format!(
                    "a restore refuses {value:#x}: `restore accepts` of `{}` leaves out its bits",
                    register.name
                ),
                format!("add `{name}` there, or take the value out"),
            );
            continue;
        }
        if let Some(value) = unlisted(view, id, field, values) {
            diagnostics.add(
                &codes::RESTORE_RESET,
                span,
                format!(
                    "a guest of version {} can have {value:#x} in `{name}`, and its record is then refused",
                    cx.version
                ),
                "add the value to `restore accepts`",
            );
        }
    }
}

/// A value that reset, INIT, a write or an injection gives, and that is not listed. What a `require` leaves of the values that a write
/// may bring is not looked into.
pub fn unlisted(view: &View, id: RegisterId, field: &Field, values: &[u64]) -> Option<u64> {
    let register = view.register(id);
    let most = mask(field.hi - field.lo, 0);
    let unlisted = |value: &u64| !values.contains(value);
    let reset = [Some(register.reset), register.init];
    let mut reset = reset
        .into_iter()
        .flatten()
        .map(|word| (word & field.mask()) >> field.lo);
    let written = matches!(register.write, Write::Bits(_)) && field.write.changes();
    let bit_by_bit = written && !matches!(field.write, BitRule::Store | BitRule::Locked(_));
    // One more than are listed: if all of them are listed, so is every value.
    let mut all = (0..=most.min(MOST)).filter(unlisted);
    let met = match injected(view, id) & field.mask() != 0 || bit_by_bit {
        true => all.next(),
        false => all.find(|value| written && may_write(register, field, *value)),
    };
    reset.find(unlisted).or(met)
}

/// Whether sets of legal values let a write bring a value of a field.
fn may_write(register: &Register, field: &Field, value: u64) -> bool {
    let word = value << field.lo;
    let whole = |set: &Set| match set {
        Set::Range(low, high) => {
            let ends = [*low, *high, 0].map(|end| end & !field.mask() | word);
            ends.iter().any(|end| low <= end && end <= high)
        }
        Set::AllOnesLess(clear) => !word & field.mask() & !clear == 0,
    };
    let whole = register.rules.iter().all(|rule| match &rule.legal {
        Legal::Sets(sets) => sets.iter().any(whole),
        Legal::Holds(_) => false,
    });
    whole && field.rules.iter().all(|rule| in_sets(rule, value))
}
