//! The section of one register in one version.

use super::expression::expression;
use super::map;
use super::prose::prose;
use super::text;
use crate::model::{Field, FieldType, Migrate, Read, Register, Scope, View, Write};
use crate::words::runs;
use maud::{Markup, html};

/// The section; its anchor is `v3.MCG_CAP`, a field's `v3.MCG_CAP.COUNT`.
pub fn section(view: &View, register: &Register, newest: bool) -> Markup {
    let anchor = anchor(view, register);
    html! {
        section.register id=(anchor) data-find=(search_words(register)) {
            // A link that names no version leads to the newest.
            @if newest { span id=(register.name) {} }
            h3 {
                a href=(format!("#{anchor}")) { (register.name) }
                " " code.address { (text::addresses(register)) }
            }
            p { (prose(&register.doc)) }
            @if !register.cite.is_empty() {
                p.cite { (register.cite.join("; ")) }
            }
            @if !register.hidden() && (!register.fields.is_empty() || register.stored) {
                div.wide { (map::map(register, &anchor)) }
            }
            dl {
                @for (name, facts) in facts(view, register) {
                    dt { (name) }
                    @for fact in facts { dd { (fact) } }
                }
            }
            @if !register.fields.is_empty() { (fields(view, register, &anchor)) }
        }
    }
}

/// `v3.MCG_CAP`
pub fn anchor(view: &View, register: &Register) -> String {
    format!("v{}.{}", view.version, register.name)
}

/// What a search looks through, in small letters.
fn search_words(register: &Register) -> String {
    let fields = register.fields.iter().map(|field| field.name.as_str());
    let words: Vec<&str> = [register.name.as_str(), register.doc.as_str()]
        .into_iter()
        .chain(fields)
        .collect();
    let msrs = register.addresses.iter().flat_map(|address| address.msrs());
    let numbers = msrs.take(64).map(|(msr, _)| format!(" {msr:#x}"));
    format!("{}{}", words.join(" "), numbers.collect::<String>()).to_lowercase()
}

/// What there is to say of the register as a whole: a heading, and a line or several.
pub fn facts(view: &View, register: &Register) -> Vec<(&'static str, Vec<String>)> {
    let mut facts = Vec::new();
    if let Some((condition, absent)) = &register.present {
        let text = format!(
            "if {}; otherwise {}",
            expression(view, condition),
            text::absent(*absent)
        );
        facts.push(("there", vec![text]));
    }
    if register.banked {
        let beyond = view.banks.as_ref().map(|banks| {
            let stored = banks.stored;
            format!(
                "one in each of {} banks, state for the first {stored}; at or above the count {}",
                expression(view, &banks.count),
                text::absent(banks.beyond)
            )
        });
        facts.push(("banks", beyond.into_iter().collect()));
    }
    if register.stored {
        let init = match register.init {
            None => "kept over INIT".to_owned(),
            Some(value) => format!("{} after INIT", text::number(value)),
        };
        let reset = format!("{} after power-on, {init}", text::number(register.reset));
        facts.push(("reset", vec![reset]));
    }
    let guest = "one for all vCPUs of a guest";
    let held = "set and taken by the hypervisor (held)";
    let whose = [
        (register.scope == Scope::Guest, guest),
        (register.held, held),
    ];
    let whose = whose.iter().filter(|(is, _)| *is);
    let whose: Vec<String> = whose.map(|(_, words)| (*words).to_owned()).collect();
    if !whose.is_empty() {
        facts.push(("state", whose));
    }
    if !register.hidden() {
        facts.push(("RDMSR", vec![read(view, register)]));
        let rules = register.rules.iter().map(|rule| text::rule(view, rule));
        facts.push((
            "WRMSR",
            [write(view, register)].into_iter().chain(rules).collect(),
        ));
    }
    facts.push(("migration", migration(view, register)));
    facts
}

