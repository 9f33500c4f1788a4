//! `cargo boot linux-table`: stock Linux against what guests get. Boots Bochs for each scenario, and Linux in QEMU.

use std::process::{Command, Output};

use boot::setup::{Purpose, linux, missing};

/// The program. Nothing is installed by a test: without the emulators and the kernel it would.
fn table(arguments: &[&str]) -> Output {
    let missing = missing(&[Purpose::Bochs, Purpose::Linux]);
    assert!(missing.is_empty(), "run `cargo boot setup`: {missing:?}");
    assert!(
        linux::kernel().unwrap().is_some(),
        "run `cargo boot setup`: no Linux"
    );
    Command::new(env!("CARGO_BIN_EXE_boot"))
        .arg("linux-table")
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const WRONG: &str = "[[row]]\ntitle = 'wrong'\nscenario = 'broadcast-srao'\n\
    told = [{ cpu = 1, why = 'optional', page = 0 }]\n";

/// Linux recovers from everything that guests get, and panics or does worse where the table says why they get nothing else. One row
/// more does not hold, and is found.
#[test]
fn every_row_holds_but_the_wrong_one() {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/linux-table.toml");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table.toml");
    std::fs::write(&file, std::fs::read_to_string(own).unwrap() + WRONG).unwrap();
    let output = table(&["--json", file.to_str().unwrap()]);
    let said = text(&output.stderr);
    let mut rows: Vec<serde_json::Value> = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let last = rows.pop().unwrap_or_else(|| panic!("{said}"));
    let wrong: Vec<_> = rows
        .iter()
        .filter(|row| row["holds"] != true)
        .map(|row| format!("{}: {}", row["title"], row["differences"]))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let count = |as_guests_get_it: bool, panics: bool| {
        let is_such = |row: &&serde_json::Value| {
            row["as_guests_get_it"] == as_guests_get_it && row["panic"].is_string() == panics
        };
        rows.iter().filter(is_such).count()
    };
    assert!(
        count(true, false) >= 12 && count(false, true) >= 7,
        "{rows:?}"
    );
    assert_eq!(
        count(true, true),
        0,
        "a guest's handler must be able to recover"
    );

    assert_eq!(output.status.code(), Some(1), "{said}");
    let count = format!("1 of {} rows do not hold", rows.len() + 1);
    assert!(said.contains(&count), "{said}");
    let words = "told: expected [program 1: SIGBUS, action optional, its page 0], \
                 got [program 0: SIGBUS, action optional, its page 0]";
    assert_eq!(last["differences"][0], words);
}

#[test]
fn a_table_with_mistakes_is_refused_before_anything_boots() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table.toml");
    std::fs::write(&file, WRONG.replace("optional", "wanted")).unwrap();
    let output = table(&[file.to_str().unwrap()]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("table.toml:4:"), "{said}");
}
