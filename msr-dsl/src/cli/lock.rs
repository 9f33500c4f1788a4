//! `msr lock`.

use super::USAGE;
use super::file::named;
use super::output::{put, tell};
use msr_dsl::manifest::{self, Manifest};
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
    let text = manifest_of(path).map_err(|error| format!("{file}: {error}"))?;
    let mut released = match text {
        Some(text) => Manifest::parse(&text).map_err(|broken| format!("{file}: {broken}"))?,
        None => Manifest::default(),
    };
    let now = Manifest::of(&named.model);
    let mut new = Vec::new();
    for view in named.views() {
        let lines = manifest::lines(view);
        if released.versions.insert(view.version, lines).is_none() {
            new.push(view.version.to_string());
        }
    }
    let buried = now.removed.difference(&released.removed).count();
    (released.vendor, released.removed) = (now.vendor, now.removed);
    let lock = path.with_extension("lock");
    std::fs::write(&lock, released.text(&named.model.name))
        .map_err(|error| format!("{}: {error}", lock.display()))?;
    let said = match (new.is_empty(), buried) {
        (true, 0) => "nothing new".to_owned(),
        (true, _) => "tombstones added".to_owned(),
        (false, _) => format!("version {} released", new.join(", ")),
    };
    put!("{}: {said}", lock.display());
    Ok(())
}
