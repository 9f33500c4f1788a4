//! Fields: their bits, types and rules.

use super::expression::{Scope, condition_in, constant, value_in, value_of};
use super::select::{select, single};
use super::{Context, accepts, width};
use crate::ast::{self, BitItem, FieldStatement};
use crate::codes;
use crate::diagnostics::{Diagnostics, start};
use crate::model::{BitRule, Expr, Field, FieldType, Illegal, Legal, RegisterId, Rule, Set, mask};
use crate::words::suggest;

/// The fields of a register, highest bit first. `default` is what the register's `write` says for each bit.
pub fn fields(
    cx: &Context,
    id: RegisterId,
    default: &BitRule,
    by_bits: bool,
    diagnostics: &mut Diagnostics,
) -> Vec<Field> {
    overlaps(cx, id, diagnostics);
    hiding(cx, id, diagnostics);
    let mut fields: Vec<Field> = cx
        .fields(id)
        .filter_map(|field| one(cx, id, field, default, by_bits, diagnostics))
        .collect();
    fields.sort_by_key(|field| std::cmp::Reverse(field.hi));
    fields
}

fn overlaps(cx: &Context, id: RegisterId, diagnostics: &mut Diagnostics) {
    let mut seen: Vec<&ast::Field> = Vec::new();
    for field in cx.fields(id) {
        for other in &seen {
            let at = start(other.bits_span);
            if field.lo <= other.hi && other.lo <= field.hi {
                diagnostics.add(
                    &codes::FIELD_OVERLAP,
                    field.bits_span,
                    format!("`{}` overlaps `{}` (at {}:{})", field.name.text, other.name.text, at.line, at.column),
                    "a bit belongs to one field: change a range, or give the fields different versions",
                );
            } else if field.name.text == other.name.text {
                diagnostics.add(
                    &codes::NAME_TWICE,
                    field.name.span,
                    format!(
                        "`{}` is the name of another field (at {}:{})",
                        field.name.text, at.line, at.column
                    ),
                    "rename one",
                );
            }
        }
        seen.push(field);
    }
}

/// Inside of its register a field's name alone is the field: it would hide a feature or a register of that name.
fn hiding(cx: &Context, id: RegisterId, diagnostics: &mut Diagnostics) {
    for field in cx.fields(id) {
        let name = &field.name.text;
        let registers = cx.registers.iter().map(|one| (&one.name, "register"));
        let features = cx.features().map(|one| (&one.name, "feature"));
        let Some((first, what)) = registers.chain(features).find(|(own, _)| own.text == *name)
        else {
            continue;
        };
        let at = start(first.span);
        diagnostics.add(
            &codes::NAME_TWICE,
            field.name.span,
            format!(
                "`{name}` is the name of a {what} too (at {}:{})",
                at.line, at.column
            ),
            format!(
                "rename the field: inside of `{}` its name would hide the {what}",
                cx.registers[id.0].name.text
            ),
        );
    }
}

