//! `msr fmt`.

use super::output::{put, tell};
use super::{NO, USAGE};
use msr_dsl::format::{FormatError, first_difference, format};
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

/// Lays the files out, or says which ones are not (status 1). `-` is standard input, to standard output. Status 2 if a
/// file cannot be read or written, or does not follow the grammar; such a file is left as it is.
pub fn fmt(files: &[String], check: bool) -> ExitCode {
    let mut worst = 0;
    for file in files {
        let status = match one(file, check) {
            Ok(Outcome::Fine) => 0,
            Ok(Outcome::Differs(line)) => {
                put!("{}:{line}: not formatted", name(file));
                NO
            }
            Err(message) => {
                tell!("{message}");
                USAGE
            }
        };
        worst = worst.max(status);
    }
    ExitCode::from(worst)
}

enum Outcome {
    Fine,
    /// The first line that differs.
    Differs(usize),
}

fn name(file: &str) -> &str {
    if file == "-" { "standard input" } else { file }
}

fn one(file: &str, check: bool) -> Result<Outcome, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", name(file));
    let mut text = String::new();
    match file {
        "-" => std::io::stdin().read_to_string(&mut text).map(|_| ()),
        _ => std::fs::read_to_string(file).map(|read| text = read),
    }
    .map_err(failed)?;
    let formatted = format(&text).map_err(|error| match error {
        FormatError::Mistakes(mistakes) => {
            let shown = mistakes.iter().map(|one| one.render(name(file), &text));
            let help = format!("{} has mistakes and was left as it is", name(file));
            shown.chain([help]).collect::<Vec<_>>().join("\n")
        }
        error => format!("{}: {error}", name(file)),
    })?;
    match (first_difference(&text, &formatted), check) {
        (Some(line), true) => return Ok(Outcome::Differs(line)),
        (None, true) => {}
        (_, false) if file == "-" => {
            put!("{}", formatted.trim_end_matches('\n'));
        }
        (Some(_), false) => replace(Path::new(file), &formatted).map_err(failed)?,
        (None, false) => {}
    }
    Ok(Outcome::Fine)
}

/// Writes beside the file and renames, so that a reader (or a crash) never meets half a spec.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    // A link stays one: what it points to is replaced.
    let path = std::fs::canonicalize(path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".msr-fmt-")
        .tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file()
        .set_permissions(std::fs::metadata(&path)?.permissions())?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(())
}
