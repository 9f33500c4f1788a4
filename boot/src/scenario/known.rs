//! What a scenario may name: guest programs, interfaces, kinds of events.

use std::collections::BTreeMap;
use std::path::Path;

/// What a scenario may name.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Programs under tests/guests/src/bin.
    pub images: Vec<String>,
    /// Files under specs, without `.msr`.
    pub interfaces: Vec<String>,
    /// Kinds of events and their fields; empty: not checked.
    pub kinds: BTreeMap<String, Vec<String>>,
}

impl Known {
    /// What this workspace has.
    pub fn of(workspace: &Path) -> Self {
        let mut images = stems(&workspace.join("tests/guests/src/bin"), "rs");
        images.extend(folders(&workspace.join("tests/guests/src/bin")));
        images.sort();
        Self {
            images,
            interfaces: stems(&workspace.join("specs"), "msr"),
            kinds: BTreeMap::new(),
        }
    }
}

/// Names of the files in a folder that end so; none if it cannot be read.
pub fn stems(folder: &Path, extension: &str) -> Vec<String> {
    let paths = entries(folder).into_iter();
    let mut names: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == extension))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names
}

fn folders(folder: &Path) -> Vec<String> {
    entries(folder)
        .into_iter()
        .filter(|path| path.join("main.rs").exists())
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect()
}

fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries.flatten().map(|entry| entry.path()).collect()
}
