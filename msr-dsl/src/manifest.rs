//! What a version of an interface does, in lines `KEY: VALUE` that depend on no name but its own, documentation or order: the
//! manifest that `msr lock` writes when a version is released, and that every later build is compared with.

mod change;
mod file;

pub use change::{Change, compare};
pub use file::{Broken, Manifest};

use crate::model::{
    Absent, Address, Argument, BitRule, Expr, Field, FieldType, Illegal, Legal, Migrate, Offer, Op,
    Read, Register, RegisterId, Rule, Scope, Set, View, Write,
};
use std::collections::BTreeMap;

/// The lines of one version, by key.
pub type Lines = BTreeMap<String, String>;

/// The key of a register: its first MSR, or its tag if it has none.
pub fn register_key(register: &Register) -> String {
    let first = register.addresses.iter().map(|one| one.first).min();
    match (first, &register.migrate) {
        (Some(first), _) => format!("{first:#x}"),
        (None, Migrate::Saved { tag, .. }) => format!("tag {tag}"),
        (None, _) => register.name.clone(),
    }
}

/// The lines of a version.
pub fn lines(view: &View) -> Lines {
    let mut lines = Lines::new();
    let mut put = |key: String, value: String| {
        lines.insert(key, value);
    };
    // Every record of the version carries it.
    put("name".to_owned(), view.name.clone());
    put(
        "restored guests only".to_owned(),
        view.restore_only.to_string(),
    );
    if let Some(id) = view.capability {
        put("capability".to_owned(), register_key(view.register(id)));
    }
    if let Some(banks) = &view.banks {
        let count = expression(view, &banks.count);
        let (limit, stored, beyond) = (banks.limit, banks.stored, absent(banks.beyond));
        put(
            "banks".to_owned(),
            format!("count {count}, limit {limit}, stored {stored}, beyond {beyond}"),
        );
    }
    for feature in &view.features {
        let bit = |name: &String| {
            view.features
                .iter()
                .find(|f| f.name == *name)
                .map_or(0, |f| f.bit)
        };
        let one_of = |names: &Vec<String>| {
            let bits = names.iter().map(|name| format!("bit {}", bit(name)));
            bits.collect::<Vec<_>>().join(" or ")
        };
        let requires: Vec<String> = feature.requires.iter().map(one_of).collect();
        let offer = if feature.offer == Offer::Default {
            "default"
        } else {
            "offered"
        };
        let host = feature.host.as_deref().unwrap_or("none");
        put(
            format!("feature of bit {}", feature.bit),
            format!(
                "{offer}, requires {}, host {host}",
                listed(&requires, " and ")
            ),
        );
    }
    for register in &view.registers {
        for (key, value) in register_lines(view, register) {
            put(format!("{} {key}", register_key(register)), value);
        }
    }
    if let Some(injection) = &view.injection {
        let deliver = if injection.broadcast {
            "broadcast"
        } else {
            "one"
        };
        put(
            "injection".to_owned(),
            format!("{deliver}, bank {}", injection.bank),
        );
        let roles = [
            ("global", injection.global),
            ("status", injection.status),
            ("address", injection.address),
            ("misc", injection.misc),
        ];
        for (role, (id, mask)) in roles {
            put(
                format!("injection {role}"),
                format!("{} sets {mask:#x}", register_key(view.register(id))),
            );
        }
        if let Some(local) = &injection.local {
            put("injection local".to_owned(), expression(view, local));
        }
        if let Some(pending) = injection.pending {
            put(
                "injection pending".to_owned(),
                register_key(view.register(pending)),
            );
        }
    }
    for tag in &view.dropped_tags {
        put(format!("tag {tag}"), "accepted and dropped".to_owned());
    }
    lines
}

