//! `msr new`: a commented starting point.

use super::USAGE;
use super::output::{put, tell};
use std::process::ExitCode;

/// Writes `NAME.msr`, unless it is there.
pub fn new(name: &str) -> ExitCode {
    let right = !name.is_empty()
        && name.len() <= 8
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !name.ends_with('-');
    if !right {
        tell!(
            "`{name}` is no name of an interface: one to eight small letters, digits and dashes, a letter first"
        );
        return ExitCode::from(USAGE);
    }
    let file = format!("{name}.msr");
    let text = include_str!("new.msr").replace("NAME", name);
    match std::fs::File::create_new(&file)
        .and_then(|mut out| std::io::Write::write_all(&mut out, text.as_bytes()))
    {
        Ok(()) => {
            put!("{file} is there; next: cargo msr check {file}");
            ExitCode::SUCCESS
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            tell!("{file} is there already: choose another name, or move it away");
            ExitCode::from(USAGE)
        }
        Err(error) => {
            tell!("{file}: {error}");
            ExitCode::from(USAGE)
        }
    }
}
