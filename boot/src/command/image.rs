//! `cargo boot image`.

use std::path::Path;

use super::Answer;
use super::cli::default_scenario;
use crate::error::Result;
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
