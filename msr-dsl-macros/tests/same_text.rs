//! rustc with the macro and `msr check` say the same about every case: text, line and column.
//!
//! All cases are modules of one package, which is checked once; what rustc reports is compared with the compiler's own
//! findings. Warnings are the command line's alone: a macro cannot warn.

use msr_dsl::diagnostics::Severity;
use msr_dsl::source::compile_file;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Line, column, text.
type Finding = (usize, usize, String);

/// rustc itself reports text that does not fall into words; what stands around the invocation has no span in the macro.
const EXEMPT: &[&str] = &[
    "file_unbalanced",
    "file_brace_open",
    "file_with_more",
    "file_of_something_else",
];

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../msr-dsl/tests/cases");
    let entries = std::fs::read_dir(root).expect("msr-dsl/tests/cases");
    let mut cases: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    cases.sort();
    cases
}

fn name(case: &Path) -> &str {
    case.file_name()
        .and_then(|name| name.to_str())
        .expect("a name")
}

/// A package of its own with a module for each case.
fn package(cases: &[&PathBuf]) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("same-text");
    std::fs::create_dir_all(root.join("src")).expect("a folder under target/tmp");
    let here = env!("CARGO_MANIFEST_DIR");
    let manifest = format!(
        "[package]\nname = \"same-text\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n\
         msr-dsl-macros = {{ path = \"{here}\" }}\nmsr-runtime = {{ path = \"{here}/../msr-dsl/runtime\" }}\n\n[workspace]\n"
    );
    let modules: String = cases
        .iter()
        .map(|case| {
            let file = case.join("input.msr").canonicalize().expect("input.msr");
            format!(
                "pub mod {} {{ use msr_dsl_macros::interface; include!({file:?}); }}\n",
                name(case)
            )
        })
        .collect();
    std::fs::write(root.join("Cargo.toml"), manifest).expect("Cargo.toml");
    std::fs::copy(
        Path::new(here).join("../Cargo.lock"),
        root.join("Cargo.lock"),
    )
    .expect("Cargo.lock");
    std::fs::write(root.join("src/lib.rs"), modules).expect("lib.rs");
    root
}

/// What rustc reports, by case.
fn by_rustc(root: &Path) -> BTreeMap<String, Vec<Finding>> {
    let output = Command::new(env!("CARGO"))
        .args(["check", "--quiet", "--message-format=json"])
        .env("CARGO_TARGET_DIR", root.join("target"))
        .current_dir(root)
        .output()
        .expect("cargo runs");
    let mut found: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("cargo writes JSON");
        let (message, span) = (&line["message"], &line["message"]["spans"][0]);
        if message["level"] != "error" || !span["file_name"].is_string() {
            continue;
        }
        let file = PathBuf::from(span["file_name"].as_str().unwrap_or_default());
        let case = file.parent().map(name).unwrap_or_default().to_owned();
        let number = |key: &str| span[key].as_u64().unwrap_or_default() as usize;
        let text = message["message"].as_str().unwrap_or_default().to_owned();
        found
            .entry(case)
            .or_default()
            .push((number("line_start"), number("column_start"), text));
    }
    assert!(
        !found.is_empty(),
        "rustc found nothing: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    found
}

#[test]
fn macro_and_command_line_say_the_same() {
    let all = cases();
    let cases: Vec<&PathBuf> = all
        .iter()
        .filter(|case| !EXEMPT.contains(&name(case)))
        .collect();
    let mut rustc = by_rustc(&package(&cases));
    let mut compared = 0;
    for case in cases {
        let found = compile_file(&case.join("input.msr"))
            .expect("input.msr")
            .1
            .diagnostics;
        let errors = found.iter().filter(|one| one.severity() == Severity::Error);
        let mut own: Vec<Finding> = errors
            .map(|one| (one.place().line, one.place().column, one.text()))
            .collect();
        let mut theirs = rustc.remove(name(case)).unwrap_or_default();
        own.sort();
        theirs.sort();
        compared += own.len();
        assert_eq!(theirs, own, "{}: rustc, then msr check", name(case));
    }
    assert!(rustc.is_empty(), "rustc reports more: {rustc:?}");
    assert!(compared > 100, "only {compared} findings compared");
}
