//! `msr doc`: the reference page of an interface.

use super::USAGE;
use super::file::model;
use super::output::{put, tell};
use msr_dsl::document;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Writes the page.
pub fn doc(file: &str, output: Option<PathBuf>) -> ExitCode {
    let model = match model(file) {
        Ok(model) => model,
        Err(message) => {
            tell!("{message}");
            return ExitCode::from(USAGE);
        }
    };
    let page = document::page(&model);
    let output = output.unwrap_or_else(|| format!("{}.html", model.name).into());
    if output == Path::new("-") {
        put!("{page}");
        return ExitCode::SUCCESS;
    }
    if let Err(error) = std::fs::write(&output, page) {
        tell!("{}: {error}", output.display());
        return ExitCode::from(USAGE);
    }
    tell!("{}", output.display());
    ExitCode::SUCCESS
}
