//! Coverage-guided fuzzing of the readers of records and specs: libFuzzer, on stable Rust.
//!
//! The package `specs/fuzz` is built with the compiler's coverage counters (and without a sanitizer: there is no `unsafe` to watch) in a
//! target folder of its own, `target/fuzz`. What is found goes to the folders that plain tests replay.

mod findings;
mod seeds;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

pub use findings::Finding;

use crate::error::{Doing, Error, Result};
use crate::progress::Progress;
use crate::setup::{Purpose, ensure};
use crate::workspace::Workspace;

/// The counters: of each edge, of comparisons (so that constants are found), and where they are.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
                     -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Build scripts and macros must not get the counters, so the target is named.
const MACHINE: &str = "x86_64-unknown-linux-gnu";

/// What is fuzzed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Target {
    /// Saved records: every version restores them, and they are converted
    Record,
    /// Texts: the language checks and formats them, and makes code of what is right
    Spec,
}

impl Target {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Record, Self::Spec];

    /// The program's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Spec => "spec",
        }
    }

    /// The longest input, in bytes: beyond, only time is lost.
    fn longest(self) -> usize {
        match self {
            Self::Record => 1300,
            Self::Spec => 3000,
        }
    }
}

/// The fuzzers, built.
#[derive(Debug)]
pub struct Fuzzers {
    workspace: Workspace,
    folder: PathBuf,
}

impl Fuzzers {
    /// Builds them. Installs the compiler that libFuzzer needs, if it is missing.
    ///
    /// # Errors
    /// What cargo says, or what is missing.
    pub fn build(workspace: &Workspace) -> Result<Self> {
        ensure(&[Purpose::Fuzz])?;
        let _progress = Progress::start("building the fuzzers");
        let folder = workspace.root.join("target/fuzz");
        let output = workspace
            .cargo()
            .args(["build", "--release", "--locked", "--target", MACHINE])
            .current_dir(workspace.root.join("specs/fuzz"))
            .env("CARGO_TARGET_DIR", &folder)
            .env("RUSTFLAGS", FLAGS)
            .output()
            .doing(|| "start cargo".into())?;
        if !output.status.success() {
            return Err(Error::Failed {
                program: "cargo build of the fuzzers".into(),
                status: output.status.to_string(),
                said: String::from_utf8_lossy(&output.stderr).into_owned(),
            });
        }
        Ok(Self {
            workspace: workspace.clone(),
            folder,
        })
    }

    /// Fuzzes for a while, from what earlier runs have left. Gives the statistics, or what was found.
    ///
    /// # Errors
    /// What keeps the fuzzer from running.
    pub fn run(&self, target: Target, time: Duration) -> Result<Result<String, Finding>> {
        let corpus = self.folder.join("corpus").join(target.name());
        let findings = self.folder.join("findings");
        for folder in [&corpus, &findings] {
            std::fs::create_dir_all(folder).doing(|| format!("make {}", folder.display()))?;
        }
        let seeds = seeds::seed(&self.workspace, target, &self.folder)?;
        let before = findings::files(&findings)?;
        let output = self
            .program(target)
            .arg(format!("-max_total_time={}", time.as_secs().max(1)))
            .arg(format!("-max_len={}", target.longest()))
            .args(["-timeout=20", "-rss_limit_mb=1024", "-print_final_stats=1"])
            .arg(format!("-artifact_prefix={}/", findings.display()))
            .args([&corpus, &seeds])
            .output()
            .doing(|| format!("start the fuzzer {}", target.name()))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            return Ok(Ok(said));
        }
        let mut after = findings::files(&findings)?;
        after.retain(|file| !before.contains(file));
        match after.pop() {
            Some(input) => findings::keep(self, target, &input, &said).map(Err),
            None => Err(Error::Failed {
                program: format!("the fuzzer {}", target.name()),
                status: output.status.to_string(),
                said,
            }),
        }
    }

    fn program(&self, target: Target) -> Command {
        let program = self
            .folder
            .join(MACHINE)
            .join("release")
            .join(target.name());
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).env("RUST_BACKTRACE", "0");
        command
    }
}