fn read(view: &View, register: &Register) -> String {
    match &register.read {
        Read::Value(value) => {
            let value = expression(view, value);
            let value = match value.as_str() {
                "state" => "the state",
                "all_ones" => "all ones",
                other => other,
            };
            match register.fields.iter().any(|field| field.read.is_some()) {
                true => format!("by fields; other bits: {value}"),
                false => value.to_owned(),
            }
        }
        Read::Fault => "#GP".to_owned(),
        Read::Unlisted => "not listed: the next interface is asked, at last #GP".to_owned(),
        Read::Pass => "the hardware register, without an exit".to_owned(),
        Read::Hook(hook) => format!("the hypervisor answers: {}", hook_words(view, *hook)),
    }
}

fn write(view: &View, register: &Register) -> String {
    match &register.write {
        Write::Bits(hook) => {
            let bits = match register.fields.is_empty() {
                true => text::bit_rule(view, &register.reserved),
                false if register.reserved_mask == 0 => "by fields".to_owned(),
                false => format!(
                    "by fields; reserved bits: {}",
                    text::bit_rule(view, &register.reserved)
                ),
            };
            match hook {
                Some(hook) => {
                    format!("{bits}; then the hypervisor: {}", hook_words(view, *hook))
                }
                None => bits,
            }
        }
        Write::Fault => "#GP".to_owned(),
        Write::Unlisted => "not listed: the next interface is asked, at last #GP".to_owned(),
        Write::Pass => "the hardware register, without an exit".to_owned(),
        Write::Hook(hook) => format!("the hypervisor acts: {}", hook_words(view, *hook)),
    }
}

fn hook_words(view: &View, hook: usize) -> String {
    let hook = &view.hooks[hook];
    format!("{} ({})", hook.doc.trim_end_matches('.'), hook.name)
}

fn migration(view: &View, register: &Register) -> Vec<String> {
    match &register.migrate {
        Migrate::Saved { tag, default } => {
            let mut facts = vec![format!(
                "saved under tag {tag}; {} where a record lacks it",
                text::number(*default)
            )];
            if register.accepts != u64::MAX {
                facts.push(format!(
                    "a restored value may have the bits {:#x}",
                    register.accepts
                ));
            }
            if !register.after.is_empty() {
                let names = register.after.iter().map(|id| &view.register(*id).name);
                let names: Vec<&str> = names.map(String::as_str).collect();
                facts.push(format!("restored after {}", names.join(", ")));
            }
            facts
        }
        Migrate::Transient(why) => vec![format!("not saved: {why}")],
        Migrate::Derived if register.stored => vec!["follows from other state".to_owned()],
        Migrate::Derived => vec!["nothing to save".to_owned()],
    }
}

fn fields(view: &View, register: &Register, anchor: &str) -> Markup {
    let writes = matches!(register.write, Write::Bits(_));
    html! {
        div.wide {
            table {
                thead { tr { th { "bits" } th { "field" } th { "type" } th { "a write" } th { "" } } }
                tbody {
                    @for field in &register.fields {
                        tr id=(format!("{anchor}.{}", field.name)) {
                            td { code { (text::bits(field.hi, field.lo)) } }
                            td { a href=(format!("#{anchor}.{}", field.name)) { (field.name) } }
                            td { (text::field_type(field)) }
                            td { @if writes { (field_write(view, field)) } @else { "–" } }
                            td { (field_words(view, field)) }
                        }
                    }
                }
            }
        }
    }
}

/// What a write does to the field.
pub fn field_write(view: &View, field: &Field) -> String {
    let rules = field.rules.iter().map(|rule| text::rule(view, rule));
    [text::bit_rule(view, &field.write)]
        .into_iter()
        .chain(rules)
        .collect::<Vec<_>>()
        .join("; ")
}

/// The field's documentation, when it is there, and what it reads.
pub fn field_words(view: &View, field: &Field) -> String {
    let present = field.present.as_ref();
    let present = present.map(|e| format!(" There if {}.", expression(view, e)));
    let read = field.read.as_ref();
    let read = read.map(|e| format!(" Reads {}.", expression(view, e)));
    let restored = field.restored.as_ref();
    let restored = restored.filter(|_| matches!(field.ty, FieldType::Unsigned));
    let restored = restored.map(|values| {
        let values = runs(values, |value| value.to_string(), " to ");
        format!(" A restore takes {}.", values.join(", "))
    });
    let more = [present, read, restored].into_iter().flatten();
    std::iter::once(field.doc.clone()).chain(more).collect()
}
