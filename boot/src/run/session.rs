//! A run from scenario to verdict.

use std::fmt;
use std::io;
use std::time::Duration;

use super::follow::{Ending, Followed, follow};
use crate::emulator::{self, Kind, Way};
use crate::error::{Doing, Result};
use crate::image::{Module, Payload};
use crate::log::{self, Decoder, Event};
use crate::scenario::{Captures, Scenario, When};
use crate::show::Timeline;
use crate::verdict::{Unmet, judge};
use crate::workspace::Artifacts;

/// How to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// In what.
    pub on: Kind,
    /// How the image gets there.
    pub way: Way,
    /// How long it may take.
    pub timeout: Duration,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every expectation was met.
    Met,
    /// The first one that was not.
    Unmet(Unmet),
    /// The machine is none for the hypervisor; why.
    Unsupported(String),
    /// The machine did not go off in time; the last lines.
    Hung(Duration, Vec<String>),
    /// The emulator ended early; what it said, and the last lines.
    Died(String, Vec<String>),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Met => f.write_str("every expectation was met"),
            Self::Unmet(unmet) => unmet.fmt(f),
            Self::Unsupported(reason) => {
                write!(
                    f,
                    "the hypervisor cannot run on this machine: {}",
                    explained(reason)
                )
            }
            Self::Hung(time, last) => {
                write!(f, "no end after {} s; the last lines:", time.as_secs_f32())?;
                lines(f, last)
            }
            Self::Died(said, last) => {
                write!(f, "the machine ended before the hypervisor switched it off")?;
                if !said.trim().is_empty() {
                    write!(f, "; it said:\n{}", said.trim_end())?;
                }
                write!(f, "\nthe last lines:")?;
                lines(f, last)
            }
        }
    }
}

/// The kernel's word for what is missing (kernel/src/vmx/capability.rs), for a user.
fn explained(reason: &str) -> String {
    match reason {
        "no-vmx" => "its processor has no Intel VMX (`--on bochs` emulates one that has)".into(),
        "vmx-locked-by-firmware" => {
            "its firmware has switched VMX off: look for virtualization in its set-up".into()
        }
        "vmx-operation-refused" => "its processor refuses to enter VMX operation".into(),
        other => format!("its VMX lacks what the hypervisor needs ({other})"),
    }
}

fn lines(f: &mut fmt::Formatter<'_>, lines: &[String]) -> fmt::Result {
    if lines.is_empty() {
        return write!(f, "\n  (nothing was logged)");
    }
    lines.iter().try_for_each(|line| write!(f, "\n  {line}"))
}

/// What a scenario boots.
///
/// # Errors
/// A guest program that was not built.
pub fn payload(scenario: &Scenario, artifacts: &Artifacts) -> Result<Payload> {
    let mut modules = Vec::new();
    for guest in &scenario.guests {
        modules.push(Module {
            string: guest.module_string(),
            bytes: crate::error::read(artifacts.guest(&guest.image)?)?,
        });
    }
    let timed: String = scenario
        .faults
        .iter()
        .filter(|fault| matches!(fault.when, When::At(_)))
        // A fault with a time uses no captures: the reader of scenarios sees to that.
        .filter_map(|fault| fault.command(&Captures::default()))
        .map(|command| command + "\n")
        .collect();
    if !timed.is_empty() {
        modules.push(Module {
            string: "faults".into(),
            bytes: timed.into_bytes(),
        });
    }
    Ok(Payload {
        kernel_elf: artifacts.kernel.clone(),
        command_line: scenario.command_line.clone(),
        modules,
    })
}

/// Runs a scenario. `each` gets every event as it comes, in the order of time.
///
/// # Errors
/// What keeps the run from being made at all.
pub fn run(
    scenario: &Scenario,
    artifacts: &Artifacts,
    options: &Options,
    each: impl FnMut(&Event),
) -> Result<(Verdict, Followed)> {
    let payload = payload(scenario, artifacts)?;
    let decoder = Decoder::new(&crate::error::read(&artifacts.kernel)?)?;
    let work = tempfile::tempdir().doing(|| "make a temporary folder".into())?;

    let mut running = emulator::start(
        options.on,
        &scenario.machine,
        &payload,
        options.way,
        work.path(),
    )?;
    let bytes = std::mem::replace(&mut running.log, Box::new(io::empty()));
    let log = log::read(bytes, decoder);
    let followed = follow(
        &log,
        &scenario.faults,
        &mut running.commands,
        options.timeout,
        each,
    )?;
    let said = match &followed.ending {
        Ending::Broken(noise) => {
            let messages = running.wait()?;
            format!("{messages}\n{noise}")
        }
        Ending::Off | Ending::TimedOut => String::new(),
    };
    running.kill();
    Ok((
        verdict(scenario, &followed, said, options.timeout),
        followed,
    ))
}

/// How many of the last lines are shown of a run that did not end well.
const LAST: usize = 10;

fn verdict(scenario: &Scenario, followed: &Followed, said: String, timeout: Duration) -> Verdict {
    let expected = scenario
        .expects
        .iter()
        .any(|expect| expect.event == UNSUPPORTED);
    let unsupported = followed
        .events
        .iter()
        .find(|event| event.kind == UNSUPPORTED);
    if let Some(event) = unsupported
        && !expected
    {
        let reason = event.get("reason").or_else(|| event.get("text"));
        return Verdict::Unsupported(reason.map_or_else(|| event.to_string(), ToString::to_string));
    }
    let last = || {
        let timeline = Timeline::new(scenario.guests.iter().map(|guest| guest.name.clone()));
        let from = followed.events.len().saturating_sub(LAST);
        let lines = followed.events[from..]
            .iter()
            .map(|event| timeline.line(event));
        lines.collect()
    };
    match followed.ending {
        Ending::Broken(_) => Verdict::Died(said, last()),
        Ending::TimedOut => Verdict::Hung(timeout, last()),
        Ending::Off => match judge(scenario, followed.events.clone(), &followed.captures) {
            Ok(()) => Verdict::Met,
            Err(unmet) => Verdict::Unmet(unmet),
        },
    }
}

const UNSUPPORTED: &str = "machine.unsupported";
