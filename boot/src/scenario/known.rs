//! What a scenario may name: guest programs, interfaces, kinds of events.

use std::collections::BTreeMap;
use std::path::Path;

/// What a scenario may name.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Programs under tests/guests/src/bin.
    pub images: Vec<String>,
    /// Interfaces under specs, and their versions; none where the spec has mistakes, which the build will name.
    pub interfaces: BTreeMap<String, Vec<u16>>,
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
            interfaces: interfaces(&workspace.join("specs")),
            kinds: BTreeMap::new(),
        }
    }
}

/// The interfaces that a guest can be given: those with a capability register.
fn interfaces(specs: &Path) -> BTreeMap<String, Vec<u16>> {
    let mut interfaces = BTreeMap::new();
    for name in stems(specs, "msr") {
        let Ok(text) = std::fs::read_to_string(specs.join(&name).with_extension("msr")) else {
            continue;
        };
        match msr_dsl::source::compile_text(&text).model {
            Some(model) if model.newest().capability.is_none() => {}
            Some(model) => {
                let versions = model.views.iter().map(|view| view.version);
                interfaces.insert(name, versions.collect());
            }
            None => _ = interfaces.insert(name, Vec::new()),
        }
    }
    interfaces
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
