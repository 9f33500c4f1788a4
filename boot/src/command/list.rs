//! `cargo boot list`.

use super::Answer;
use super::run::put;
use crate::error::Result;
use crate::scenario::{self, Known};
use crate::workspace::Workspace;

/// Names the scenarios.
///
/// # Errors
/// A scenario that is wrong.
pub fn list(json: bool) -> Result<Answer> {
    let workspace = Workspace::find()?;
    let entries = scenario::list(&workspace.root, &Known::of(&workspace.root))?;
    let width = entries
        .iter()
        .map(|entry| entry.name.len())
        .max()
        .unwrap_or(0);
    for entry in entries {
        if json {
            put(&serde_json::json!({"name": entry.name, "title": entry.title}).to_string());
        } else {
            put(&format!("{:width$}  {}", entry.name, entry.title));
        }
    }
    Ok(Answer::Yes)
}
