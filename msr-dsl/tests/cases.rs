//! A folder per mistake: `input.msr`, and in `expected.txt` what `msr check` says about it.
//!
//! To accept new texts: `MSR_ACCEPT=1 cargo test -p msr-dsl --test cases`, then read the difference.

use msr_dsl::codes;
use msr_dsl::diagnostics::Diagnostic;
use msr_dsl::diagnostics::Severity;
use msr_dsl::source::{compile_file, compile_text};
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
        "several_headers",
        "several_kinds",
        "several_meanings",
        "fine",
        "reachable_count",
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

/// What `--explain` shows as the mend of a case is one.
#[test]
fn what_is_mended_has_no_mistake() {
    let mended = folders()
        .into_iter()
        .map(|folder| folder.join("mended.msr"));
    let mended: Vec<PathBuf> = mended.filter(|path| path.exists()).collect();
    assert!(mended.len() > 10, "{} cases with a mend", mended.len());
    for path in mended {
        let (_, outcome) = compile_file(&path).expect("mended.msr");
        let found = outcome.diagnostics.iter().map(Diagnostic::text);
        let found: Vec<String> = found.collect();
        assert!(found.is_empty(), "{}: {}", path.display(), found.join("\n"));
    }
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

/// A word misspelt, or a `;` left out: the place in the text, and what stands there instead of how many bytes.
#[derive(Clone, Copy, Debug)]
struct Slip {
    at: usize,
    length: usize,
    instead: &'static str,
}

impl Slip {
    fn of(self, text: &str) -> String {
        let (before, after) = (&text[..self.at], &text[self.at + self.length..]);
        format!("{before}{}{after}", self.instead)
    }

    fn line(self, text: &str) -> usize {
        text[..self.at].matches('\n').count()
    }
}

/// One for each word and each `;`.
fn slips(fine: &str) -> Vec<Slip> {
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
        "interface",
        "vendor",
        "version",
        "capability",
        "banks",
        "count",
        "limit",
        "stored",
        "beyond",
        "zero",
        "bank",
        "hidden",
        "injection",
        "deliver",
        "broadcast",
        "global",
        "status",
        "sets",
        "local",
        "pending",
        "removed",
        "tag",
        "accepted",
        "then",
        "restore_only",
        "in",
        "i",
    ];
    let is_spoken = |at: usize| {
        let line = fine[..at].rsplit('\n').next().unwrap_or_default();
        line.contains("//") || line.matches('"').count() % 2 == 1
    };
    let mut slips = Vec::new();
    let mut add = |at: usize, length, instead| {
        // `interface!` is the macro's, not the language's.
        if !is_spoken(at) && !fine[at..].starts_with("interface!") {
            slips.push(Slip {
                at,
                length,
                instead,
            });
        }
    };
    for (at, _) in fine.match_indices(';') {
        add(at, 1, " ");
    }
    for (at, _) in fine.match_indices('@') {
        add(at, 1, "");
    }
    for (at, _) in fine.match_indices("in 2..") {
        add(at + 3, 0, "x");
    }
    for word in WORDS {
        for (at, _) in fine.match_indices(word) {
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            if !fine[..at].ends_with(is_part) && !fine[at + word.len()..].starts_with(is_part) {
                add(at, 0, "x");
            }
        }
    }
    slips.sort_by_key(|slip| slip.at);
    slips
}

/// The findings about a text, as places, and as they are told.
fn findings(text: &str) -> (Vec<(usize, usize)>, String) {
    let found = compile_text(text).diagnostics;
    let places = found
        .iter()
        .map(|one| (one.place().line, one.place().column));
    let said = found.iter().map(|one| one.render("slip.msr", text));
    (places.collect(), said.collect())
}

fn texts() -> [String; 2] {
    ["tests/cases/fine/input.msr", "../specs/vmce.msr"].map(|name| {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
        std::fs::read_to_string(&path).expect("a spec")
    })
}

#[test]
fn a_slip_of_the_pen_is_one_error() {
    let mut wrong = Vec::new();
    for text in texts() {
        let slips = slips(&text);
        assert!(slips.len() > 50, "{} slips", slips.len());
        for slip in slips {
            let (places, said) = findings(&slip.of(&text));
            if places.len() != 1 {
                wrong.push(format!("{} findings:\n{said}", places.len()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Wherever two words are wrong, both are shown, as each is alone, and nothing else.
#[test]
fn two_slips_are_two_errors() {
    let mut wrong = Vec::new();
    for text in texts() {
        let slips = slips(&text);
        let alone: Vec<_> = slips
            .iter()
            .map(|slip| findings(&slip.of(&text)).0)
            .collect();
        for (i, first) in slips.iter().enumerate() {
            // Each slip with some of those behind it, other ones every time.
            for j in (i + 1..slips.len()).skip(i % 41).step_by(389) {
                let second = slips[j];
                // Close by, one may hide the other.
                if second.line(&text) < first.line(&text) + 4 {
                    continue;
                }
                let (places, said) = findings(&first.of(&second.of(&text)));
                if places != [alone[i].clone(), alone[j].clone()].concat() {
                    wrong.push(format!(
                        "{} findings ({first:?}, {second:?}):\n{said}",
                        places.len()
                    ));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} pairs\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
