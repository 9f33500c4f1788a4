//! docs/scenarios.md, made from the table of keys.

use std::fmt::Write as _;

use super::keys::{Key, SECTIONS, Section};

/// The manual's reference part.
pub fn manual() -> String {
    let mut out = String::new();
    for section in SECTIONS {
        write_section(&mut out, section);
    }
    out
}

fn write_section(out: &mut String, section: &Section) {
    let header = match section.header {
        "the file" => "The file".to_owned(),
        header => format!("`{header}`"),
    };
    let _ = write!(out, "## {header}\n\n{}\n\n", section.about);
    if section.keys.is_empty() {
        return;
    }
    out.push_str("| key | holds | if missing | meaning |\n|---|---|---|---|\n");
    for Key {
        name,
        holds,
        default,
        about,
    } in section.keys
    {
        let default = default.unwrap_or("an error");
        let _ = writeln!(out, "| `{name}` | {holds} | {default} | {about} |");
    }
    out.push('\n');
}
