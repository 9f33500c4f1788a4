//! `msr lock`.

use super::USAGE;
use super::file::named;
use super::output::{put, tell};
use msr_dsl::manifest;
use msr_dsl::source::manifest_of;
use std::path::Path;
use std::process::ExitCode;

/// Adds versions to the manifest. A spec that would alter a released one does not get here: reading it fails.
pub fn lock(spec: &str) -> ExitCode {
    match run(spec) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            tell!("{message}");
            ExitCode::from(USAGE)
        }
    }
}

fn run(spec: &str) -> Result<(), String> {
    let named = named(spec)?;
    let (file, path) = (named.file, Path::new(named.file));
    let text = manifest_of(path)
        .map_err(|error| format!("{file}: {error}"))?
        .unwrap_or_default();
    let mut released = manifest::parse(&text)
        .map_err(|line| format!("line {line} of the manifest is none of one"))?;
    let mut new = Vec::new();
    for view in named.views() {
        if released
            .insert(view.version, manifest::lines(view))
            .is_none()
        {
            new.push(view.version.to_string());
        }
    }
    let lock = path.with_extension("lock");
    std::fs::write(&lock, manifest::text(&named.model.name, &released))
        .map_err(|error| format!("{}: {error}", lock.display()))?;
    let said = if new.is_empty() {
        "nothing new".to_owned()
    } else {
        format!("version {} released", new.join(", "))
    };
    put!("{}: {said}", lock.display());
    Ok(())
}
