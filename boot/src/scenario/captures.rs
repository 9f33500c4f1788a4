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
        let (start, _) = template.split_once('$').unwrap_or((template, ""));
        let mut text = start.to_owned();
        for rest in template.split('$').skip(1) {
            let (name, after) = split(rest);
            text.push_str(&self.get(name)?.to_string());
            text.push_str(after);
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
    text.split('$').skip(1).map(|rest| split(rest).0)
}

/// A name and what follows it.
fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    text.split_at(end.unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_by_what_was_captured() {
        let mut captures = Captures::default();
        let regex = Regex::new(r"(?<a>\S+) (?<ab>\S+)").unwrap();
        assert!(captures.take(&regex, "0x1000 two"));
        assert_eq!(captures.fill("$a"), Some(Value::Hex(0x1000)));
        assert_eq!(
            captures.fill("x=$ab,$a."),
            Some(Value::Text("x=two,0x1000.".into()))
        );
        assert_eq!(
            captures.fill("$a$ab"),
            Some(Value::Text("0x1000two".into()))
        );
        assert_eq!(captures.fill("$abc"), None);
        assert_eq!(names("$a-$ab$c").collect::<Vec<_>>(), ["a", "ab", "c"]);
    }
}
