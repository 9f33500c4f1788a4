//! What a fuzzer found.

use std::path::{Path, PathBuf};

use super::{Fuzzers, Target};
use crate::error::{Doing, Error, Result, write};

/// An input that was too much.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Where it is now, for a plain test to replay.
    pub file: PathBuf,
    /// What went wrong, in the program's words.
    pub said: String,
}

/// The files of a folder.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).doing(|| format!("read {}", folder.display()))?;
    Ok(entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect())
}

/// Puts an input, as small as it came, where the plain tests look.
pub fn keep(fuzzers: &Fuzzers, target: Target, input: &Path, said: &str) -> Result<Finding> {
    let output = fuzzers
        .program(target)
        .arg(input)
        .env("FUZZ_TELL", "1")
        .output()
        .doing(|| format!("start the fuzzer {} again", target.name()))?;
    let told = String::from_utf8_lossy(&output.stdout);
    let mut words = told.split_whitespace();
    let (Some(what), Some(digits)) = (words.next(), words.next()) else {
        return Err(Error::Impossible(format!(
            "{} is no input of the fuzzer {}: {told}",
            input.display(),
            target.name()
        )));
    };
    let id: String = name(input).chars().take(12).collect();
    let root = &fuzzers.workspace.root;
    let file = match target {
        Target::Record => write(
            &root.join(format!("specs/tests/corpus/{what}/fuzz-{id}.hex")),
            format!("{digits}\n"),
        ),
        Target::Spec => write(
            &root.join(format!("msr-dsl/tests/hostile/{id}.msr")),
            crate::error::read(input)?,
        ),
    }?;
    Ok(Finding {
        file,
        said: last(said),
    })
}

/// libFuzzer's name for it, a hash, without the kind of the end.
fn name(input: &Path) -> String {
    let name = input.file_name().unwrap_or_default().to_string_lossy();
    name.rsplit('-').next().unwrap_or_default().to_owned()
}

/// From the panic to the end of the trace, without libFuzzer's own statistics.
fn last(said: &str) -> String {
    let from = said.find("panicked at").or_else(|| said.find("ERROR:"));
    let lines = said[from.unwrap_or(0)..].lines();
    let lines = lines.take_while(|line| !line.starts_with("NOTE:") && !line.starts_with("MS:"));
    lines.take(20).collect::<Vec<_>>().join("\n")
}
