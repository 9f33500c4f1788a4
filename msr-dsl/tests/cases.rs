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
    let others = [
        "several_at_once",
        "several_kinds",
        "fine",
        "waiver_silences",
    ];
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

/// A spec with one word misspelt, or one `;` left out, for each of them.
fn slips(fine: &str) -> Vec<String> {
    const WORDS: &[&str] = &[
        "cite",
        "when",
        "else",
        "reset",
        "read",
        "write",
        "store",
        "ignore",
        "hook",
        "legal",
        "less",
        "reserved",
        "fault_if_set",
        "migrate",
        "saved",
        "transient",
        "restore",
        "accepts",
        "bool",
        "u8",
        "enum",
        "bit",
        "default",
        "offered",
        "requires",
        "register",
        "feature",
    ];
    let is_spoken = |at: usize| {
        let line = fine[..at].rsplit('\n').next().unwrap_or_default();
        line.contains("//") || line.matches('"').count() % 2 == 1
    };
    let mut slips = Vec::new();
    for (at, _) in fine.match_indices(';').filter(|(at, _)| !is_spoken(*at)) {
        slips.push(format!("{} {}", &fine[..at], &fine[at + 1..]));
    }
    for word in WORDS {
        for (at, _) in fine.match_indices(word).filter(|(at, _)| !is_spoken(*at)) {
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            let (before, after) = (&fine[..at], &fine[at + word.len()..]);
            if !before.ends_with(is_part) && !after.starts_with(is_part) {
                slips.push(format!("{before}x{word}{after}"));
            }
        }
    }
    slips
}

#[test]
fn a_slip_of_the_pen_is_one_error() {
    let read = |name| {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
        std::fs::read_to_string(&path).expect("a spec")
    };
    let mut slips = slips(&read("tests/cases/fine/input.msr"));
    slips.extend(self::slips(&read("../specs/vmce.msr")));
    let folder = std::env::temp_dir().join(format!("msr-cases-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("slip.msr");
    let mut wrong = Vec::new();
    assert!(slips.len() > 100, "{} slips", slips.len());
    for slip in slips {
        std::fs::write(&file, &slip).expect("slip.msr");
        let (_, outcome) = compile_file(&file).expect("slip.msr");
        if outcome.diagnostics.len() != 1 {
            let said: String = outcome
                .diagnostics
                .iter()
                .map(|one| one.render("slip.msr", &slip))
                .collect();
            wrong.push(format!("{} findings:\n{said}", outcome.diagnostics.len()));
        }
    }
    std::fs::remove_dir_all(&folder).expect("removed");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