/// The lines of one register, without its key.
pub(crate) fn register_lines(view: &View, register: &Register) -> Vec<(String, String)> {
    let mut lines: Vec<(String, String)> = Vec::new();
    let mut put = |key: &str, value: String| lines.push((key.to_owned(), value));
    let addresses: Vec<String> = addresses(view, register)
        .into_iter()
        .map(|a| {
            if a.count == 1 && !register.banked {
                format!("{:#x}", a.first)
            } else if !register.banked && a.stride == 1 {
                format!("{:#x} to {:#x}", a.first, a.first + a.count - 1)
            } else {
                format!("{:#x} + {:#x} * i, {} of them", a.first, a.stride, a.count)
            }
        })
        .collect();
    put("addresses", addresses.join("; "));
    if let Some((condition, otherwise)) = &register.present {
        put(
            "present",
            format!(
                "{} else {}",
                expression(view, condition),
                absent(*otherwise)
            ),
        );
    }
    if register.held {
        put("state", "held by the hypervisor".to_owned());
    }
    if register.scope == Scope::Guest {
        put("scope", "guest".to_owned());
    }
    if register.stored {
        let init = register
            .init
            .map_or_else(|| "kept".to_owned(), |value| format!("{value:#x}"));
        put("reset", format!("{:#x}, INIT {init}", register.reset));
    }
    put("read", read(view, &register.read));
    put("write", write(view, &register.write));
    for (number, rule) in register.rules.iter().enumerate() {
        put(&format!("rule {}", number + 1), self::rule(view, rule));
    }
    if matches!(register.write, Write::Bits(_) | Write::Hook(_)) {
        bits(view, register, &mut put);
    }
    for field in &register.fields {
        field_lines(view, field, &mut put);
    }
    match &register.migrate {
        Migrate::Saved { tag, default } => {
            let after: Vec<String> = register
                .after
                .iter()
                .map(|id| register_key(view.register(*id)))
                .collect();
            put(
                "migrates",
                format!(
                    "tag {tag}, default {default:#x}, accepts {:#x}, after {}",
                    register.accepts,
                    listed(&after, " and ")
                ),
            );
        }
        Migrate::Transient(_) => put("migrates", "transient".to_owned()),
        Migrate::Derived => {}
    }
    lines
}

/// The addresses in order; those that follow each other as one range, where no place in it counts.
fn addresses(view: &View, register: &Register) -> Vec<Address> {
    let mut all = register.addresses.clone();
    all.sort_by_key(|one| one.first);
    if register.banked || crate::check::asks_for_place(register) || hooks_ask(view, register) {
        return all;
    }
    let mut merged: Vec<Address> = Vec::new();
    for one in all {
        let is_range = one.stride == 1 || one.count == 1;
        match merged.last_mut() {
            Some(last) if is_range && last.first + last.count == one.first => {
                *last = Address {
                    first: last.first,
                    count: last.count + one.count,
                    stride: 1,
                };
            }
            _ => merged.push(one),
        }
    }
    merged
}

/// A hook of the register is told the place.
fn hooks_ask(view: &View, register: &Register) -> bool {
    let read = match register.read {
        Read::Hook(hook) => Some(hook),
        _ => None,
    };
    let write = match register.write {
        Write::Hook(hook) | Write::Bits(Some(hook)) => Some(hook),
        _ => None,
    };
    let mut hooks = read.into_iter().chain(write);
    hooks.any(|hook| view.hooks[hook].arguments.contains(&Argument::Index))
}

/// What a write does to each bit, neighbours of one kind together.
fn bits(view: &View, register: &Register, put: &mut dyn FnMut(&str, String)) {
    let rule = |bit: u32| {
        let field = register
            .fields
            .iter()
            .find(|field| (field.lo..=field.hi).contains(&bit));
        let own = field.map_or(&register.reserved, |field| &field.write);
        match field.and_then(|field| field.present.as_ref()) {
            Some(condition) => {
                let (own, other) = (bit_rule(view, own), bit_rule(view, &register.reserved));
                format!("{own} if {} else {other}", expression(view, condition))
            }
            None => bit_rule(view, own),
        }
    };
    let mut hi = 63;
    loop {
        let own = rule(hi);
        let lo = (0..hi)
            .rev()
            .take_while(|bit| rule(*bit) == own)
            .last()
            .unwrap_or(hi);
        put(&format!("bits {hi}:{lo} written"), own);
        if lo == 0 {
            return;
        }
        hi = lo - 1;
    }
}

