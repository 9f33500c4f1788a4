//! Folders of the hypervisor depend on each other one way. What reads `crate::NAME` depends on NAME.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

type Graph = BTreeMap<String, BTreeSet<String>>;

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernel/src")
}

/// The modules that a root file declares, and what `pub use MODULE::NAME;` calls differently.
fn modules(root: &str) -> (Vec<String>, BTreeMap<String, String>) {
    let text = std::fs::read_to_string(sources().join(root)).unwrap();
    let mut declared = Vec::new();
    let mut others = BTreeMap::new();
    for line in text.lines() {
        let line = line.trim_start_matches("pub ");
        if let Some(name) = line.strip_prefix("mod ") {
            declared.push(name.trim_end_matches(';').to_owned());
        } else if let Some((module, name)) = line
            .strip_prefix("use ")
            .and_then(|path| path.trim_end_matches(';').split_once("::"))
        {
            others.insert(name.to_owned(), module.to_owned());
        }
    }
    (declared, others)
}

/// Code of a module, in a file of its name or all files of its folder, without comments.
fn code(path: &Path) -> String {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).unwrap();
        return entries.map(|entry| code(&entry.unwrap().path())).collect();
    }
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| line.split("//").next().unwrap());
    lines.flat_map(|line| [line, "\n"]).collect()
}

fn graph(root: &str) -> Graph {
    let (declared, others) = modules(root);
    let mut graph = Graph::new();
    for module in &declared {
        let folder = sources().join(module);
        let path = if folder.is_dir() {
            folder
        } else {
            folder.with_extension("rs")
        };
        let code = code(&path);
        let named = code.split("crate::").skip(1).map(|rest| {
            let end = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric());
            let name = &rest[..end.unwrap_or(rest.len())];
            others.get(name).map_or(name, String::as_str).to_owned()
        });
        let uses = named.filter(|name| declared.contains(name) && name != module);
        graph.insert(module.clone(), uses.collect());
    }
    graph
}

/// A way from a module back to itself.
fn cycle(graph: &Graph) -> Option<Vec<String>> {
    fn search(graph: &Graph, way: &mut Vec<String>) -> bool {
        let last = way.last().unwrap().clone();
        graph[&last].iter().any(|next| {
            if *next == way[0] {
                return true;
            }
            if way.contains(next) {
                return false;
            }
            way.push(next.clone());
            let found = search(graph, way);
            if !found {
                way.pop();
            }
            found
        })
    }
    graph.keys().find_map(|start| {
        let mut way = vec![start.clone()];
        search(graph, &mut way).then_some(way)
    })
}

#[test]
fn the_library_has_none() {
    let graph = graph("lib.rs");
    assert!(
        graph["mca"].contains("vmce") && graph["vmce"].contains("mc"),
        "{graph:?}"
    );
    assert_eq!(cycle(&graph), None);
}

/// What assembly enters is handed on by the root, which knows everybody.
#[test]
fn the_image_has_none() {
    let graph = graph("main.rs");
    assert!(
        graph["run"].contains("entry") && graph["entry"].contains("exit"),
        "{graph:?}"
    );
    assert_eq!(cycle(&graph), None);
}
