//! The manifest as a file. Its last line counts the others and sums them up, so that one cut short, emptied or edited is
//! no manifest: what it no longer says it would no longer hold.

use super::Lines;
use crate::model::Model;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};

const VENDOR: &str = "vendor: ";
const VERSION: &str = "version ";
const GONE: &str = "gone for ever";
const END: &str = "end of ";

/// What `msr lock` wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Whose machine checks the interface has: `intel`, `amd`, `any`.
    pub vendor: String,
    /// What each released version does.
    pub versions: BTreeMap<u16, Lines>,
    /// The tombstones, `tag 4` or `bit 9`: of no version, since what is gone is gone for all of them.
    pub removed: BTreeSet<String>,
}

/// Why a text is no manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl Display for Broken {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of the manifest: {}", self.line, self.what)
    }
}

impl Manifest {
    /// That of a spec, all its versions released.
    pub fn of(model: &Model) -> Self {
        let lines = |view| super::lines(view);
        Self {
            vendor: model.vendor.clone(),
            versions: model
                .views
                .iter()
                .map(|view| (view.version, lines(view)))
                .collect(),
            removed: model.removed.iter().cloned().collect(),
        }
    }

    /// The file's text.
    pub fn text(&self, name: &str) -> String {
        let mut out = format!(
            "# Released versions of `{name}`, made by `cargo msr lock`. The build fails when the spec would alter one.\n\n"
        );
        out += &format!("{VENDOR}{}\n", self.vendor);
        for (version, lines) in &self.versions {
            out += &format!("\n{VERSION}{version}\n");
            out.extend(lines.iter().map(|(key, value)| format!("{key}: {value}\n")));
        }
        if !self.removed.is_empty() {
            out += &format!("\n{GONE}\n");
            out.extend(self.removed.iter().map(|what| format!("{what}\n")));
        }
        out += "\n";
        let all: Vec<&str> = out.lines().collect();
        let end = end(&all);
        out + &end + "\n"
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// It is none, or not whole.
    pub fn parse(text: &str) -> Result<Self, Broken> {
        let all: Vec<&str> = text.lines().collect();
        let Some((last, before)) = all.split_last().filter(|(last, _)| last.starts_with(END))
        else {
            return Err(Broken {
                line: all.len().max(1),
                what: "the end is missing, so it may have been cut short",
            });
        };
        let mut manifest = Self::default();
        let mut section = Section::Head;
        for (number, line) in before.iter().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            manifest.take(line, &mut section).ok_or(Broken {
                line: number + 1,
                what: "this is none of a manifest",
            })?;
        }
        if *last != end(before) {
            return Err(Broken {
                line: all.len(),
                what: "the lines before it are not those that were written",
            });
        }
        Ok(manifest)
    }

    /// Reads a line.
    fn take(&mut self, line: &str, section: &mut Section) -> Option<()> {
        if let Some(digits) = line.strip_prefix(VERSION) {
            let version = digits.parse().ok()?;
            self.versions.insert(version, Lines::new());
            *section = Section::Version(version);
            return Some(());
        }
        if line == GONE {
            *section = Section::Gone;
            return Some(());
        }
        match section {
            Section::Head => self.vendor = line.strip_prefix(VENDOR)?.to_owned(),
            Section::Version(version) => {
                let (key, value) = line.split_once(": ")?;
                let lines = self.versions.get_mut(version)?;
                lines.insert(key.to_owned(), value.to_owned());
            }
            Section::Gone => {
                self.removed.insert(line.to_owned());
            }
        }
        Some(())
    }
}

/// Where in the file a line stands.
enum Section {
    Head,
    Version(u16),
    Gone,
}

/// The last line.
fn end(before: &[&str]) -> String {
    let sum = msr_runtime::record::crc32c(0, before.join("\n").as_bytes());
    format!("{END}{} lines, CRC-32C {sum:#010x}", before.len())
}