fn field_lines(view: &View, field: &Field, put: &mut dyn FnMut(&str, String)) {
    let at = format!("bits {}:{}", field.hi, field.lo);
    if let Some(read) = &field.read {
        put(&format!("{at} read"), expression(view, read));
    }
    if let Some(condition) = &field.present {
        put(&format!("{at} present"), expression(view, condition));
    }
    for (number, rule) in field.rules.iter().enumerate() {
        put(&format!("{at} rule {}", number + 1), self::rule(view, rule));
    }
    if let Some(values) = &field.restored {
        let values: Vec<String> = match field.ty {
            FieldType::Unsigned => crate::words::runs(values, |value| format!("{value:#x}"), "..="),
            _ => values.iter().map(|value| format!("{value:#x}")).collect(),
        };
        put(&format!("{at} restored"), listed(&values, " or "));
    }
}

/// The things, or that there is none.
fn listed(things: &[String], between: &str) -> String {
    match things.is_empty() {
        true => "nothing".to_owned(),
        false => things.join(between),
    }
}

fn absent(absent: Absent) -> &'static str {
    match absent {
        Absent::Fault => "fault",
        Absent::Zero => "zero",
        Absent::Unlisted => "unlisted",
    }
}

fn hook(view: &View, hook: usize) -> String {
    let hook = &view.hooks[hook];
    let argument = |argument: &Argument| match argument {
        Argument::Value => "value",
        Argument::Msr => "msr",
        Argument::Index => "index",
    };
    let arguments: Vec<&str> = hook.arguments.iter().map(argument).collect();
    format!("hook {}({})", hook.name, arguments.join(", "))
}

fn read(view: &View, read: &Read) -> String {
    match read {
        Read::Value(value) => expression(view, value),
        Read::Fault => "fault".to_owned(),
        Read::Unlisted => "unlisted".to_owned(),
        Read::Pass => "pass".to_owned(),
        Read::Hook(number) => hook(view, *number),
    }
}

fn write(view: &View, write: &Write) -> String {
    match write {
        Write::Bits(None) => "by bits".to_owned(),
        Write::Bits(Some(number)) => format!("by bits, then {}", hook(view, *number)),
        Write::Fault => "fault".to_owned(),
        Write::Unlisted => "unlisted".to_owned(),
        Write::Pass => "pass".to_owned(),
        Write::Hook(number) => hook(view, *number),
    }
}

/// As a spec says it.
fn bit_rule(view: &View, rule: &BitRule) -> String {
    let word = match rule {
        BitRule::Store => "store",
        BitRule::Ignore => "ignore",
        BitRule::FaultIfSet => "fault_if_set",
        BitRule::FaultOnChange => "fault_on_change",
        BitRule::OneClears => "one_clears",
        BitRule::OneSets => "one_sets",
        BitRule::ZeroClears => "zero_clears",
        BitRule::Sticky => "sticky",
        BitRule::Locked(by) => return format!("locked by {}", expression(view, by)),
    };
    word.to_owned()
}

fn rule(view: &View, rule: &Rule) -> String {
    let legal = match &rule.legal {
        Legal::Holds(condition) => expression(view, condition),
        Legal::Sets(sets) => {
            let text = |set: &Set| match set {
                Set::Range(low, high) if low == high => format!("{low:#x}"),
                Set::Range(low, high) => format!("{low:#x} to {high:#x}"),
                Set::AllOnesLess(bits) => format!("all ones less {bits:#x}"),
            };
            let sets = in_order(sets);
            sets.iter().map(text).collect::<Vec<_>>().join(", ")
        }
    };
    let otherwise = match rule.otherwise {
        Illegal::Fault => "fault",
        Illegal::Ignore => "ignore",
        Illegal::Keep => "keep",
    };
    format!("{legal} else {otherwise}")
}

