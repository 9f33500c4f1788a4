//! `[[expect]]` and `[exit]`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use regex::Regex;
use toml::de::{DeTable, DeValue};

use super::captures::names;
use super::fault::{Captured, check_captured};
use super::fields::{Fields, shown, unsigned};
use super::guest::Guest;
use super::keys::WANT;
use super::place::{Located, Problems, line_of, suggestion};
use super::{Known, guest_index};
use crate::log::Value;

/// What a field must hold.
#[derive(Clone, Debug)]
pub enum Want {
    /// That value.
    Is(Value),
    /// A text in which `$name` stands for what was captured.
    Captured(String),
    /// A number within a range.
    Within(RangeInclusive<u64>),
    /// A text that matches.
    Matches(Regex),
}

/// When an expectation is met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// After those before it in the file.
    InTurn,
    /// After those before its group in the file.
    Group(String),
    /// At any time.
    Anywhere,
    /// Never: no such event.
    Absent,
}

/// An event that must come, or must not.
#[derive(Clone, Debug)]
pub struct Expect {
    /// Its kind.
    pub event: String,
    /// Fields and what they must hold.
    pub fields: Vec<(String, Want)>,
    /// In what order.
    pub order: Order,
    /// The line of the file.
    pub line: usize,
}

impl Expect {
    /// With the numbers that are known before the run in the place of their `$name`s.
    pub fn with_numbers(mut self, numbers: &[(String, usize)]) -> Self {
        for (_, want) in &mut self.fields {
            let Want::Captured(text) = want else {
                continue;
            };
            for (name, number) in numbers {
                *text = text.replace(&format!("${name}"), &number.to_string());
            }
            if !text.contains('$') {
                *want = Want::Is(Value::Text(std::mem::take(text)));
            }
        }
        self
    }
}

/// Reads one table; `count` in it gives that many expectations.
pub fn read(
    mut fields: Fields<'_, '_>,
    guests: &[Located<Guest>],
    captured: &Captured,
    known: &Known,
    source: &str,
) -> Option<Vec<Expect>> {
    let line = line_of(source, &fields.span);
    let event = fields.text("event");
    let wants = fields.table("where");
    let count = fields.number("count", 1..=1000);
    let group = fields.text("group");
    let anywhere = fields.flag("anywhere");
    let absent = fields.flag("absent");

    let order = match (group, anywhere, absent) {
        (None, false, false) => Order::InTurn,
        (Some(group), false, false) => Order::Group(group.value),
        (None, true, false) => Order::Anywhere,
        (None, false, true) if count.is_none() => Order::Absent,
        _ => {
            let span = fields.span.clone();
            let message = "of `group`, `anywhere` and `absent` only one can hold, and `absent` has no `count`";
            fields.problems.add(&span, message);
            return None;
        }
    };
    let event = event?;
    check_kind(&event, known, fields.problems);
    let wants = match wants {
        Some((table, _)) => read_wants(
            table,
            &event.value,
            guests,
            captured,
            known,
            fields.problems,
        ),
        None => Vec::new(),
    };
    let expect = Expect {
        event: event.value,
        fields: wants,
        order,
        line,
    };
    let count = usize::try_from(count.map_or(1, |count| count.value)).ok()?;
    Some(vec![expect; count])
}

fn check_kind(event: &Located<String>, known: &Known, problems: &mut Problems) {
    if !known.kinds.is_empty() && !known.kinds.contains_key(&event.value) {
        let kinds: Vec<_> = known.kinds.keys().map(String::as_str).collect();
        let message = format!("no event is called `{}`", event.value);
        problems.add_with_help(&event.span, message, suggestion(&event.value, &kinds));
    }
}

fn read_wants(
    table: &DeTable<'_>,
    kind: &str,
    guests: &[Located<Guest>],
    captured: &Captured,
    known: &Known,
    problems: &mut Problems,
) -> Vec<(String, Want)> {
    let mut wants = Vec::new();
    // In the order of the file, which the table does not keep.
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in entries {
        let name = key.get_ref().as_ref();
        if let Some(fields) = known.kinds.get(kind)
            && !fields.iter().any(|field| field == name)
        {
            let fields: Vec<_> = fields.iter().map(String::as_str).collect();
            let message = format!("`{kind}` has no field `{name}`");
            problems.add_with_help(&key.span(), message, suggestion(name, &fields));
        }
        if let Some(words) = known.words_of(kind, name) {
            check_word(kind, name, value, words, problems);
        }
        if let Some(want) = read_want(name, value, guests, captured, problems) {
            wants.push((name.to_owned(), want));
        }
    }
    wants
}

