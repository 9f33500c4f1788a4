//! Which scenarios there are.

use std::path::{Path, PathBuf};

use super::known::stems;
use super::place::suggestion;
use super::{Known, Scenario};
use crate::error::{Error, Result};

/// Where the scenarios stand in the workspace.
const FOLDER: &str = "tests/scenarios";

/// A scenario in the list.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its title.
    pub title: String,
}

/// All scenarios by name.
///
/// # Errors
/// One that is wrong.
pub fn list(workspace: &Path, known: &Known) -> Result<Vec<Entry>> {
    stems(&workspace.join(FOLDER), "toml")
        .into_iter()
        .map(|name| {
            let title = Scenario::load(&find(workspace, &name)?, known)?.title;
            Ok(Entry { name, title })
        })
        .collect()
}

/// The file of a scenario that is given by name or by path.
///
/// # Errors
/// There is none; says what is near.
pub fn find(workspace: &Path, wanted: &str) -> Result<PathBuf> {
    let folder = workspace.join(FOLDER);
    let names = stems(&folder, "toml");
    if names.iter().any(|name| name == wanted) {
        let path = folder.join(wanted).with_extension("toml");
        return Ok(from_here(&path).unwrap_or(path));
    }
    let path = PathBuf::from(wanted);
    if path.is_file() {
        return Ok(path);
    }
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    Err(Error::Input(format!(
        "no scenario and no file is called `{wanted}`: {}\n(`cargo boot list` shows them all)",
        suggestion(wanted, &names)
    )))
}

/// A path as a user would write it here; it stands in messages.
fn from_here(path: &Path) -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    Some(path.strip_prefix(here).ok()?.to_owned())
}
