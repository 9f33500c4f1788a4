//! `cargo boot` and `cargo boot run`.

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use super::Answer;
use super::cli::{RunArguments, RunOptions};
use super::image::check_place;
use crate::emulator::{Kind, Way};
use crate::error::{Error, Result};
use crate::log::Event;
use crate::progress::Progress;
use crate::run::{Followed, Options, Remote, Verdict, run_within_reach};
use crate::scenario::Scenario;
use crate::setup::{Purpose, ensure};
use crate::show::{Json, Timeline, mcelog};
use crate::story::{Story, svg, trace};
use crate::workspace::Workspace;

/// For ever, as far as a user is concerned.
const ALWAYS: Duration = Duration::from_secs(u32::MAX as u64);

/// Runs a scenario and shows it.
///
/// # Errors
/// What keeps it from being run.
pub fn run(arguments: &RunArguments) -> Result<Answer> {
    let workspace = Workspace::find()?;
    let mut scenario = Scenario::named(&workspace.root, &arguments.scenario)?;
    let mut options = arguments.options.clone();
    let files = [&arguments.trace, &arguments.svg, &arguments.mcelog];
    for file in files.into_iter().flatten() {
        check_place(file)?;
    }
    if arguments.hold {
        scenario = scenario.held();
        options.timeout = ALWAYS;
        eprintln!(
            "the machine stays up until Ctrl-C; `cargo boot mce` in another terminal sends it errors"
        );
    }
    let timeline = Timeline::new(scenario.guests.iter().map(|guest| guest.name.clone()));
    let as_json = arguments.options.json;
    let mut json = Json::default();
    let (verdict, followed) = execute(&workspace, &scenario, &options, |event| {
        Some(if as_json {
            json.line(event)
        } else {
            timeline.line(event)
        })
    })?;
    draw(arguments, &scenario, &followed)?;
    if let Some(file) = &arguments.mcelog {
        let now = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        let records = mcelog(&followed.events, now);
        crate::error::write(file, records)?;
    }
    if arguments.hold && verdict == Verdict::Interrupted {
        // How a machine that is held ends.
        return Ok(Answer::Yes);
    }
    close(&scenario, &verdict, &followed)
}

/// Writes the run as a trace and as a picture, where that was asked for.
fn draw(arguments: &RunArguments, scenario: &Scenario, followed: &Followed) -> Result<()> {
    if arguments.trace.is_none() && arguments.svg.is_none() {
        return Ok(());
    }
    let names: Vec<_> = scenario
        .guests
        .iter()
        .map(|guest| guest.name.clone())
        .collect();
    let story = Story::of(&followed.events, &names);
    if let Some(file) = &arguments.trace {
        crate::error::write(file, trace(&story))?;
    }
    if let Some(file) = &arguments.svg {
        crate::error::write(file, svg(&story, &scenario.title))?;
    }
    Ok(())
}

/// Sets up, builds, checks and runs. The lines that `each` gives are shown.
///
/// # Errors
/// As [`run`].
pub fn execute(
    workspace: &Workspace,
    scenario: &Scenario,
    options: &RunOptions,
    mut each: impl FnMut(&Event) -> Option<String>,
) -> Result<(Verdict, Followed)> {
    let options = Options::from(options);
    ensure(&purposes(&options))?;
    let artifacts = workspace.build_for(scenario)?;
    let remote = Remote::open(&workspace.root, scenario)?;
    let progress = Progress::start(format!("running {}", scenario.name));
    run_within_reach(scenario, &artifacts, &options, Some(&remote), |event| {
        if let Some(line) = each(event) {
            progress.heard();
            put(&line);
        }
    })
}

fn purposes(options: &Options) -> Vec<Purpose> {
    let machine = match options.on {
        Kind::Bochs => Purpose::Bochs,
        Kind::Kvm | Kind::Qemu => Purpose::Qemu,
    };
    match options.way {
        Way::Direct => vec![machine],
        Way::Iso => vec![machine, Purpose::Iso],
        Way::IsoUefi => vec![machine, Purpose::Iso, Purpose::Uefi],
    }
}

/// Says the last word on standard error, and gives the answer.
///
/// # Errors
/// What was to be booted cannot be; Ctrl-C.
pub fn close(scenario: &Scenario, verdict: &Verdict, followed: &Followed) -> Result<Answer> {
    if followed.undecodable > 0 {
        anstream::eprintln!("{} log frames could not be decoded", followed.undecodable);
    }
    match verdict {
        Verdict::Met => {
            let (count, name) = (scenario.expects.len() + scenario.exit.len(), &scenario.name);
            anstream::eprintln!("{GOOD}{name}: all {count} expectations met{GOOD:#}");
            Ok(Answer::Yes)
        }
        Verdict::Interrupted => Err(Error::Interrupted),
        Verdict::BootRefused(_) => Err(Error::Input(format!("{}: {verdict}", scenario.name))),
        other => {
            anstream::eprintln!("{BAD}{}:{BAD:#} {other}", scenario.name);
            Ok(Answer::No)
        }
    }
}

/// Writes a line to standard output; a reader that has gone away is no error of ours.
pub fn put(line: &str) {
    let _ = writeln!(anstream::stdout(), "{line}");
}

const GOOD: anstyle::Style = colour(anstyle::AnsiColor::Green);
const BAD: anstyle::Style = colour(anstyle::AnsiColor::Red);

const fn colour(colour: anstyle::AnsiColor) -> anstyle::Style {
    anstyle::Style::new()
        .bold()
        .fg_color(Some(anstyle::Color::Ansi(colour)))
}
