//! Says which expectation was not met, and what came nearest.

use std::fmt::{self, Write as _};

use super::mismatches;
use crate::log::Event;
use crate::scenario::{Captures, Expect, Scenario, Want};

/// How many near events are shown.
const NEAR: usize = 3;

/// An expectation that was not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// The line of the scenario file, where it has one.
    pub line: Option<usize>,
    /// What was expected.
    pub expected: String,
    /// What came instead, a line each.
    pub instead: Vec<String>,
}

impl Unmet {
    pub(super) fn missing(
        expect: &Expect,
        events: &[Event],
        from: usize,
        captures: &Captures,
    ) -> Self {
        let mut instead: Vec<_> = near(expect, events, from, captures).collect();
        if instead.is_empty() {
            instead.push(format!("no event {} at all", expect.event));
        }
        Self {
            line: Some(expect.line),
            expected: describe(expect, captures),
            instead,
        }
    }

    pub(super) fn present(expect: &Expect, event: &Event, captures: &Captures) -> Self {
        Self {
            line: Some(expect.line),
            expected: format!("no event {}", describe(expect, captures)),
            instead: vec![at(event)],
        }
    }

    pub(super) fn exit(guest: &str, code: u64, ended: Option<&Event>, scenario: &Scenario) -> Self {
        let instead = match ended {
            Some(event) => at(event),
            None => "it never shut down by itself".to_owned(),
        };
        Self {
            line: None,
            expected: format!(
                "guest {guest} of {} shuts down with code {code}",
                scenario.name
            ),
            instead: vec![instead],
        }
    }

    pub(super) fn end(guest: &str, stop: Option<&Event>) -> Self {
        Self {
            line: None,
            expected: format!("guest {guest} ends by itself (no expectation covers anything else)"),
            instead: vec![stop.map_or_else(|| "it never shut down".to_owned(), at)],
        }
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not met")?;
        if let Some(line) = self.line {
            write!(f, " (line {line} of the scenario)")?;
        }
        write!(f, ": {}", self.expected)?;
        for instead in &self.instead {
            write!(f, "\n  instead: {instead}")?;
        }
        Ok(())
    }
}

/// Events of the kind, those with the fewest wrong fields first, and why each is not the one.
fn near<'e>(
    expect: &'e Expect,
    events: &'e [Event],
    from: usize,
    captures: &'e Captures,
) -> impl Iterator<Item = String> + use<'e> {
    let mut same: Vec<_> = events
        .iter()
        .enumerate()
        .filter(|(_, event)| event.kind == expect.event)
        .map(|(index, event)| (mismatches(expect, event, captures), index, event))
        .collect();
    same.sort_by_key(|(wrong, index, _)| (wrong.len(), *index));
    same.into_iter()
        .take(NEAR)
        .map(move |(wrong, index, event)| {
            let mut text = at(event);
            if wrong.is_empty() {
                let why = if index < from {
                    "too early"
                } else {
                    "meets another one already"
                };
                let _ = write!(text, " ({why})");
            }
            for (field, _) in wrong {
                let _ = match event.get(field) {
                    Some(value) => write!(text, " ({field} is {value})"),
                    None => write!(text, " (has no {field})"),
                };
            }
            text
        })
}

fn at(event: &Event) -> String {
    match event.t {
        Some(t) => format!("{event} at {t}"),
        None => event.to_string(),
    }
}

fn describe(expect: &Expect, captures: &Captures) -> String {
    let mut text = expect.event.clone();
    for (field, want) in &expect.fields {
        let _ = match want {
            Want::Is(value) => write!(text, " {field}={value}"),
            Want::Captured(wanted) => match captures.fill(wanted) {
                Some(value) => write!(text, " {field}={value}"),
                None => write!(text, " {field}={wanted} (which nothing captured)"),
            },
            Want::Within(range) => write!(text, " {field}={}..{}", range.start(), range.end()),
            Want::Matches(regex) => write!(text, " {field}=~'{regex}'"),
        };
    }
    text
}
