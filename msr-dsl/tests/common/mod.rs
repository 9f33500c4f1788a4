//! The command line, run.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Runs `msr` with an input.
pub fn msr(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_msr"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("msr runs");
    let (stdin, input) = (child.stdin.take(), input.to_owned());
    // Beside the reading, or both sides wait for each other. A command that does not read its input may be gone already.
    let writer =
        std::thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().expect("msr ends");
    let _ = writer.join().expect("the writer ends");
    output
}