fn one(
    cx: &Context,
    id: RegisterId,
    field: &ast::Field,
    default: &BitRule,
    by_bits: bool,
    diagnostics: &mut Diagnostics,
) -> Option<Field> {
    let ty = field_type(field, diagnostics);
    let said = |pick: fn(&FieldStatement) -> bool| {
        select(&field.statements, cx.version)
            .filter(move |said| pick(&said.what))
            .map(|said| (&said.what, said.span))
    };
    let when = single(
        said(|s| matches!(s, FieldStatement::When(_))),
        "when",
        diagnostics,
    );
    let read = single(
        said(|s| matches!(s, FieldStatement::Read(_))),
        "read",
        diagnostics,
    );
    let write = single(
        said(|s| matches!(s, FieldStatement::Write(_))),
        "write",
        diagnostics,
    );
    let present = match when {
        Some((FieldStatement::When(condition), _)) => {
            let asked = condition_in(cx, condition, Scope::of(id), diagnostics)?;
            let own = mask(field.hi as u32, field.lo as u32);
            by_own_state(&field.name, (&asked, own), condition.span, diagnostics);
            Some(asked)
        }
        _ => None,
    };
    let mut value = match read {
        Some((FieldStatement::Read(expr), _)) => {
            Some(value_in(cx, expr, Scope::of(id), diagnostics)?)
        }
        _ => None,
    };
    if let Some(FieldType::Const(fixed)) = ty {
        if let Some((_, span)) = read {
            diagnostics.add(
                &codes::CONST_READ,
                span,
                format!("`{}` is constant and has a `read`", field.name.text),
                "leave `read` out, or give it another type",
            );
        }
        value = Some(Expr::Number(fixed));
    }
    if let (Some(expr), Some((_, span))) = (&value, read)
        && expr.is_constant()
        && crate::interpret::constant(expr) > mask((field.hi - field.lo) as u32, 0)
    {
        diagnostics.add(
            &codes::CONSTANT_OUTSIDE,
            span,
            format!(
                "{:#x} does not fit the {} bit(s) of `{}`",
                crate::interpret::constant(expr),
                field.hi - field.lo + 1,
                field.name.text
            ),
            match (
                crate::interpret::constant(expr),
                mask((field.hi - field.lo) as u32, 0),
            ) {
                (u64::MAX, most) => format!("`all_ones` of a read are 64: write {most:#x}"),
                (_, most) => format!("at most {most:#x}"),
            },
        );
    }
    if let (Some(expr), Some((_, span)), Some(ty)) = (&value, read, &ty) {
        read_fits(cx, id, field, (expr, ty), span, diagnostics);
    }
    let computed = value.is_some();
    let rule = match write {
        Some((FieldStatement::Write(rule), span)) => {
            let resolved = bit_rule(cx, id, &rule.value, diagnostics)?;
            if computed && resolved.changes() {
                diagnostics.add(
                    &codes::WRITE_UNSEEN,
                    rule.span,
                    format!("what is written to `{}` is never read", field.name.text),
                    "its reads are computed: write `ignore`, `fault_if_set` or `fault_on_change`",
                );
            }
            if !by_bits && resolved.changes() {
                diagnostics.add(
                    &codes::RULE_WITHOUT_EFFECT,
                    span,
                    "the register's `write` does not go by bits, so this counts for nothing",
                    "let the register say `write store;` (or another rule of bits), or leave this out",
                );
            }
            resolved
        }
        _ if computed && default.changes() => BitRule::Ignore,
        _ => default.clone(),
    };
    let mut rules = Vec::new();
    for said in select(&field.statements, cx.version) {
        if let FieldStatement::Legal(list, otherwise) = &said.what {
            let sets = sets(cx, id, &numbered(field, list), diagnostics)?;
            let sets = within(field, sets, said.span, diagnostics)?;
            rules.push(Rule {
                legal: Legal::Sets(sets),
                otherwise: *otherwise,
            });
        }
    }
    if let Some(FieldType::Enum {
        values,
        other: false,
    }) = &ty
        && rules.is_empty()
        && by_bits
        && rule.changes()
    {
        let sets = values
            .iter()
            .map(|(_, value)| Set::Range(*value, *value))
            .collect();
        rules.push(Rule {
            legal: Legal::Sets(sets),
            otherwise: Illegal::Fault,
        });
    }
    let accepted = single(
        said(|s| matches!(s, FieldStatement::Accepts(_))),
        "restore accepts",
        diagnostics,
    );
    let restored = match accepted {
        Some((FieldStatement::Accepts(list), span)) => {
            let sets = sets(cx, id, list, diagnostics)?;
            let sets = within(field, sets, span, diagnostics)?;
            Some(accepts::values(
                field,
                ty.as_ref()?,
                &sets,
                span,
                diagnostics,
            )?)
        }
        _ => None,
    };
    let made = Field {
        name: field.name.text.clone(),
        doc: field.doc.clone(),
        hi: field.hi as u32,
        lo: field.lo as u32,
        ty: ty?,
        present,
        read: value,
        write: rule,
        rules,
        restored,
    };
    if let (true, Some(value)) = (by_bits, super::closed::nameless(&made)) {
        diagnostics.add(
            &codes::FIELD_TYPE,
            field.ty.span,
            format!(
                "`legal` of `{}` allows {value:#x}, which has no name",
                made.name
            ),
            "name it, or end the names with `_`",
        );
    }
    Some(made)
}

/// Whether something is there does not depend on its own bits: the bits of a guest that lacks it could never be set.
pub fn by_own_state(
    name: &ast::Name,
    (condition, own): (&Expr, u64),
    span: proc_macro2::Span,
    diagnostics: &mut Diagnostics,
) {
    if width::asked_of_state(condition) & own != 0 {
        diagnostics.add(
            &codes::CYCLE,
            span,
            format!("whether `{}` is there depends on its own state", name.text),
            "ask another register, or a feature",
        );
    }
}

