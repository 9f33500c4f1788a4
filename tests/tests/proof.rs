//! docs/proof.md names nothing that is not there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All sources of a folder, one after the other.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &sources(&path);
        } else if path.extension().is_some_and(|end| end == "rs") {
            text += &std::fs::read_to_string(path).unwrap();
        }
    }
    text
}

#[test]
fn every_named_proof_exists() {
    let table = read("tests/mca-table.toml");
    let simulated = sources(&root().join("tests/tests/machine_check"))
        + &sources(&root().join("tests/tests/machine_check_random"))
        + &sources(&root().join("tests/tests/machine_check_storm"));
    let interleavings = sources(&root().join("tests/interleavings/tests"));
    let unit = sources(&root().join("kernel/src"))
        + &read("tests/tests/machine_check_stacks.rs")
        + &read("boot/src/check_image/tests.rs")
        + &read("boot/src/show/mcelog.rs");
    let end_to_end = sources(&root().join("tests/tests/end_to_end"));
    // Its attributes stand between the function before and its name.
    let is_test = |text: &str, name: &str| {
        text.split_once(&format!("fn {name}()"))
            .is_some_and(|(before, _)| before.rsplit('}').next().unwrap_or("").contains("#[test]"))
    };
    let mut named: BTreeMap<&str, usize> = BTreeMap::new();
    let proof = read("docs/proof.md");
    for line in proof
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains('`'))
    {
        let (_, cell) = line.trim_end_matches(" |").split_once(" | ").unwrap();
        for one in cell.split("`, ") {
            let (kind, name) = one
                .trim_end_matches('`')
                .split_once(" `")
                .unwrap_or_else(|| panic!("{line}"));
            let exists = match kind {
                "scenario" => {
                    root().join(format!("tests/scenarios/{name}.toml")).exists()
                        && end_to_end.contains(&format!("\"{name}\""))
                }
                "row" => table.contains(&format!("title = \"{name}\"\n")),
                "simulated" => is_test(&simulated, name),
                "interleavings" => is_test(&interleavings, name),
                "unit" => is_test(&unit, name),
                _ => panic!("{kind} is no kind of proof: {line}"),
            };
            assert!(exists, "there is no {kind} `{name}`");
            *named.entry(kind).or_default() += 1;
        }
    }
    assert!(
        named.len() == 5 && named.values().sum::<usize>() > 60,
        "{named:?}"
    );
}
