//! `cargo boot test`: every test there is.

use std::io::IsTerminal;
use std::process::Stdio;
use std::time::Instant;

use super::Answer;
use crate::error::{Doing, Error, Result};
use crate::interrupt::interrupted;
use crate::setup::{Purpose, ensure};
use crate::workspace::Workspace;

/// A run of cargo that is part of the tests.
struct Part {
    name: &'static str,
    arguments: &'static [&'static str],
    /// What `RUSTFLAGS` holds for it.
    flags: Option<&'static str>,
}

const PARTS: &[Part] = &[
    Part {
        name: "tests",
        arguments: &["test", "--workspace", "--no-fail-fast"],
        flags: None,
    },
    // Every interleaving of the engine. Flags of its own need a folder of their own, or all else would be built anew.
    Part {
        name: "interleavings",
        arguments: &[
            "test",
            "-p",
            "interleavings",
            "--release",
            "--target-dir",
            "target/loom",
        ],
        flags: Some("--cfg loom"),
    },
];

/// Runs every test. With arguments, only the workspace's tests, and the harness gets them.
///
/// # Errors
/// What keeps the tests from being run; Ctrl-C.
pub fn test(arguments: &[String]) -> Result<Answer> {
    ensure(&Purpose::ALL)?;
    let workspace = Workspace::find()?;
    let parts = if arguments.is_empty() {
        PARTS
    } else {
        &PARTS[..1]
    };
    let mut closing = Vec::new();
    let mut answer = Answer::Yes;
    for part in parts {
        let start = Instant::now();
        let passed = run(&workspace, part, arguments)?;
        let word = if passed { "passed" } else { "FAILED" };
        closing.push(format!(
            "{}: {word} in {:.0} s",
            part.name,
            start.elapsed().as_secs_f32()
        ));
        if !passed {
            answer = Answer::No;
        }
    }
    eprintln!("\n{}", closing.join("\n"));
    Ok(answer)
}

/// Takes away what cargo was drawing on the terminal's last line.
fn tidy() {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[2K");
    }
}

fn run(workspace: &Workspace, part: &Part, arguments: &[String]) -> Result<bool> {
    let mut cargo = workspace.cargo();
    cargo.args(part.arguments);
    if let Some(flags) = part.flags {
        cargo.env("RUSTFLAGS", flags);
    }
    if !arguments.is_empty() {
        cargo.arg("--").args(arguments);
    }
    let status = cargo
        .stdin(Stdio::null())
        .status()
        .doing(|| "start cargo".into())?;
    if interrupted() {
        tidy();
        return Err(Error::Interrupted);
    }
    Ok(status.success())
}
