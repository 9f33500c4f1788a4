//! Spec files as the command line names them: `FILE` or `FILE@VERSION`.

use msr_dsl::Outcome;
use msr_dsl::diagnostics::Severity;
use msr_dsl::model::Model;
use msr_dsl::source::compile_file;
use std::path::Path;

/// `FILE@VERSION`: the version, if the part behind the last `@` is a number.
pub fn split(spec: &str) -> (&str, Option<u16>) {
    match spec.rsplit_once('@') {
        Some((file, version)) => match version.parse() {
            Ok(version) => (file, Some(version)),
            Err(_) => (spec, None),
        },
        None => (spec, None),
    }
}

/// A spec without mistakes; the mistakes go to standard error.
pub fn model(file: &str) -> Result<Model, String> {
    let compiled = compile_file(Path::new(file)).map_err(|error| format!("{file}: {error}"))?;
    let (source, Outcome { model, diagnostics }) = compiled;
    for diagnostic in diagnostics
        .iter()
        .filter(|one| one.severity() == Severity::Error)
    {
        eprint!("{}", diagnostic.render(file, &source));
    }
    model.ok_or_else(|| format!("{file} has mistakes: see `cargo msr check {file}`"))
}
