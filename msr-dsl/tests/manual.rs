//! The manual's list of codes is the checker's table, and its first spec is one. (`MSR_ACCEPT=1` writes the list.)

use msr_dsl::codes;
use msr_dsl::source::compile_text;
use std::path::PathBuf;

fn manual() -> (PathBuf, String) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/language.md");
    let text = std::fs::read_to_string(&path).expect("docs/language.md");
    (path, text)
}

#[test]
fn the_list_of_codes_is_the_table() {
    let (path, text) = manual();
    let lines = codes::ALL
        .iter()
        .map(|code| format!("| {} | {} | {} |\n", code.id, code.title, code.explanation));
    let table = format!(
        "\n| code | | |\n|---|---|---|\n{}",
        lines.collect::<String>()
    );
    let (before, rest) = text
        .split_once("<!-- codes -->\n")
        .expect("the mark before the list");
    let (list, after) = rest
        .split_once("<!-- end of codes -->")
        .expect("the mark behind the list");
    if std::env::var_os("MSR_ACCEPT").is_some() {
        let new = format!("{before}<!-- codes -->\n{table}\n<!-- end of codes -->{after}");
        // In one step: the other test reads the manual at the same time.
        let beside = path.with_extension("md.new");
        std::fs::write(&beside, new).expect("docs/language.md.new");
        std::fs::rename(beside, path).expect("docs/language.md");
    } else {
        assert_eq!(list.trim(), table.trim());
    }
}

#[test]
fn the_first_spec_is_one() {
    let (_, text) = manual();
    let spec = text
        .split("```text\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("the first spec");
    let outcome = compile_text(spec);
    assert!(outcome.diagnostics.is_empty(), "{:?}", outcome.diagnostics);
    let model = outcome.model.expect("no errors");
    let mut guest = msr_dsl::interpret::Machine::new(model.newest());
    use msr_dsl::interpret::Answer;
    assert_eq!(guest.write(0x4f0, 0x8000_0005), Answer::Ok);
    assert_eq!(guest.read(0x4f0), Answer::Value(0x8000_0005));
    assert_eq!(guest.write(0x4f0, 0x1_0000), Answer::Fault);
}
