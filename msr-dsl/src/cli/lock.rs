//! `msr lock`.

use super::USAGE;
use super::file::{model, split};
use msr_dsl::manifest;
use msr_dsl::source::manifest_of;
use std::path::Path;
use std::process::ExitCode;

/// Adds versions to the manifest. A spec that would alter a released one does not get here: reading it fails.
pub fn lock(spec: &str) -> ExitCode {
    match run(spec) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(USAGE)
        }
    }
}

fn run(spec: &str) -> Result<(), String> {
    let (file, version) = split(spec);
    let (path, model) = (Path::new(file), model(file)?);
    let text = manifest_of(path)
        .map_err(|error| format!("{file}: {error}"))?
        .unwrap_or_default();
    let mut released = manifest::parse(&text)
        .map_err(|line| format!("line {line} of the manifest is none of one"))?;
    if let Some(version) = version.filter(|version| model.version(*version).is_none()) {
        return Err(format!("`{}` has no version {version}", model.name));
    }
    let mut new = Vec::new();
    for view in model
        .views
        .iter()
        .filter(|view| version.is_none_or(|version| view.version == version))
    {
        if released
            .insert(view.version, manifest::lines(view))
            .is_none()
        {
            new.push(view.version.to_string());
        }
    }
    let lock = path.with_extension("lock");
    std::fs::write(&lock, manifest::text(&model.name, &released))
        .map_err(|error| format!("{}: {error}", lock.display()))?;
    let said = if new.is_empty() {
        "nothing new".to_owned()
    } else {
        format!("version {} released", new.join(", "))
    };
    println!("{}: {said}", lock.display());
    Ok(())
}