/// A field that holds one of a few words can be no other.
fn check_word(
    kind: &str,
    field: &str,
    value: &toml::Spanned<DeValue<'_>>,
    words: &[String],
    problems: &mut Problems,
) {
    let text = match value.get_ref() {
        DeValue::String(text) if text.contains('$') => return,
        DeValue::String(text) => text.as_ref(),
        // Whatever else it is will be looked at, and matches no word.
        DeValue::Integer(integer) => integer.as_str(),
        _ => return,
    };
    if !words.iter().any(|word| word == text) {
        let known: Vec<_> = words.iter().map(String::as_str).collect();
        let message = format!("`{field}` of `{kind}` is never `{text}`");
        problems.add_with_help(&value.span(), message, suggestion(text, &known));
    }
}

fn read_want(
    field: &str,
    value: &toml::Spanned<DeValue<'_>>,
    guests: &[Located<Guest>],
    captured: &Captured,
    problems: &mut Problems,
) -> Option<Want> {
    match value.get_ref() {
        DeValue::Integer(integer) if unsigned(integer).is_some() => {
            unsigned(integer).map(|number| Want::Is(Value::Decimal(number)))
        }
        DeValue::String(text) if text.contains('$') => {
            for name in names(text) {
                check_captured(name, captured, &value.span(), problems)?;
            }
            Some(Want::Captured(text.to_string()))
        }
        DeValue::String(text) if field == "guest" => {
            let name = Located {
                value: text.to_string(),
                span: value.span(),
            };
            let index = guest_index(&name, guests, problems)?;
            Some(Want::Is(Value::Decimal(index as u64)))
        }
        DeValue::String(text) => Some(Want::Is(Value::Text(text.to_string()))),
        DeValue::Table(table) => read_wider(table, value, problems),
        other => {
            let message = format!(
                "`{field}` must be a number, a text or a table, not {}",
                shown(other)
            );
            problems.add(&value.span(), message);
            None
        }
    }
}

fn read_wider<'t>(
    table: &'t DeTable<'t>,
    value: &'t toml::Spanned<DeValue<'t>>,
    problems: &mut Problems,
) -> Option<Want> {
    let mut fields = Fields::new(table, value.span(), &WANT, problems);
    let least = fields.number("least", 0..=u64::MAX);
    let most = fields.number("most", 0..=u64::MAX);
    let matches = fields.regex("matches");
    match (least, most, matches) {
        (None, None, Some(regex)) => Some(Want::Matches(regex.value)),
        // Something else stands there, and was said to be unknown.
        (None, None, None) if !table.is_empty() => None,
        (None, None, None) => {
            let help = "say `least`, `most` or `matches`";
            fields
                .problems
                .add_with_help(&value.span(), "this says nothing", help);
            None
        }
        (least, most, None) => {
            let (least, most) = (
                least.map_or(0, |l| l.value),
                most.map_or(u64::MAX, |m| m.value),
            );
            if least > most {
                fields.problems.add(
                    &value.span(),
                    format!("no number is at least {least} and at most {most}"),
                );
            }
            Some(Want::Within(least..=most))
        }
        _ => {
            fields.problems.add(&value.span(), "`matches` stands alone");
            None
        }
    }
}

/// Reads `[exit]`: the exit code of each guest that must shut down by itself.
pub fn read_exit(
    table: &DeTable<'_>,
    guests: &[Located<Guest>],
    problems: &mut Problems,
) -> BTreeMap<usize, u64> {
    let mut codes = BTreeMap::new();
    for (key, value) in table.iter() {
        let name = Located {
            value: key.get_ref().to_string(),
            span: key.span(),
        };
        let guest = guest_index(&name, guests, problems);
        let code = value.get_ref().as_integer().and_then(unsigned);
        if code.is_none() {
            let message = format!("an exit code is a number, not {}", shown(value.get_ref()));
            problems.add(&value.span(), message);
        }
        if let (Some(guest), Some(code)) = (guest, code) {
            codes.insert(guest, code);
        }
    }
    codes
}
