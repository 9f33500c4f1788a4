//! A register and its fields in a few words each: what `msr show` and the reference page say of them.

use super::expression::expression;
use crate::model::{
    Absent, Address, BitRule, Expr, Field, FieldType, Illegal, Legal, Migrate, Read, Register,
    Scope, Set, View, Write,
};

/// Where it is reached: `0x400 + 4 * i`, or `hidden`.
pub fn addresses(register: &Register) -> String {
    let text = |a: &Address| match (a.count, register.banked, a.stride) {
        (1, false, _) => format!("{:#x}", a.first),
        (_, true, 1) => format!("{:#x} + i", a.first),
        (_, true, stride) => format!("{:#x} + {stride} * i", a.first),
        (count, false, _) => format!("{:#x}..={:#x}", a.first, a.first + count - 1),
    };
    let all: Vec<String> = register.addresses.iter().map(text).collect();
    match all.is_empty() {
        true => "hidden".to_owned(),
        false => all.join(", "),
    }
}

/// A number; the two that a reader recognises no longer in hexadecimal by name.
pub fn number(value: u64) -> String {
    match value {
        u64::MAX => "all ones".to_owned(),
        _ => format!("{value:#x}"),
    }
}

/// The state after power-on, `-` without state.
pub fn reset(register: &Register) -> String {
    match register.stored {
        true => number(register.reset),
        false => "-".to_owned(),
    }
}

/// Whose state it is, where that is not the vCPU's and the guest's accesses' alone: `guest`, `held`, `guest, held`.
pub fn owner(register: &Register) -> String {
    let guest = (register.scope == Scope::Guest).then_some("guest");
    let held = register.held.then_some("held");
    guest.into_iter().chain(held).collect::<Vec<_>>().join(", ")
}

/// What an administrator may name at boot, in sentences; none without an `extra` section.
pub fn extra(view: &View) -> Option<String> {
    let limits = view.extra.as_ref()?;
    let ranges: Vec<String> = limits
        .msrs
        .iter()
        .map(|(first, last)| match first == last {
            true => format!("{first:#x}"),
            false => format!("{first:#x} to {last:#x}"),
        })
        .collect();
    let msrs = match ranges.is_empty() {
        true => "no MSRs".to_owned(),
        false => format!("MSRs from {}", ranges.join(", ")),
    };
    let bits = match limits.capability {
        0 => "no capability bits".to_owned(),
        mask => format!("capability bits {}", crate::check::register::ranges(mask)),
    };
    Some(format!(
        "at most {} in all; {msrs}; {bits}; tags of a record",
        limits.most
    ))
}

/// What RDMSR gives, in a word or two.
pub fn read(view: &View, register: &Register) -> String {
    let computed = register.fields.iter().any(|field| field.read.is_some());
    let base = match &register.read {
        Read::Value(Expr::State) => "state".to_owned(),
        Read::Value(Expr::Number(0)) if !computed => "zero".to_owned(),
        Read::Value(Expr::Number(u64::MAX)) => "all ones".to_owned(),
        Read::Value(Expr::Number(value)) if !computed => number(*value),
        Read::Value(_) => "computed".to_owned(),
        Read::Fault => "fault".to_owned(),
        Read::Unlisted => "unlisted".to_owned(),
        Read::Pass => "hardware".to_owned(),
        Read::Hook(hook) => return format!("hook {}", view.hooks[*hook].name),
    };
    match register.present {
        Some(_) => format!("{base}, if present"),
        None => base,
    }
}

/// What WRMSR does, in a word or two.
pub fn write(view: &View, register: &Register) -> String {
    match &register.write {
        Write::Bits(_) if register.hidden() => "-".to_owned(),
        Write::Bits(hook) => {
            let limits = match register.rules.is_empty() {
                true => "",
                false => ", legal values",
            };
            let hook = hook.map(|hook| format!(", then hook {}", view.hooks[hook].name));
            format!("{}{limits}{}", stored(register), hook.unwrap_or_default())
        }
        Write::Fault => "fault".to_owned(),
        Write::Unlisted => "unlisted".to_owned(),
        Write::Pass => "hardware".to_owned(),
        Write::Hook(hook) => format!("hook {}", view.hooks[*hook].name),
    }
}

