//! Runs the program `subject` under valgrind's callgrind and reads what it counted.

use std::path::Path;
use std::process::{Command, Stdio};

/// The functions of `subject` whose calls are counted, as callgrind's patterns. It keeps one setting for a pattern: two settings need
/// two patterns that mean the same.
const MEASURED: [&str; 2] = ["*measured::*", "subject::measured::*"];

/// One call of a measured function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What was done: `read`, `write`, `save` or `restore`.
    pub what: String,
    /// To what: an interface with its version, or another name.
    pub on: String,
    /// With what, in words.
    pub with: String,
    /// Instructions from the function's first to its return.
    pub instructions: u64,
}

/// Runs `subject` with some arguments and counts each call of a measured function.
///
/// # Errors
/// A text for whoever started the measurement: valgrind is not there, or what went wrong.
pub fn count(subject: &Path, arguments: &[&str]) -> Result<Vec<Call>, String> {
    let folder =
        tempfile::tempdir().map_err(|error| format!("no folder for callgrind's files: {error}"))?;
    let [collect, dump] = MEASURED;
    let out = folder.path().join("out");
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--toggle-collect={collect}"))
        .arg(format!("--dump-before={dump}"))
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(subject)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    let run = run.map_err(|error| {
        format!("valgrind does not start ({error}). `cargo boot setup` installs it, or: apt-get install valgrind")
    })?;
    if !run.status.success() {
        return Err(format!(
            "subject failed under valgrind: {}",
            String::from_utf8_lossy(&run.stderr)
        ));
    }
    let said = String::from_utf8_lossy(&run.stdout);
    // Each call but the last is in the file that was written when the next began; the first file is what was before all of them.
    let lines = said.lines().enumerate();
    let calls: Result<Vec<Call>, String> = lines
        .map(|(at, line)| {
            let part = folder.path().join(format!("out.{}", at + 2));
            call(line, if part.exists() { &part } else { &out })
        })
        .collect();
    let calls = calls?;
    let files = std::fs::read_dir(folder.path()).map_or(0, Iterator::count);
    if files != calls.len() + 1 || calls.iter().any(|call| call.instructions == 0) {
        return Err(format!(
            "callgrind wrote {files} files for {} calls: does it still know the measured functions by {MEASURED:?}?",
            calls.len()
        ));
    }
    Ok(calls)
}

/// What `subject` said of a call, and the file that has its count.
fn call(line: &str, counted: &Path) -> Result<Call, String> {
    let text = std::fs::read_to_string(counted)
        .map_err(|error| format!("{}: {error}", counted.display()))?;
    let instructions = text
        .lines()
        .find_map(|line| line.strip_prefix("summary: ")?.trim().parse().ok());
    let mut words = line.splitn(3, ' ').map(str::to_owned);
    let parts = (words.next(), words.next(), words.next(), instructions);
    let (Some(what), Some(on), Some(with), Some(instructions)) = parts else {
        return Err(format!("`{line}`, {}: not understood", counted.display()));
    };
    Ok(Call {
        what,
        on,
        with,
        instructions,
    })
}

/// The call of `what` on `on` that took the most instructions.
pub fn worst<'c>(calls: &'c [Call], what: &str, on: &str) -> Option<&'c Call> {
    calls
        .iter()
        .filter(|call| call.what == what && call.on == on)
        .max_by_key(|call| call.instructions)
}
