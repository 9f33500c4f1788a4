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

    /// The number that an amount means. `None`: nothing, or no number, was captured.
    pub fn amount(&self, amount: &Amount) -> Option<u64> {
        match amount {
            Amount::Number(number) => Some(*number),
            Amount::Captured(name) => self.get(name)?.number(),
        }
    }
}