/// What is read fits the field and its type.
fn read_fits(
    cx: &Context,
    id: RegisterId,
    field: &ast::Field,
    (read, ty): (&Expr, &FieldType),
    span: proc_macro2::Span,
    diagnostics: &mut Diagnostics,
) {
    let name = &field.name.text;
    let most = mask((field.hi - field.lo) as u32, 0);
    if width::bits(read) & !most != 0 {
        // Of a constant that is said already.
        if !read.is_constant() {
            diagnostics.add(
                &codes::CONSTANT_OUTSIDE,
                span,
                format!(
                    "what `{name}` reads can have bits {}, and the field has {}",
                    super::register::ranges(width::bits(read)),
                    field.hi - field.lo + 1
                ),
                match field.hi == field.lo {
                    true => {
                        "say which bit: `REGISTER.FIELD`, `... & 1`, or a comparison (`... != 0`)"
                            .to_owned()
                    }
                    false => format!("say which bits: `REGISTER.FIELD`, or `... & {most:#x}`"),
                },
            );
        }
        return;
    }
    let FieldType::Enum {
        values,
        other: false,
    } = ty
    else {
        return;
    };
    let named = |value: &u64| values.iter().any(|(_, own)| own == value);
    let message = match width::values(cx, cx.registers[id.0], read) {
        Some(all) => match all.iter().find(|value| !named(value)) {
            Some(value) => format!("`{name}` can read as {value:#x}, which has no name"),
            None => return,
        },
        None => format!("`{name}` can read as values that have no name"),
    };
    diagnostics.add(
        &codes::CONSTANT_OUTSIDE,
        span,
        message,
        "name it, or end the names with `_`",
    );
}

fn field_type(field: &ast::Field, diagnostics: &mut Diagnostics) -> Option<FieldType> {
    let width = field.hi - field.lo + 1;
    let most = mask(width as u32 - 1, 0);
    let mut wrong = |span, message: String, help: String| {
        diagnostics.add(&codes::FIELD_TYPE, span, message, help);
        None
    };
    match &field.ty.value {
        ast::FieldType::Bool if width != 1 => wrong(
            field.ty.span,
            format!("`bool` for {width} bits"),
            format!("write `u{width}`, or one bit: `[{}]`", field.lo),
        ),
        ast::FieldType::Bool => Some(FieldType::Bool),
        ast::FieldType::Unsigned(bits) if *bits != width => wrong(
            field.ty.span,
            format!("`u{bits}` for {width} bits"),
            format!("write `u{width}`"),
        ),
        ast::FieldType::Unsigned(_) => Some(FieldType::Unsigned),
        ast::FieldType::Const(value) if *value > most => wrong(
            field.ty.span,
            format!("{value:#x} does not fit {width} bit(s)"),
            format!("at most {most:#x}"),
        ),
        ast::FieldType::Const(value) => Some(FieldType::Const(*value)),
        ast::FieldType::Enum { values, other } => {
            for (i, (name, value)) in values.iter().enumerate() {
                if value.value > most {
                    return wrong(
                        value.span,
                        format!("`{}` does not fit {width} bits", name.text),
                        format!("at most {most:#x}"),
                    );
                }
                if let Some((first, _)) = values[..i]
                    .iter()
                    .find(|(first, v)| v.value == value.value || first.text == name.text)
                {
                    return wrong(
                        name.span,
                        format!("`{}` and `{}` are the same", name.text, first.text),
                        "each name and each value once".to_owned(),
                    );
                }
            }
            if values.is_empty() {
                return wrong(
                    field.ty.span,
                    "an enumeration without names".to_owned(),
                    format!("write `u{width}`"),
                );
            }
            let values = values
                .iter()
                .map(|(name, value)| (name.text.clone(), value.value))
                .collect();
            Some(FieldType::Enum {
                values,
                other: *other,
            })
        }
    }
}

/// Resolves a rule.
pub fn bit_rule(
    cx: &Context,
    id: RegisterId,
    rule: &ast::BitRule,
    diagnostics: &mut Diagnostics,
) -> Option<BitRule> {
    Some(match rule {
        ast::BitRule::Store => BitRule::Store,
        ast::BitRule::Ignore => BitRule::Ignore,
        ast::BitRule::FaultIfSet => BitRule::FaultIfSet,
        ast::BitRule::FaultOnChange => BitRule::FaultOnChange,
        ast::BitRule::OneClears => BitRule::OneClears,
        ast::BitRule::OneSets => BitRule::OneSets,
        ast::BitRule::ZeroClears => BitRule::ZeroClears,
        ast::BitRule::Sticky => BitRule::Sticky,
        ast::BitRule::Locked(by) => {
            BitRule::Locked(condition_in(cx, by, Scope::lock(id), diagnostics)?)
        }
    })
}

