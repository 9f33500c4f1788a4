//! `cargo boot image`.

use std::path::Path;

use super::Answer;
use super::cli::default_scenario;
use crate::error::{Error, Result};
use crate::image::write_iso;
use crate::progress::Progress;
use crate::run::payload;
use crate::scenario::Scenario;
use crate::setup::{Purpose, ensure};
use crate::workspace::Workspace;

/// Writes a hybrid ISO with a scenario's guests. For production it has no fault injector, whatever the scenario says.
///
/// # Errors
/// What keeps it from being made.
pub fn image(output: &Path, scenario: Option<&str>, production: bool) -> Result<Answer> {
    let workspace = Workspace::find()?;
    check_place(output)?;
    let mut scenario = Scenario::named(&workspace.root, scenario.unwrap_or(default_scenario()))?;
    scenario.production |= production;
    if scenario.production {
        // The loader would hand over errors to raise, which this image refuses.
        scenario.faults.clear();
    }
    ensure(&[Purpose::Iso])?;
    let artifacts = workspace.build_for(&scenario)?;
    let payload = payload(&scenario, &artifacts)?;
    {
        let _progress = Progress::start("writing the ISO");
        write_iso(&payload, output)?;
    }
    let injector = if scenario.production {
        "for production"
    } else {
        "with the fault injector"
    };
    eprintln!(
        "wrote {} with the guests of {}, {injector}",
        output.display(),
        scenario.name
    );
    Ok(Answer::Yes)
}

/// Whether a file can be written there, before anything is built for it.
pub fn check_place(output: &Path) -> Result<()> {
    let folder = match output.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let wrong = if output.is_dir() {
        "it is a folder".to_owned()
    } else if !folder.is_dir() {
        format!("there is no folder {}", folder.display())
    } else {
        return Ok(());
    };
    Err(Error::Input(format!(
        "cannot write {}: {wrong}",
        output.display()
    )))
}
