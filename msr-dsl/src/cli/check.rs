//! `msr check`.

use super::output::{put, tell};
use super::{NO, USAGE};
use msr_dsl::diagnostics::{Diagnostic, Severity};
use msr_dsl::source::compile_file;
use std::path::PathBuf;
use std::process::ExitCode;

/// Checks each file; status 1 if one has errors, 2 if one cannot be read.
pub fn check(files: &[PathBuf], json: bool) -> ExitCode {
    let (mut errors, mut unreadable) = (0, false);
    for path in files {
        let (source, outcome) = match compile_file(path) {
            Ok(compiled) => compiled,
            Err(error) => {
                tell!("{}: {error}", path.display());
                unreadable = true;
                continue;
            }
        };
        let file = path.display().to_string();
        for diagnostic in &outcome.diagnostics {
            errors += usize::from(diagnostic.severity() == Severity::Error);
            match json {
                true => put!("{}", to_json(diagnostic, &file)),
                false => put!("{}", diagnostic.render(&file, &source)),
            };
        }
        if let (Some(model), false) = (&outcome.model, json) {
            let versions: Vec<String> = model
                .views
                .iter()
                .map(|view| view.version.to_string())
                .collect();
            let registers = model.newest().registers.len();
            let plural = |count: usize| if count == 1 { "" } else { "s" };
            put!(
                "{file}: {} fine: version{} {}; {registers} register{}",
                model.name,
                plural(versions.len()),
                versions.join(", "),
                plural(registers)
            );
        }
    }
    match (errors, unreadable) {
        (_, true) => ExitCode::from(USAGE),
        (0, _) => ExitCode::SUCCESS,
        _ => ExitCode::from(NO),
    }
}

fn to_json(diagnostic: &Diagnostic, file: &str) -> serde_json::Value {
    serde_json::json!({
        "file": file,
        "line": diagnostic.place().line,
        "column": diagnostic.place().column,
        "severity": if diagnostic.severity() == Severity::Error { "error" } else { "warning" },
        "code": diagnostic.code.id,
        "message": diagnostic.message,
        "help": diagnostic.help,
    })
}
