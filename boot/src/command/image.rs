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

/// Writes a hybrid ISO with a scenario's guests.
///
/// # Errors
/// What keeps it from being made.
pub fn image(output: &Path, scenario: Option<&str>) -> Result<Answer> {
    let workspace = Workspace::find()?;
    check_place(output)?;
    let scenario = Scenario::named(&workspace.root, scenario.unwrap_or(default_scenario()))?;
    ensure(&[Purpose::Iso])?;
    let artifacts = workspace.build()?;
    let payload = payload(&scenario, &artifacts)?;
    {
        let _progress = Progress::start("writing the ISO");
        write_iso(&payload, output)?;
    }
    eprintln!(
        "wrote {} with the guests of {}",
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
