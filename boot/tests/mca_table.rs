//! `cargo boot mca-table`: the host side against real #MC exceptions. Each test boots QEMU.

use std::process::{Command, Output};

/// The program. Nothing is installed by a test: without the emulator it would.
fn table(arguments: &[&str]) -> Output {
    let missing = boot::setup::missing(&[boot::setup::Purpose::Qemu]);
    assert!(missing.is_empty(), "run `cargo boot setup`: {missing:?}");
    Command::new(env!("CARGO_BIN_EXE_boot"))
        .arg("mca-table")
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn every_row_holds() {
    let output = table(&["--json"]);
    let mut wrong = Vec::new();
    let mut rows = 0;
    for line in text(&output.stdout).lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        rows += 1;
        if row["holds"] != true {
            wrong.push(format!("{}: {}", row["title"], row["differences"]));
        }
    }
    let said = text(&output.stderr);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(rows >= 40, "{rows}");
    assert!(said.contains(&format!("all {rows} rows hold")), "{said}");
}

const ROWS: &str = r#"
[[row]]
title = "wrong in three places"
processors = 2
raise = [{ status = 0xbd000000000000cf, mcg_status = 5, addr = 0x5000000, misc = 0x8c, broadcast = true }]
action = "log"
records = [{ class = "ucna", code = "memory-scrub", addr = 0x5000000, misc = 0x8c }]

[[row]]
title = "no such thing"
processors = 2
raise = [{ status = 0xbe00000000000e0f, mcg_status = 5, addr = 0x5000000, misc = 0x8c, broadcast = true }]
action = "reset"
reason = "no-bank"
records = [{ class = "fatal", code = "bus-interconnect", addr = 0x5000000, misc = 0x8c }]

[[row]]
title = "the machine is used again after a reset"
processors = 2
raise = [{ cpu = 1, status = 0xbc0000000000009f, mcg_status = 5, broadcast = true }]
action = "log"
records = [{ cpu = 1, class = "ucna", code = "memory-read" }]
"#;

#[test]
fn a_row_that_does_not_hold_is_status_1_with_what_was_expected_and_what_came() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table.toml");
    std::fs::write(&file, ROWS).unwrap();
    let output = table(&[file.to_str().unwrap()]);
    let (shown, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{said}");
    for words in [
        "action: expected log, got page",
        "pages out of use: expected none, got 0x5000000",
        "recovering processors: expected cpu0 (ucna), got cpu0 (srao)",
        "(line 2 of the table)",
        "action: expected reset (no-bank), got reset (bank)",
    ] {
        assert!(shown.contains(words), "{words}:\n{shown}");
    }
    assert_eq!(shown.matches("WRONG").count(), 2, "{shown}");
    assert!(said.contains("2 of 3 rows do not hold"), "{said}");
}

#[test]
fn a_table_with_mistakes_is_refused_before_anything_boots() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table.toml");
    std::fs::write(&file, ROWS.replace("\"log\"", "\"lock\"")).unwrap();
    let output = table(&[file.to_str().unwrap()]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(output.stdout.is_empty());
    assert!(
        said.contains("table.toml:6:10: unknown variant `lock`"),
        "{said}"
    );
}
