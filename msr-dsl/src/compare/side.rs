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

    /// A version of a manifest. `text` is that of the file. None if a line is none of a manifest, or the version is missing.
    pub fn of_manifest(
        name: &str,
        file: &str,
        text: &str,
        interface: &str,
        version: u16,
    ) -> Option<Self> {
        let versions = crate::manifest::Manifest::parse(text).ok()?.versions;
        let view = super::released::view(interface, version, versions.get(&version)?)?;
        let lines = Lines::of_manifest(file, text, version);
        Some(Self {
            name: name.to_owned(),
            view,
            lines,
        })
    }

    /// Where this side says what a finding is about.
    pub fn line(&self, finding: &Finding, side: usize) -> Option<Line> {
        self.lines.find(&finding.about, side)
    }
}
