//! What a fuzzer starts from.

use std::path::{Path, PathBuf};

use super::Target;
use crate::error::{Doing, Error, Result, read, write};
use crate::workspace::Workspace;

/// More first bytes than there are versions: each record begins with each of them, which says what restores it.
const VERSIONS: u8 = 8;

/// Writes a target's seeds, and gives their folder.
pub fn seed(workspace: &Workspace, target: Target, folder: &Path) -> Result<PathBuf> {
    let seeds = folder.join("seeds").join(target.name());
    std::fs::create_dir_all(&seeds).doing(|| format!("make {}", seeds.display()))?;
    let of = |place: &str| files_under(&workspace.root.join(place));
    match target {
        Target::Record => {
            for file in of("specs/tests/corpus")? {
                let record = record(&file)?;
                for version in 0..VERSIONS {
                    let name = seeds.join(format!("{}-{version}", name(&file)));
                    write(&name, [&[version, version, 1], record.as_slice()].concat())?;
                }
            }
        }
        // The mistakes are short, and each is near something that is right.
        Target::Spec => {
            for file in of("msr-dsl/tests/cases")? {
                if file.extension().is_some_and(|one| one == "msr") {
                    write(&seeds.join(name(&file)), read(&file)?)?;
                }
            }
        }
    }
    Ok(seeds)
}

/// The last two parts of a path, as one word.
fn name(file: &Path) -> String {
    let parts: Vec<_> = file.iter().map(|part| part.to_string_lossy()).collect();
    parts[parts.len().saturating_sub(2)..].join("-")
}

/// The record in the first line of a file.
fn record(file: &Path) -> Result<Vec<u8>> {
    let text = read(file)?;
    let digits = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let bytes = digits.chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    let wrong = || {
        Error::Input(format!(
            "{}: no record in hexadecimal digits",
            file.display()
        ))
    };
    bytes.collect::<Option<_>>().ok_or_else(wrong)
}

/// The files in the folders of a folder.
fn files_under(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = |folder: &Path| -> Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(folder).doing(|| format!("read {}", folder.display()))?;
        Ok(entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect())
    };
    let mut files = Vec::new();
    for one in list(folder)?.iter().filter(|path| path.is_dir()) {
        files.extend(list(one)?);
    }
    files.sort();
    Ok(files)
}
