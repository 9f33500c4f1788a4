//! Spec files as the command line names them: `FILE` or `FILE@VERSION`.

use super::output::tell;
use msr_dsl::Outcome;
use msr_dsl::diagnostics::Severity;
use msr_dsl::model::{Model, View};
use msr_dsl::source::compile_file;
use std::path::Path;

/// A spec as it was named.
pub struct Named<'a> {
    /// The file.
    pub file: &'a str,
    /// What is in it.
    pub model: Model,
    /// The version behind `@`, by its place in the model.
    version: Option<usize>,
}

impl Named<'_> {
    /// The version that was named, or the newest.
    pub fn view(&self) -> &View {
        self.version
            .map_or(self.model.newest(), |at| &self.model.views[at])
    }

    /// A version was named.
    pub fn is_versioned(&self) -> bool {
        self.version.is_some()
    }

    /// The version that was named, or all.
    pub fn views(&self) -> &[View] {
        self.version.map_or(&self.model.views, |at| {
            std::slice::from_ref(&self.model.views[at])
        })
    }
}

/// Reads `FILE` or `FILE@VERSION`. A file whose own name has an `@` is taken as it is.
pub fn named(spec: &str) -> Result<Named<'_>, String> {
    let exists = |file: &str| Path::new(file).exists();
    let (file, version) = match spec.rsplit_once('@') {
        Some((file, version)) if !exists(spec) && exists(file) => (file, Some(version)),
        _ => (spec, None),
    };
    let model = model(file)?;
    let place = |version| {
        let numbers = || model.views.iter().map(|view| view.version.to_string());
        numbers().position(|known| known == version).ok_or_else(|| {
            let known: Vec<String> = numbers().collect();
            format!(
                "{file}: `{version}` is no version of `{}`; it has {}",
                model.name,
                known.join(", ")
            )
        })
    };
    let version = version.map(place).transpose()?;
    Ok(Named {
        file,
        model,
        version,
    })
}

/// A spec without mistakes; the mistakes go to standard error.
pub fn model(file: &str) -> Result<Model, String> {
    let compiled = compile_file(Path::new(file)).map_err(|error| format!("{file}: {error}"))?;
    let (source, Outcome { model, diagnostics }) = compiled;
    for diagnostic in diagnostics
        .iter()
        .filter(|one| one.severity() == Severity::Error)
    {
        tell!("{}", diagnostic.render(file, &source).trim_end());
    }
    model.ok_or_else(|| format!("{file} has mistakes"))
}