/// Resolves sets of values.
pub fn sets(
    cx: &Context,
    id: RegisterId,
    list: &[ast::Set],
    diagnostics: &mut Diagnostics,
) -> Option<Vec<Set>> {
    let mut sets = Vec::new();
    for set in list {
        sets.push(match set {
            ast::Set::One(expr) => {
                let value = constant(cx, expr, diagnostics)?;
                Set::Range(value, value)
            }
            ast::Set::Range(low, high) => Set::Range(*low, *high),
            ast::Set::AllOnesLess(items) => {
                let mut bits = 0;
                for item in items {
                    bits |= bit_item(cx, id, item, diagnostics)?;
                }
                Set::AllOnesLess(bits)
            }
        });
    }
    Some(sets)
}

/// Names of the field's enumeration as their numbers.
fn numbered(field: &ast::Field, list: &[ast::Set]) -> Vec<ast::Set> {
    let number = |set: &ast::Set| match set {
        ast::Set::One(one) => {
            let ast::ExprKind::Path {
                base,
                index: None,
                field: None,
            } = &one.kind
            else {
                return None;
            };
            let kind = ast::ExprKind::Number(value_of(field, &base.text)?);
            Some(ast::Set::One(ast::Expr {
                kind,
                ..one.clone()
            }))
        }
        _ => None,
    };
    list.iter()
        .map(|set| number(set).unwrap_or_else(|| set.clone()))
        .collect()
}

/// The sets as values of the field: `all_ones` is the field's own, bits count from its lowest.
fn within(
    field: &ast::Field,
    sets: Vec<Set>,
    span: proc_macro2::Span,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<Set>> {
    let (hi, lo) = (field.hi as u32, field.lo as u32);
    let most = mask(hi - lo, 0);
    let sets = sets.into_iter().map(|set| match set {
        Set::Range(u64::MAX, u64::MAX) => Ok(Set::Range(most, most)),
        Set::Range(_, high) if high > most => Err((high, hi - lo + 1)),
        Set::AllOnesLess(bits) => Ok(Set::AllOnesLess((bits & mask(hi, lo)) >> lo | !most)),
        set => Ok(set),
    });
    sets.collect::<Result<_, _>>()
        .map_err(|(high, width)| {
            diagnostics.add(
                &codes::OUT_OF_RANGE,
                span,
                format!(
                    "{high:#x} does not fit the {width} bit(s) of `{}`",
                    field.name.text
                ),
                format!("at most {most:#x}"),
            );
        })
        .ok()
}

/// The mask of `A | [7:0]`, `all less ...`. A field that this version lacks adds nothing.
pub fn bits(
    cx: &Context,
    id: RegisterId,
    bits: &ast::Bits,
    diagnostics: &mut Diagnostics,
) -> Option<u64> {
    let mut mask = 0;
    for item in &bits.items {
        mask |= bit_item(cx, id, item, diagnostics)?;
    }
    Some(if bits.all_less { !mask } else { mask })
}

fn bit_item(
    cx: &Context,
    id: RegisterId,
    item: &BitItem,
    diagnostics: &mut Diagnostics,
) -> Option<u64> {
    match item {
        BitItem::Mask(mask, _) => Some(*mask),
        BitItem::Range(hi, lo, _) => Some(mask(*hi as u32, *lo as u32)),
        BitItem::Field(name) => {
            if let Some(field) = cx.fields(id).find(|field| field.name.text == name.text) {
                return Some(mask(field.hi as u32, field.lo as u32));
            }
            let register = cx.registers[id.0];
            let all: Vec<&str> = register
                .statements
                .iter()
                .filter_map(|said| match &said.what {
                    ast::Statement::Field(field) => Some(field.name.text.as_str()),
                    _ => None,
                })
                .collect();
            if all.contains(&name.text.as_str()) || register.may_have_more_fields() {
                return Some(0);
            }
            diagnostics.add(
                &codes::UNKNOWN_NAME,
                name.span,
                format!("`{}` has no field `{}`", register.name.text, name.text),
                suggest(&name.text, &all),
            );
            None
        }
    }
}
