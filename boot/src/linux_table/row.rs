//! The table's file: what is raised in Linux, and what it must make of it.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use super::answer::Signal;
use super::change::Change;
use super::linux::PROCESSORS;
use crate::error::Result;
use crate::rows;

/// A row of the table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// What it shows.
    pub title: String,
    /// The scenario whose guest 0 gets what is raised.
    pub scenario: String,
    /// What is raised instead.
    #[serde(default)]
    pub change: Vec<Change>,
    /// The processors that run the system, not a program, when the first #MC comes.
    #[serde(default)]
    pub in_kernel: BTreeSet<usize>,
    /// What programs are told, in any order.
    #[serde(default)]
    pub told: Vec<Signal>,
    /// Pages that nobody is told of and that are gone all the same.
    #[serde(default)]
    pub strangers: usize,
    /// Linux panics, and says this.
    pub panic: Option<String>,
    /// The line of the file.
    #[serde(skip)]
    pub line: usize,
}

/// Reads a table.
///
/// # Errors
/// [`crate::error::Error::Input`] with every mistake and its place.
pub fn load(path: &Path) -> Result<Vec<Row>> {
    parse(path, &rows::text(path)?)
}

fn parse(path: &Path, text: &str) -> Result<Vec<Row>> {
    rows::parse(path, text, |row: &Row, span, problems| {
        row.check(|message| problems.add(span, message));
    })
}

impl rows::Row for Row {
    fn set_line(&mut self, line: usize) {
        self.line = line;
    }
}

impl Row {
    fn check(&self, mut wrong: impl FnMut(String)) {
        let none = |cpu: usize| format!("there is no processor {cpu}: they are 0 and 1");
        for change in self.change.iter().filter(|change| !change.fits(PROCESSORS)) {
            wrong(format!("{change:?} names a vCPU that there is not"));
        }
        let named = self.told.iter().map(|signal| signal.cpu);
        for cpu in named.chain(self.in_kernel.iter().copied()) {
            if cpu >= PROCESSORS {
                wrong(none(cpu));
            }
        }
        if self.panic.is_some() && !self.told.is_empty() {
            wrong("after a panic no program is told anything".into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[[row]]\ntitle = 't'\nscenario = 's'\nchange = [{ vcpu = 1, mcg-status = 5 }]\n\
        told = [{ cpu = 1, why = 'required', page = 0 }]\n";

    #[test]
    fn mistakes_have_their_place() {
        let rows = parse(Path::new("t.toml"), GOOD).unwrap();
        assert_eq!((rows[0].line, rows[0].told[0].cpu), (1, 1));
        for (from, to, place, message) in [
            ("title = 't'\n", "", "t.toml:1:1", "missing field `title`"),
            (
                "cpu = 1, why",
                "cpu = 2, why",
                "t.toml:1:1",
                "there is no processor 2",
            ),
            (
                "vcpu = 1",
                "vcpu = 2",
                "t.toml:1:1",
                "names a vCPU that there is not",
            ),
            (
                "'required'",
                "'wanted'",
                "t.toml:5:",
                "unknown variant `wanted`",
            ),
            (
                "told =",
                "panic = 'x'\ntold =",
                "t.toml:1:1",
                "after a panic no program",
            ),
            (
                "mcg-status",
                "mcg_status",
                "t.toml:4:",
                "unknown field `mcg_status`",
            ),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let said = parse(Path::new("t.toml"), &GOOD.replacen(from, to, 1))
                .unwrap_err()
                .to_string();
            assert!(
                said.starts_with(place) && said.contains(message),
                "{from} -> {to}: {said}"
            );
        }
    }
}
