//! A side of a comparison: a version, and where its lines are.

use super::finding::{Finding, Line};
use super::lines::Lines;
use crate::model::View;

/// A version of an interface, from wherever it came.
pub struct Side {
    /// As it was named.
    pub name: String,
    /// The version.
    pub view: View,
    /// Where things are said.
    lines: Lines,
}

impl Side {
    /// A version of a spec. `text` is that of the file.
    pub fn of_spec(name: &str, file: &str, text: &str, view: &View) -> Self {
        Self {
            name: name.to_owned(),
            view: view.clone(),
            lines: Lines::of_spec(file, text, view.version),
        }
    }

    /// Where this side says what a finding is about.
    pub fn line(&self, finding: &Finding, side: usize) -> Option<Line> {
        self.lines.find(&finding.about, side)
    }
}
