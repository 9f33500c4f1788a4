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
    /// What guests have besides; `None` where the spec has mistakes.
    pub platform: Option<Model>,
    /// Kinds of events and their fields, from docs/events.md; empty: not checked.
    pub kinds: BTreeMap<String, Vec<String>>,
    /// By kind and field the words that it can be, where they are few.
    pub words: BTreeMap<(String, String), Vec<String>>,
}

impl Known {
    /// What this workspace has.
    pub fn of(workspace: &Path) -> Self {
        let mut images = stems(&workspace.join("tests/guests/src/bin"), "rs");
        images.extend(folders(&workspace.join("tests/guests/src/bin")));
        images.sort();
        let events = std::fs::read_to_string(workspace.join("docs/events.md")).unwrap_or_default();
        Self {
            images,
            interfaces: interfaces(&workspace.join("specs")),
            platform: std::fs::read_to_string(workspace.join("specs/platform.msr"))
                .ok()
                .and_then(|text| msr_dsl::source::compile_text(&text).model),
            kinds: kinds(&events),
            words: words(&events),
        }
    }

    /// The words that a field of a kind can be; `None` where it can be anything.
    pub fn words_of(&self, kind: &str, field: &str) -> Option<&[String]> {
        let place = (kind.to_owned(), field.to_owned());
        self.words.get(&place).map(Vec::as_slice)
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
    for [kind, _level, keys] in rows(halves(events).0) {
        let [kind] = quoted(kind)[..] else { continue };
        let fields: &mut Vec<String> = kinds
            .entry(kind.to_owned())
            .or_insert_with(|| vec!["cpu".to_owned()]);
        for key in quoted(keys) {
            let name = key.split_once('=').map_or(key, |(name, _)| name);
            if !fields.iter().any(|field| field == name) {
                fields.push(name.to_owned());
            }
        }
    }
    kinds
}

/// The words that fields can be: in the first table a key stands with its value where it is fixed, the second has rows of
/// `` | `kind` `kind` | `key` | `word` `word` | ``.
fn words(events: &str) -> BTreeMap<(String, String), Vec<String>> {
    let (table, lists) = halves(events);
    let mut words: BTreeMap<_, Vec<String>> = BTreeMap::new();
    let mut add = |kind: &str, key: &str, word: &str| {
        let known = words.entry((kind.to_owned(), key.to_owned())).or_default();
        known.push(word.to_owned());
    };
    for [kind, _level, keys] in rows(table) {
        for (key, word) in quoted(keys).iter().filter_map(|key| key.split_once('=')) {
            quoted(kind).iter().for_each(|kind| add(kind, key, word));
        }
    }
    for [kinds, key, list] in rows(lists) {
        for (kind, key) in quoted(kinds).iter().zip(quoted(key).iter().cycle()) {
            quoted(list).iter().for_each(|word| add(kind, key, word));
        }
    }
    words
}

/// The table of kinds, and that of words.
fn halves(events: &str) -> (&str, &str) {
    events.split_once("\n## Words\n").unwrap_or((events, ""))
}

/// The first three cells of each row of a table.
fn rows(events: &str) -> impl Iterator<Item = [&str; 3]> {
    events.lines().filter_map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        match cells[..] {
            ["", first, second, third, ..] if first.starts_with('`') => {
                Some([first, second, third])
            }
            _ => None,
        }
    })
}

/// What stands in backquotes in a cell.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split_whitespace()
        .filter_map(|word| word.strip_prefix('`')?.strip_suffix('`'))
        .collect()
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
    fn words_are_those_that_stand_with_their_key_and_those_that_are_listed() {
        let words = words(
            "| `mc.hit` | warn | `owner=guest` `guest` | A. |\n| `mc.hit` | warn | `owner=free` `hpa` | B. |\n\
             \n## Words\n\n| kind | key | words |\n|---|---|---|\n| `mc.bank` `mc.worst` | `class` | `none` `srao` |\n",
        );
        let of = |kind: &str, key: &str| words.get(&(kind.to_owned(), key.to_owned())).cloned();
        assert_eq!(of("mc.hit", "owner").unwrap(), ["guest", "free"]);
        assert_eq!(of("mc.worst", "class").unwrap(), ["none", "srao"]);
        assert_eq!(of("mc.hit", "guest"), None);
        assert_eq!(words.len(), 3);
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
        assert!(!known.kinds.contains_key("class"));
        let reasons = known.words_of("mc.fatal", "reason").unwrap();
        assert!(reasons.contains(&"no-bank".to_owned()), "{reasons:?}");
    }
}
