//! Scenario files: what is booted, what goes wrong in it, and what must come of it (docs/scenarios.md).

mod captures;
mod expect;
mod fault;
mod fields;
mod guest;
mod interface;
mod keys;
mod known;
mod list;
mod machine;
mod manual;
mod place;
pub mod vectors;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

pub use captures::Captures;
pub use expect::{Expect, Order, Want};
pub use fault::{Address, Amount, Fault, When};
pub use guest::Guest;
pub use known::Known;
pub use list::{Entry, find, list};
pub use manual::manual;
pub use place::{Problems, nearest, suggestion};

use crate::emulator::Machine;
use crate::error::{Error, Result};
use fault::Captured;
use fields::Fields;
use place::Located;

/// A scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file's name without `.toml`.
    pub name: String,
    /// Where it stands.
    pub path: PathBuf,
    /// One line.
    pub title: String,
    /// The hypervisor's command line.
    pub command_line: String,
    /// The emulated machine.
    pub machine: Machine,
    /// The image is the one for production: it has no fault injector.
    pub production: bool,
    /// The guests, in order.
    pub guests: Vec<Guest>,
    /// The errors to raise.
    pub faults: Vec<Fault>,
    /// What must happen.
    pub expects: Vec<Expect>,
    /// The exit code of each guest that must shut down by itself.
    pub exit: BTreeMap<usize, u64>,
}

impl Scenario {
    /// The same machine and guests to play with: nothing is raised by itself, nothing is expected, and the guests are told to stay.
    pub fn held(mut self) -> Self {
        self.faults.clear();
        self.expects.clear();
        self.exit.clear();
        for guest in &mut self.guests {
            guest.args = format!("{} hold=1", guest.args).trim_start().to_owned();
        }
        self
    }

    /// Reads the scenario of that name, or in that file.
    ///
    /// # Errors
    /// There is none, or as [`Self::load`].
    pub fn named(workspace: &Path, name: &str) -> Result<Self> {
        Self::load(&find(workspace, name)?, &Known::of(workspace))
    }

    /// Reads a scenario file.
    ///
    /// # Errors
    /// [`Error::Input`] with every mistake: file, line, column, the line, the mend.
    pub fn load(path: &Path, known: &Known) -> Result<Self> {
        let bytes = crate::error::read(path)?;
        let source = String::from_utf8(bytes)
            .map_err(|_| Error::Input(format!("{}:1:1: not a text in UTF-8\n", path.display())))?;
        Self::parse(path, &source, known)
    }

    /// Reads a scenario from its text; `path` is for its name and for messages.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn parse(path: &Path, source: &str, known: &Known) -> Result<Self> {
        let mut problems = Problems::default();
        let (file, mistakes) = DeTable::parse_recoverable(source);
        for mistake in &mistakes {
            problems.add(&mistake.span().unwrap_or(0..0), mistake.message());
        }
        // Text that is no TOML gives no sense to read on in: one mistake, one error.
        let scenario = if mistakes.is_empty() {
            read(file.get_ref(), path, source, known, &mut problems)
        } else {
            None
        };
        match scenario {
            Some(scenario) if problems.is_empty() => Ok(scenario),
            _ => Err(Error::Input(problems.render(path, source))),
        }
    }
}

fn read(
    file: &DeTable<'_>,
    path: &Path,
    source: &str,
    known: &Known,
    problems: &mut Problems,
) -> Option<Scenario> {
    let mut top = Fields::new(file, 0..0, &keys::TOP, problems);
    let title = top.text("title");
    top.text("about");
    let command_line = top.text("command_line");
    let machine = top.table("machine");
    let (guests, faults, expects) = (
        top.tables("guest"),
        top.tables("fault"),
        top.tables("expect"),
    );
    let exit = top.table("exit");
    let top_expects = !expects.is_empty()
        || top.raw("expect").is_some()
        || exit.as_ref().is_some_and(|(table, _)| !table.is_empty());

    let machine = machine.and_then(|(table, span)| {
        machine::read(Fields::new(table, span, &keys::MACHINE, problems))
    });
    let production = machine.as_ref().is_some_and(|said| said.production);
    let machine = machine.map(|said| said.machine);
    let guests: Vec<_> = guests
        .into_iter()
        .enumerate()
        .map(|(index, (table, span))| {
            let fields = Fields::new(table, span.clone(), &keys::GUEST, problems);
            let value = guest::read(fields, index, known);
            Located { value, span }
        })
        .collect();
    if let Some(machine) = &machine {
        guest::check_all(&guests, machine, problems);
    }
    let mut captured = Captured::default();
    let mut counts: Vec<_> = guests
        .iter()
        .filter_map(|guest| guest.value.count())
        .collect();
    // The longest first: none is the beginning of a later one.
    counts.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    captured.know(counts.iter().map(|(name, _)| name));
    let faults: Vec<_> = faults
        .into_iter()
        .filter_map(|(table, span)| {
            let fields = Fields::new(table, span, &keys::FAULT, problems);
            if production && table.contains_key("at") {
                let message = "an image for production has no injector that could raise this";
                let help =
                    "with `after` its command is sent, and refused; or leave `production` out";
                fields.problems.add_with_help(&fields.span, message, help);
            }
            fault::read(fields, machine.as_ref(), &guests, &mut captured, source)
        })
        .collect();
    let expects: Vec<_> = expects
        .into_iter()
        .filter_map(|(table, span)| {
            let fields = Fields::new(table, span, &keys::EXPECT, problems);
            expect::read(fields, &guests, &captured, known, source)
        })
        .flatten()
        .map(|expect| expect.with_numbers(&counts))
        .collect();
    let exit = exit.map_or_else(BTreeMap::new, |(table, _)| {
        expect::read_exit(table, &guests, problems)
    });

    if !top_expects {
        problems.add_with_help(
            &(0..0),
            "nothing is expected of this run",
            "add an [[expect]], or [exit] with a guest's exit code",
        );
    }

    Some(Scenario {
        name: path.file_stem()?.to_string_lossy().into_owned(),
        path: path.to_owned(),
        title: title?.value,
        command_line: command_line.map_or_else(String::new, |line| line.value),
        machine: machine?,
        production,
        guests: guests.into_iter().map(|guest| guest.value).collect(),
        faults,
        expects,
        exit,
    })
}

/// The number of the guest of that name.
fn guest_index(
    name: &Located<String>,
    guests: &[Located<Guest>],
    problems: &mut Problems,
) -> Option<usize> {
    let index = guests
        .iter()
        .position(|guest| guest.value.name == name.value);
    if index.is_none() {
        let names: Vec<_> = guests
            .iter()
            .map(|guest| guest.value.name.as_str())
            .collect();
        let message = format!("no guest is called `{}`", name.value);
        problems.add_with_help(&name.span, message, suggestion(&name.value, &names));
    }
    index
}

/// Whether a word can be a name in a boot module's string.
fn plain_word(word: &str) -> bool {
    !word.is_empty()
        && word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

#[cfg(test)]
mod tests;