/// The same values said in one way: ranges in order, those that touch as one.
pub(crate) fn in_order(sets: &[Set]) -> Vec<Set> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    let mut others: Vec<Set> = Vec::new();
    for set in sets {
        match set {
            Set::Range(low, high) => ranges.push((*low, *high)),
            other if !others.contains(other) => others.push(other.clone()),
            _ => {}
        }
    }
    ranges.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (low, high) in ranges {
        match merged.last_mut() {
            Some((_, last)) if low <= last.saturating_add(1) => *last = high.max(*last),
            _ => merged.push((low, high)),
        }
    }
    others.sort_unstable_by_key(|set| set.bits());
    let ranges = merged.into_iter().map(|(low, high)| Set::Range(low, high));
    ranges.chain(others).collect()
}

/// An expression, registers by their MSRs.
fn expression(view: &View, expr: &Expr) -> String {
    let sub = |expr: &Expr| expression(view, expr);
    let register = |id: &RegisterId| register_key(view.register(*id));
    match expr {
        Expr::Number(number) => format!("{number:#x}"),
        Expr::Bool(value) => value.to_string(),
        Expr::Value => "value".to_owned(),
        Expr::State => "state".to_owned(),
        Expr::Index => "index".to_owned(),
        Expr::Register(id) => format!("msr({})", register(id)),
        Expr::Cell(id, bank) => format!("state({}, bank {bank})", register(id)),
        Expr::Field(of, hi, lo) => format!("{}[{hi}:{lo}]", sub(of)),
        Expr::IsSet(of) => format!("set({})", sub(of)),
        Expr::AsBit(of) => format!("bit({})", sub(of)),
        Expr::Not(of) => format!("!{}", sub(of)),
        Expr::If(condition, yes, no) => {
            format!("({} if {} else {})", sub(yes), sub(condition), sub(no))
        }
        Expr::Binary(op @ (Op::Or | Op::And | Op::Both | Op::Either), ..) => {
            let mut terms = Vec::new();
            chain(op, expr, &mut terms);
            let mut terms: Vec<(bool, String)> = terms
                .into_iter()
                .map(|term| (matches!(term, Expr::Number(_)), sub(term)))
                .collect();
            terms.sort();
            terms.dedup();
            let terms = terms.into_iter().map(|(_, text)| text);
            let sign = sign(op);
            terms
                .reduce(|all, term| format!("({all} {sign} {term})"))
                .unwrap_or_default()
        }
        Expr::Binary(op, a, b) => {
            let (op, a, b) = (*op, sub_of(view, a), sub_of(view, b));
            let (op, a, b) = in_one_way(op, a, b);
            format!("({} {} {})", a.1, sign(&op), b.1)
        }
    }
}

/// A side of a comparison: whether it is a number, and its text.
type Side = (bool, String);

fn sub_of(view: &View, expr: &Expr) -> Side {
    (matches!(expr, Expr::Number(_)), expression(view, expr))
}

/// The terms of a chain of one operator.
fn chain<'e>(op: &Op, expr: &'e Expr, terms: &mut Vec<&'e Expr>) {
    match expr {
        Expr::Binary(own, a, b) if own == op => {
            chain(op, a, terms);
            chain(op, b, terms);
        }
        other => terms.push(other),
    }
}

/// The same comparison with a number to the right, and two other sides in order.
fn in_one_way(op: Op, a: Side, b: Side) -> (Op, Side, Side) {
    if matches!(op, Op::Shl | Op::Shr) || a <= b {
        return (op, a, b);
    }
    let turned = match op {
        Op::Lt => Op::Gt,
        Op::Le => Op::Ge,
        Op::Gt => Op::Lt,
        Op::Ge => Op::Le,
        same => same,
    };
    (turned, b, a)
}

fn sign(op: &Op) -> &'static str {
    match op {
        Op::Or => "|",
        Op::And => "&",
        Op::Shl => "<<",
        Op::Shr => ">>",
        Op::Eq => "==",
        Op::Ne => "!=",
        Op::Lt => "<",
        Op::Le => "<=",
        Op::Gt => ">",
        Op::Ge => ">=",
        Op::Both => "&&",
        Op::Either => "||",
    }
}
