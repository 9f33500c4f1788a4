//! Values that a run captures from console lines.

use std::collections::BTreeMap;

use regex::Regex;

use super::fault::Amount;
use crate::log::Value;

/// Captured values by name.
#[derive(Clone, Debug, Default)]
pub struct Captures(BTreeMap<String, Value>);

impl Captures {
    /// Matches a line; keeps what the named groups hold. Whether it matched.
    pub fn take(&mut self, regex: &Regex, line: &str) -> bool {
        let Some(found) = regex.captures(line) else {
            return false;
        };
        for name in regex.capture_names().flatten() {
            if let Some(group) = found.name(name) {
                self.0.insert(name.to_owned(), Value::parse(group.as_str()));
            }
        }
        true
    }

    /// A captured value.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A text with each `$name` replaced by what was captured. `None`: one was not.
    pub fn fill(&self, template: &str) -> Option<Value> {
        let mut text = template.to_owned();
        // Longest first: `$gpa` must not spoil `$gpa2`.
        let mut all: Vec<_> = names(template).collect();
        all.sort_by_key(|name| std::cmp::Reverse(name.len()));
        for name in all {
            text = text.replace(&format!("${name}"), &self.get(name)?.to_string());
        }
        Some(Value::parse(&text))
    }

    /// The number that an amount means. `None`: nothing, or no number, was captured.
    pub fn amount(&self, amount: &Amount) -> Option<u64> {
        match amount {
            Amount::Number(number) => Some(*number),
            Amount::Captured(name) => self.get(name)?.number(),
        }
    }
}

/// The names that stand in a text as `$name`.
pub fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split('$').skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        &rest[..end.unwrap_or(rest.len())]
    })
}
