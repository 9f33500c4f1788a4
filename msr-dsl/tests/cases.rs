//! A folder per mistake: `input.msr`, and in `expected.txt` what `msr check` says about it.
//!
//! To accept new texts: `MSR_ACCEPT=1 cargo test -p msr-dsl --test cases`, then read the difference.

use msr_dsl::codes;
use msr_dsl::diagnostics::Diagnostic;
use msr_dsl::diagnostics::Severity;
use msr_dsl::source::compile_file;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn folders() -> Vec<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let entries = std::fs::read_dir(&root).expect("tests/cases");
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    folders.sort();
    folders
}

/// The input and what is said about it (with a manifest, where the case has one).
fn case(folder: &Path) -> (String, Vec<Diagnostic>) {
    let (input, outcome) = compile_file(&folder.join("input.msr")).expect("input.msr");
    (input, outcome.diagnostics)
}

#[test]
fn every_case_says_what_it_should() {
    let accept = std::env::var_os("MSR_ACCEPT").is_some();
    let mut wrong = Vec::new();
    for folder in folders() {
        let (input, found) = case(&folder);
        let said: String = found
            .iter()
            .map(|one| one.render("input.msr", &input))
            .collect();
        let path = folder.join("expected.txt");
        if accept {
            std::fs::write(&path, &said).expect("expected.txt");
        } else if std::fs::read_to_string(&path).unwrap_or_default() != said {
            wrong.push(format!("{}:\n{said}", folder.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\n(MSR_ACCEPT=1 accepts)",
        wrong.join("\n")
    );
}

#[test]
fn one_mistake_one_error() {
    // These cases hold several mistakes on purpose, or none.
    let others = ["several_at_once", "fine", "waiver_silences"];
    for folder in folders() {
        let name = folder
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name")
            .to_owned();
        let found = case(&folder).1.len();
        assert!(
            others.contains(&name.as_str()) || found == 1,
            "{name}: {found} findings"
        );
    }
}

#[test]
fn every_code_has_a_case() {
    let mut missing: BTreeSet<&str> = codes::ALL.iter().map(|code| code.id).collect();
    for folder in folders() {
        for one in case(&folder).1 {
            missing.remove(one.code.id);
        }
    }
    assert!(missing.is_empty(), "no case for {missing:?}");
}

#[test]
fn several_mistakes_come_in_one_run_in_the_order_of_the_source() {
    let root =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases/several_at_once/input.msr");
    let (_, outcome) = compile_file(&root).expect("input.msr");
    let lines: Vec<usize> = outcome
        .diagnostics
        .iter()
        .map(|one| one.place().line)
        .collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.is_sorted());
    assert!(
        outcome
            .diagnostics
            .iter()
            .all(|one| one.severity() == Severity::Error)
    );
    assert!(outcome.model.is_none());
}
