//! `msr diff`.

mod github;
mod json;
mod junit;
mod markdown;
mod report;
mod sarif;
pub mod sides;
mod text;
mod waivers;

use super::output::{put, tell};
use super::{NO, USAGE};
use clap::{Args, ValueEnum};
use msr_dsl::compare::rules::{self, Effect};
use msr_dsl::compare::side::Side;
use msr_dsl::words::suggest;
use report::Report;
use std::path::PathBuf;
use std::process::ExitCode;

/// What `--help` says of the sides.
pub const SIDES: &str = "\
A side is one of
  FILE               the newest version of a spec, or of a manifest (.lock)
  FILE@VERSION       another one
  REVISION:FILE      the file as git has it there; @VERSION may follow
  DIRECTORY          the newest version of every spec in it, paired by interface

Exit status: 0 compared, 1 a finding that --deny names, 2 a side that cannot be read, a waiver that matches nothing, or a
question that is too large to decide";

/// The command's arguments.
#[derive(Args)]
pub struct Arguments {
    /// The side that guests come from.
    #[arg(required_unless_present = "explain")]
    old: Option<String>,
    /// The side that they go to.
    #[arg(required_unless_present = "explain")]
    new: Option<String>,
    /// One JSON object (docs/diff.schema.json).
    #[arg(long, group = "format")]
    json: bool,
    /// Markdown, as for a comment on a change.
    #[arg(long, group = "format")]
    markdown: bool,
    /// GitHub's workflow commands: annotations at the lines of the new side.
    #[arg(long, group = "format")]
    github: bool,
    /// SARIF 2.1.0.
    #[arg(long, group = "format")]
    sarif: bool,
    /// JUnit XML: a test for each rule.
    #[arg(long, group = "format")]
    junit: bool,
    /// Findings that make the answer no.
    #[arg(long, value_enum)]
    deny: Option<Deny>,
    /// A file with a line `FINGERPRINT reason` for each finding that is meant.
    #[arg(long, value_name = "FILE")]
    waivers: Option<PathBuf>,
    /// Say what a rule means.
    #[arg(long, value_name = "RULE")]
    explain: Option<String>,
}

/// What makes the answer no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Deny {
    /// What is not safe from old to new.
    Breaking,
    /// Any difference.
    Any,
}

/// Compares two sides.
pub fn diff(arguments: &Arguments) -> ExitCode {
    match run(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(NO),
        Err(message) => {
            tell!("{message}");
            ExitCode::from(USAGE)
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool, String> {
    if let Some(rule) = &arguments.explain {
        return explain(rule);
    }
    let (Some(old), Some(new)) = (&arguments.old, &arguments.new) else {
        return Err("two sides are needed".to_owned());
    };
    let mut report = Report::new(&sides(arguments, old)?, &sides(arguments, new)?);
    if let Some(file) = &arguments.waivers {
        waivers::apply(&mut report, file)?;
    }
    print(arguments, &report);
    if let Some(undecided) = report.undecided() {
        return Err(undecided);
    }
    let denied = report.open().filter(|finding| match arguments.deny {
        None => false,
        Some(Deny::Any) => true,
        Some(Deny::Breaking) => finding.effects()[0] != Effect::Safe,
    });
    Ok(denied.count() == 0)
}

/// The versions behind an argument. Where a spec alters what was released it has none; then it is shown what it altered.
fn sides(arguments: &Arguments, argument: &str) -> Result<Vec<Side>, String> {
    let refused = match sides::sides(argument) {
        Ok(sides) => return Ok(sides),
        Err(refused) => refused,
    };
    let altered = sides::altered(argument).unwrap_or_default();
    if let Some(report) = Report::of_altered(&altered) {
        print(arguments, &report);
        return Err(format!(
            "{refused}. Nothing else was compared: above is what it alters in versions that were released"
        ));
    }
    Err(refused)
}

fn print(arguments: &Arguments, report: &Report) {
    if arguments.json {
        put!("{:#}", json::json(report));
    } else if arguments.markdown {
        put!("{}", markdown::markdown(report));
    } else if arguments.github {
        put!("{}", github::github(report));
    } else if arguments.sarif {
        put!("{:#}", sarif::sarif(report));
    } else if arguments.junit {
        put!("{}", junit::junit(report));
    } else {
        put!("{}", text::text(report));
    }
}

fn explain(name: &str) -> Result<bool, String> {
    let Some(rule) = rules::find(name) else {
        let known: Vec<&str> = rules::ALL.iter().map(|rule| rule.id).collect();
        return Err(format!("no rule `{name}`: {}", suggest(name, &known)));
    };
    let effect = |effect| match effect {
        Effect::Safe => "safe",
        Effect::Condition => "safe on a condition, which the finding names",
        Effect::Refused => "refused",
    };
    put!("{}: {}\n\n{}\n", rule.id, rule.title, rule.explanation);
    put!("old to new: {}", effect(rule.effect));
    put!(
        "new to old: {} (the mirror: {})",
        effect(rule.mirrored().effect),
        rule.mirror
    );
    Ok(true)
}
