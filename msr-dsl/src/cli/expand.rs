//! `msr expand`: the generated Rust, formatted by rustfmt.

use super::USAGE;
use super::file::model;
use super::output::tell;
use std::io::Write;
use std::process::{Command, ExitCode, Stdio};

/// Prints what the macro gives.
pub fn expand(file: &str) -> ExitCode {
    match run(file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            tell!("{message}");
            ExitCode::from(USAGE)
        }
    }
}

fn run(file: &str) -> Result<(), String> {
    let code = msr_dsl::generate::generate(&model(file)?).to_string();
    let missing = |error| {
        format!("rustfmt cannot be run ({error}): install it with `rustup component add rustfmt`")
    };
    let mut rustfmt = Command::new("rustfmt")
        .args(["--edition", "2024"])
        .stdin(Stdio::piped())
        .spawn()
        .map_err(missing)?;
    if let Some(mut stdin) = rustfmt.stdin.take() {
        stdin
            .write_all(code.as_bytes())
            .map_err(|error| format!("rustfmt: {error}"))?;
    }
    let status = rustfmt
        .wait()
        .map_err(|error| format!("rustfmt: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err("rustfmt refused the generated code".to_owned())
    }
}
