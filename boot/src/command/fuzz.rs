//! `cargo boot fuzz`: bytes that no version has written, texts that nobody means.

use std::time::Duration;

use super::Answer;
use crate::error::Result;
use crate::fuzz::{Fuzzers, Target};
use crate::workspace::Workspace;

/// Fuzzes one target, or one after the other.
///
/// # Errors
/// What keeps a fuzzer from being built or run.
pub fn fuzz(target: Option<Target>, time: Duration) -> Result<Answer> {
    let workspace = Workspace::find()?;
    let fuzzers = Fuzzers::build(&workspace)?;
    let targets = target
        .as_ref()
        .map_or(&Target::ALL[..], std::slice::from_ref);
    let mut answer = Answer::Yes;
    for target in targets {
        let name = target.name();
        eprintln!("{name}: {} s", time.as_secs());
        match fuzzers.run(*target, time)? {
            Ok(said) => {
                let lines = said
                    .lines()
                    .filter(|line| line.starts_with("stat::") || line.contains("DONE"));
                lines.for_each(|line| println!("{name}: {line}"));
            }
            Err(finding) => {
                answer = Answer::No;
                println!("{name}: found {}\n{}", finding.file.display(), finding.said);
            }
        }
    }
    Ok(answer)
}
