//! Findings of the compiler, the same for the macro and the command line.

use crate::codes::{self, Code};
use proc_macro2::Span;
use std::collections::HashSet;
use std::fmt::Write;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The spec is refused.
    Error,
    /// The spec is taken; `waive CODE "reason";` silences it.
    Warning,
}

/// One finding.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Its entry in the table of codes.
    pub code: &'static Code,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: String,
    /// Where.
    pub span: Span,
    /// Of a warning: the register, feature or hook that it is about.
    pub owner: Option<String>,
}

/// A place as users count: lines and columns from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// The start of a span.
pub fn start(span: Span) -> Place {
    let at = span.start();
    Place {
        line: at.line,
        column: at.column + 1,
    }
}

fn end(span: Span) -> Place {
    let at = span.end();
    Place {
        line: at.line,
        column: at.column + 1,
    }
}

/// From the first word to the last.
pub fn from_to(first: Span, last: Span) -> Span {
    first.join(last).unwrap_or(first)
}

impl Diagnostic {
    /// Error or warning.
    pub fn severity(&self) -> Severity {
        if self.code.id.starts_with('W') {
            Severity::Warning
        } else {
            Severity::Error
        }
    }

    /// One mistake in one place.
    fn known_by(&self) -> (&'static str, Place) {
        (self.code.id, self.place())
    }

    /// Where, for people.
    pub fn place(&self) -> Place {
        start(self.span)
    }

    /// The text that the macro gives to rustc: message, then help.
    pub fn text(&self) -> String {
        format!("[{}] {}\nhelp: {}", self.code.id, self.message, self.help)
    }

    /// `file:line:column: error[CODE]: message`, the source line with a caret, and the help.
    pub fn render(&self, file: &str, source: &str) -> String {
        let (from, to) = (start(self.span), end(self.span));
        let word = match self.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut out = format!(
            "{file}:{}:{}: {word}[{}]: {}\n",
            from.line, from.column, self.code.id, self.message
        );
        if let Some(line) = source.lines().nth(from.line.wrapping_sub(1)) {
            let number = from.line.to_string();
            let gutter = " ".repeat(number.len());
            let indent: String = line
                .chars()
                .take(from.column - 1)
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            let width = match from.line == to.line {
                true => to.column.saturating_sub(from.column).max(1),
                false => line.chars().count().saturating_sub(from.column - 1).max(1),
            };
            let _ = writeln!(
                out,
                "{gutter} |\n{number} | {line}\n{gutter} | {indent}{}",
                "^".repeat(width)
            );
        }
        let _ = writeln!(out, "  help: {}", self.help);
        out
    }
}

/// Findings in the order of the source, each mistake once.
#[derive(Debug, Default)]
pub struct Diagnostics {
    found: Vec<Diagnostic>,
    /// Their codes and places: a large spec without documentation has thousands.
    seen: HashSet<(&'static str, Place)>,
}

/// How the message of what no tool would get to the bottom of begins.
pub(crate) const TOO_DEEP: &str = "nested too deeply";

impl Diagnostics {
    /// Notes a finding, unless the same one has been noted for the same place.
    pub fn add(
        &mut self,
        code: &'static Code,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Diagnostic {
            code,
            message: message.into(),
            help: help.into(),
            span,
            owner: None,
        });
    }

    /// Notes something that may be right, about a named thing; `waive` there silences it.
    pub fn warn(
        &mut self,
        code: &'static Code,
        owner: &crate::ast::Name,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let help = format!("{}; or `waive {} \"why\";`", help.into(), code.id);
        self.push(Diagnostic {
            code,
            message: message.into(),
            help,
            span: owner.span,
            owner: Some(owner.text.clone()),
        });
    }

    fn push(&mut self, new: Diagnostic) {
        if self.seen.insert(new.known_by()) {
            self.found.push(new);
        }
    }

    /// Notes a mistake in the words or their order.
    pub fn add_syntax(&mut self, error: &syn::Error) {
        for one in error.clone() {
            let text = one.to_string();
            let (message, help) = text
                .split_once("\nhelp: ")
                .unwrap_or((&text, "see docs/language.md for the grammar"));
            let code = match message.starts_with(TOO_DEEP) {
                true => &crate::codes::OUT_OF_RANGE,
                false => &crate::codes::SYNTAX,
            };
            self.add(code, one.span(), message, help);
        }
    }

    /// Whether the spec is refused.
    pub fn has_errors(&self) -> bool {
        self.errors() != 0
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.found
            .iter()
            .filter(|one| one.severity() == Severity::Error)
            .count()
    }

    /// Takes the warnings for which `waived` says yes away.
    pub fn retain(&mut self, keep: impl FnMut(&Diagnostic) -> bool) {
        self.found.retain(keep);
        self.seen = self.found.iter().map(Diagnostic::known_by).collect();
    }

    /// All of them, in the order of the source. One name that is not there is one mistake, wherever it stands: it is told of where it
    /// stands first.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.found
            .sort_by_cached_key(|one| (one.place().line, one.place().column));
        let mut told: Vec<String> = Vec::new();
        self.found.retain(|one| {
            let about_a_name = [&codes::UNKNOWN_NAME, &codes::UNKNOWN_VERSION]
                .iter()
                .any(|code| code.id == one.code.id);
            let again = about_a_name && told.contains(&one.message);
            if about_a_name && !again {
                told.push(one.message.clone());
            }
            !again
        });
        self.found
    }

    /// All of them, as found.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.found.iter()
    }
}