/// What a write does to the bits that it can change; if there are none, to the others.
fn stored(register: &Register) -> &'static str {
    let reserved = (register.reserved_mask != 0).then_some(&register.reserved);
    let rules = register.fields.iter().map(|field| &field.write);
    let rules: Vec<&BitRule> = rules.chain(reserved).collect();
    let mut words = rules.iter().filter_map(|rule| match rule {
        BitRule::Store => Some("stored"),
        BitRule::Locked(_) => Some("stored, can be locked"),
        BitRule::OneClears => Some("1 clears"),
        BitRule::OneSets => Some("1 sets"),
        BitRule::ZeroClears => Some("0 clears"),
        BitRule::Sticky => Some("1 sets for good"),
        BitRule::Ignore | BitRule::FaultIfSet | BitRule::FaultOnChange => None,
    });
    match words.next() {
        None if rules
            .iter()
            .any(|rule| matches!(rule, BitRule::FaultOnChange)) =>
        {
            "#GP if changed"
        }
        None if rules.iter().any(|rule| matches!(rule, BitRule::FaultIfSet)) => "#GP if set",
        None => "ignored",
        Some(first) if words.all(|word| word == first) => first,
        Some(_) => "by fields",
    }
}

/// Whether it is saved, in a word or two.
pub fn migrates(register: &Register) -> String {
    match &register.migrate {
        Migrate::Saved { tag, .. } => format!("tag {tag}"),
        Migrate::Transient(_) => "no".to_owned(),
        Migrate::Derived => "-".to_owned(),
    }
}

/// `[31:16]`, `[63]`.
pub fn bits(hi: u32, lo: u32) -> String {
    match hi == lo {
        true => format!("[{hi}]"),
        false => format!("[{hi}:{lo}]"),
    }
}

/// A field's type.
pub fn field_type(field: &Field) -> String {
    match &field.ty {
        FieldType::Bool => "bool".to_owned(),
        FieldType::Unsigned => format!("u{}", field.width()),
        FieldType::Const(value) => format!("always {value:#x}"),
        FieldType::Enum { values, other } => {
            let named = values
                .iter()
                .map(|(name, value)| format!("{name} = {value}"));
            named
                .chain(other.then(|| "others".to_owned()))
                .collect::<Vec<_>>()
                .join(", ")
        }
    }
}

/// What a write does to a bit.
pub fn bit_rule(view: &View, rule: &BitRule) -> String {
    match rule {
        BitRule::Store => "stored".to_owned(),
        BitRule::Ignore => "dropped".to_owned(),
        BitRule::FaultIfSet => "#GP if set".to_owned(),
        BitRule::FaultOnChange => "#GP if changed".to_owned(),
        BitRule::OneClears => "1 clears".to_owned(),
        BitRule::OneSets => "1 sets".to_owned(),
        BitRule::ZeroClears => "0 clears".to_owned(),
        BitRule::Sticky => "1 sets; kept over INIT".to_owned(),
        BitRule::Locked(condition) => format!("stored unless {}", expression(view, condition)),
    }
}

/// What an absent register does.
pub fn absent(absent: Absent) -> &'static str {
    match absent {
        Absent::Fault => "every access is #GP",
        Absent::Zero => "it reads zero and drops writes",
        Absent::Unlisted => "it is as if not listed",
    }
}

/// What may be written, and what else does.
pub fn rule(view: &View, rule: &crate::model::Rule) -> String {
    let legal = match &rule.legal {
        Legal::Holds(condition) => expression(view, condition),
        Legal::Sets(sets) => sets.iter().map(set).collect::<Vec<_>>().join(", "),
    };
    let otherwise = match rule.otherwise {
        Illegal::Fault => "#GP",
        Illegal::Ignore => "the write is dropped",
        Illegal::Keep => "the field keeps its value",
    };
    format!("legal: {legal}; anything else: {otherwise}")
}

fn set(set: &Set) -> String {
    match set {
        Set::Range(low, high) if low == high => number(*low),
        Set::Range(low, high) => format!("{} to {}", number(*low), number(*high)),
        Set::AllOnesLess(mask) => {
            let bits = (0..64).filter(|bit| mask >> bit & 1 == 1);
            let bits: Vec<String> = bits.map(|bit| bit.to_string()).collect();
            format!("all ones, with or without bits {}", bits.join(", "))
        }
    }
}
