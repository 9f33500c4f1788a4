//! What a scenario may name: guest programs, interfaces, kinds of events.

use std::collections::BTreeMap;
use std::path::Path;

use msr_dsl::model::Model;

/// What a scenario may name.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Programs under tests/guests/src/bin.
    pub images: Vec<String>,
    /// Interfaces under specs that a guest can be given; `None` where the spec has mistakes, which the build will name.
    pub interfaces: BTreeMap<String, Option<Model>>,
    /// Kinds of events and their fields, from docs/events.md; empty: not checked.
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
            kinds: std::fs::read_to_string(workspace.join("docs/events.md"))
                .map(|events| kinds(&events))
                .unwrap_or_default(),
        }
    }
}

/// The interfaces that a guest can be given: those with a capability register.
fn interfaces(specs: &Path) -> BTreeMap<String, Option<Model>> {
    let mut interfaces = BTreeMap::new();
    for name in stems(specs, "msr") {
        let Ok(text) = std::fs::read_to_string(specs.join(&name).with_extension("msr")) else {
            continue;
        };
        match msr_dsl::source::compile_text(&text).model {
            Some(model) if model.newest().capability.is_none() => {}
            Some(model) => _ = interfaces.insert(model.name.clone(), Some(model)),
            None => _ = interfaces.insert(name.replace('-', "_"), None),
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

/// The kinds and their fields in docs/events.md, which is made from the kernel's table: rows of
/// `` | `kind` | level | `key` `key=value` | meaning | ``. A kind may have several rows.
fn kinds(events: &str) -> BTreeMap<String, Vec<String>> {
    let mut kinds = BTreeMap::new();
    for row in events.lines() {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let ["", kind, _level, keys, ..] = cells[..] else {
            continue;
        };
        let Some(kind) = kind
            .strip_prefix('`')
            .and_then(|kind| kind.strip_suffix('`'))
        else {
            continue;
        };
        let fields: &mut Vec<String> = kinds
            .entry(kind.to_owned())
            .or_insert_with(|| vec!["cpu".to_owned()]);
        for key in keys.split_whitespace() {
            let key = key.trim_matches('`');
            let name = key.split_once('=').map_or(key, |(name, _)| name);
            if !fields.iter().any(|field| field == name) {
                fields.push(name.to_owned());
            }
        }
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_of_events_is_read() {
        let kinds = kinds(
            "# Events\n\n| kind | level | keys | meaning |\n|---|---|---|---|\n\
             | `mc.hit` | warn | `owner=guest` `guest` | A. |\n| `mc.hit` | warn | `owner=free` `hpa` | B. |\n\
             | `machine.off` | info |  | C. |\n",
        );
        assert_eq!(kinds.len(), 2);
        assert_eq!(kinds["mc.hit"], ["cpu", "owner", "guest", "hpa"]);
        assert_eq!(kinds["machine.off"], ["cpu"]);
    }

    #[test]
    fn this_workspace_is_known() {
        let known = Known::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        assert!(known.images.contains(&"broadcast".to_owned()));
        assert!(known.interfaces["vmce"].is_some());
        assert!(
            !known.interfaces.contains_key("platform"),
            "no guest can be given that alone"
        );
        assert!(known.kinds["vmce.injected"].contains(&"mcg_status".to_owned()));
    }
}
