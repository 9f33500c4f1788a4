//! A run from scenario to verdict.

use std::fmt;
use std::io;
use std::time::Duration;

use super::Remote;
use super::follow::{Ending, FATAL, FINAL, Followed, follow};
use crate::emulator::{self, Kind, Way};
use crate::error::{Doing, Error, Result};
use crate::image::{Module, Payload};
use crate::log::{self, Decoder, Event};
use crate::scenario::{Captures, Order, Scenario, When};
use crate::show::Timeline;
use crate::verdict::{NotRaised, Unmet, all_ended, all_raised, judge, refused};
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
    /// The first fault that was not raised.
    NotRaised(NotRaised),
    /// The injector refused a fault: its line in the scenario, and why.
    FaultRefused(Option<usize>, String),
    /// The hypervisor refused what it was given to boot; why.
    BootRefused(String),
    /// The machine was reset; by a fatal machine check for that reason, if it could still say so.
    Reset(Option<String>, Vec<String>),
    /// The machine is none for the hypervisor; why.
    Unsupported(String),
    /// The machine did not go off in time; what was not met by then, and the last lines.
    Hung(Duration, Option<String>, Vec<String>),
    /// The emulator ended early; what it said, and the last lines.
    Died(String, Vec<String>),
    /// The user ended it.
    Interrupted,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Met => f.write_str("every expectation was met"),
            Self::Interrupted => f.write_str("interrupted"),
            Self::Unmet(unmet) => unmet.fmt(f),
            Self::Unsupported(reason) => {
                write!(
                    f,
                    "the hypervisor cannot run on this machine: {}",
                    explained(reason)
                )
            }
            Self::NotRaised(fault) => fault.fmt(f),
            Self::FaultRefused(line, reason) => {
                let line = line.map_or_else(String::new, |line| format!(" at line {line}"));
                write!(
                    f,
                    "the fault{line} was refused: {}",
                    reason.replace('-', " ")
                )
            }
            Self::BootRefused(reason) => write!(f, "the hypervisor refuses to boot this: {reason}"),
            Self::Reset(reason, last) => {
                write!(f, "the machine was reset")?;
                if let Some(reason) = reason {
                    write!(f, " by a fatal machine check: {}", reason.replace('-', " "))?;
                }
                write!(f, "; the last lines:")?;
                lines(f, last)
            }
            Self::Hung(time, unmet, last) => {
                let time = time.as_secs_f32();
                write!(
                    f,
                    "no end after {time} s (`--timeout` sets how long that is)"
                )?;
                if let Some(unmet) = unmet {
                    write!(f, "\n{unmet}")?;
                }
                write!(f, "\nthe last lines:")?;
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
        let mut bytes = crate::error::read(artifacts.guest(&guest.image)?)?;
        if let Some(vectors) = &guest.vectors {
            vectors.put(&mut bytes).map_err(Error::Impossible)?;
        }
        modules.push(Module {
            string: guest.module_string(),
            bytes,
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
    run_within_reach(scenario, artifacts, options, None, each)
}

/// As [`run`], with a way for others to the machine.
///
/// # Errors
/// As [`run`].
pub fn run_within_reach(
    scenario: &Scenario,
    artifacts: &Artifacts,
    options: &Options,
    remote: Option<&Remote>,
    mut each: impl FnMut(&Event),
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
    if let Some(remote) = remote {
        let commands = std::mem::replace(&mut running.commands, Box::new(io::sink()));
        running.commands = remote.share(commands);
    }
    // A run of which nothing is expected lasts as long as its machine.
    let held = scenario.expects.is_empty() && scenario.exit.is_empty();
    let last: Vec<_> = FINAL
        .into_iter()
        .filter(|kind| !expects(scenario, kind) && (!held || *kind == "boot.refused"))
        .collect();
    let followed = follow(
        &log,
        &scenario.faults,
        &last,
        &mut running.commands,
        options.timeout,
        |event| {
            if let Some(remote) = remote {
                remote.tell(event);
            }
            each(event);
        },
    )?;
    let said = match &followed.ending {
        Ending::Broken(noise) => {
            let messages = running.wait()?;
            format!("{messages}\n{noise}")
        }
        Ending::Off
        | Ending::TimedOut
        | Ending::Ended(_)
        | Ending::Restarted
        | Ending::Interrupted => String::new(),
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
    let Followed { events, sent, .. } = followed;
    let unsupported = events.iter().find(|event| event.kind == UNSUPPORTED);
    if let Some(event) = unsupported
        && followed.ending != Ending::Interrupted
        && !expects(scenario, UNSUPPORTED)
    {
        let reason = event.get("reason").or_else(|| event.get("text"));
        return Verdict::Unsupported(reason.map_or_else(|| event.to_string(), ToString::to_string));
    }
    let last = || {
        let timeline = Timeline::new(scenario.guests.iter().map(|guest| guest.name.clone()));
        let from = events.len().saturating_sub(LAST);
        let lines = events[from..].iter().map(|event| timeline.line(event));
        lines.collect()
    };
    let fatal = events.iter().rfind(|event| event.kind == FATAL);
    match &followed.ending {
        Ending::Off => judged(scenario, followed),
        // The reset that was expected, by an emulator that cannot go on after it.
        Ending::Broken(_) if fatal.is_some() && expects(scenario, FATAL) => {
            judged(scenario, followed)
        }
        Ending::Broken(_) if fatal.is_none() => Verdict::Died(said, last()),
        Ending::Broken(_) | Ending::Restarted => Verdict::Reset(fatal.map(reason), last()),
        Ending::Interrupted => Verdict::Interrupted,
        Ending::Ended(event) => match event.kind.as_str() {
            FATAL => Verdict::Reset(Some(reason(event)), last()),
            "fault.refused" => {
                let line = refused(&scenario.faults, sent, events);
                Verdict::FaultRefused(line, reason(event))
            }
            _ => Verdict::BootRefused(reason(event)),
        },
        Ending::TimedOut => {
            let unmet = match judged(scenario, followed) {
                Verdict::Met => None,
                unmet => Some(unmet.to_string()),
            };
            Verdict::Hung(timeout, unmet, last())
        }
    }
}

/// A run that came to its end: every fault raised, every expectation met, every guest ended.
fn judged(scenario: &Scenario, followed: &Followed) -> Verdict {
    let Followed {
        events,
        captures,
        sent,
        ..
    } = followed;
    // A fault that never came is why what it was to cause did not. An image for production refuses each.
    if !scenario.production
        && let Err(fault) = all_raised(&scenario.faults, sent, events)
    {
        return Verdict::NotRaised(fault);
    }
    let met = judge(scenario, events.clone(), captures)
        .and_then(|()| all_ended(scenario, events, captures));
    match met {
        Ok(()) => Verdict::Met,
        Err(unmet) => Verdict::Unmet(unmet),
    }
}

fn expects(scenario: &Scenario, kind: &str) -> bool {
    let mut wanted = scenario
        .expects
        .iter()
        .filter(|expect| expect.order != Order::Absent);
    wanted.any(|expect| expect.event == kind)
}

/// Why: `reason`, or `what` and the `text` that it is about.
fn reason(event: &Event) -> String {
    let words: Vec<_> = ["reason", "what", "text"]
        .into_iter()
        .filter_map(|field| event.get(field))
        .map(ToString::to_string)
        .filter(|words| !words.is_empty())
        .collect();
    words.join(": ")
}

const UNSUPPORTED: &str = "machine.unsupported";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::log::Level;
    use crate::scenario::Known;

    const FAULTS: &str = "[[fault]]\nat = 5\nprocessor = 0\nbank = 1\nstatus = 9\nmcg_status = 5\n\
        [[fault]]\nafter = { console = 'page', guest = 'g0' }\nprocessor = 0\nbank = 2\nstatus = 9\nmcg_status = 5\n";

    fn scenario(more: &str) -> Scenario {
        let text =
            format!("title = 't'\n[machine]\nprocessors = 2\n[[guest]]\nimage = 'x'\n{more}");
        let known = Known {
            images: vec!["x".into()],
            ..Known::default()
        };
        Scenario::parse(Path::new("t.toml"), &text, &known).unwrap()
    }

    fn followed(lines: &[&str], sent: &[bool], ending: Ending) -> Followed {
        let mut time = 0;
        let mut event = |line: &&str| {
            time += 1;
            Event::parse(line, Some(time), Level::Info)
        };
        Followed {
            events: lines.iter().map(&mut event).collect(),
            captures: Captures::default(),
            sent: sent.to_vec(),
            ending,
            undecodable: 0,
        }
    }

    fn said(scenario: &Scenario, followed: &Followed) -> String {
        verdict(scenario, followed, String::new(), Duration::from_secs(3)).to_string()
    }

    const RAISED: &str = "fault.raised cpu=0 target=0 bank=1 status=9 mcg_status=5 addr=0 misc=0";
    const SECOND: &str = "fault.raised cpu=0 target=0 bank=2 status=9 mcg_status=5 addr=0 misc=0";
    const DOWN: &str = "guest.shutdown cpu=0 guest=0 code=0";

    #[test]
    fn a_fault_that_was_never_raised_fails_the_run() {
        let scenario = scenario(&format!("{FAULTS}[exit]\ng0 = 0\n"));
        let run =
            |lines: &[&str], sent| said(&scenario, &followed(lines, &[false, sent], Ending::Off));
        assert_eq!(
            run(&[RAISED, SECOND, DOWN], true),
            "every expectation was met"
        );
        assert_eq!(
            run(&[SECOND, DOWN], true),
            "the fault at line 6 was never raised: its time 5 never came"
        );
        assert_eq!(
            run(&[RAISED, DOWN], false),
            "the fault at line 12 was never raised: no console line matched `page`"
        );
        assert!(
            run(&[RAISED, DOWN], true)
                .contains("line 12 was never raised: the machine was told to")
        );
    }

    #[test]
    fn a_refused_fault_is_named_by_its_line() {
        let scenario = scenario(&format!("{FAULTS}[exit]\ng0 = 0\n"));
        let refusal = Event::parse(
            "fault.refused cpu=0 reason=no-such-bank",
            Some(9),
            Level::Warn,
        );
        let run = |lines: &[&str], sent| {
            let ending = Ending::Ended(refusal.clone());
            said(&scenario, &followed(lines, &[false, sent], ending))
        };
        assert_eq!(
            run(&[RAISED], true),
            "the fault at line 12 was refused: no such bank"
        );
        assert_eq!(
            run(&[], false),
            "the fault at line 6 was refused: no such bank"
        );
    }

    #[test]
    fn a_refused_boot_has_its_reason() {
        let scenario = scenario("[exit]\ng0 = 0\n");
        let text = "boot.refused cpu=0 what=no such interface text=guest interface=vmce@9";
        let event = Event::parse(text, Some(1), Level::Error);
        let verdict = said(&scenario, &followed(&[], &[], Ending::Ended(event)));
        assert_eq!(
            verdict,
            "the hypervisor refuses to boot this: no such interface: guest interface=vmce@9"
        );
    }

    #[test]
    fn a_fatal_machine_check_is_said_to_have_reset_the_machine() {
        const FATAL_LINE: &str = "mc.fatal cpu=0 reason=context-lost";
        let plain = scenario("[exit]\ng0 = 0\n");
        let broken = || Ending::Broken(String::new());
        let ended = || Ending::Ended(Event::parse(FATAL_LINE, Some(1), Level::Error));
        for ending in [broken(), ended(), Ending::Restarted] {
            let said = said(&plain, &followed(&[FATAL_LINE], &[], ending));
            assert!(
                said.starts_with("the machine was reset by a fatal machine check: context lost"),
                "{said}"
            );
        }
        assert!(said(&plain, &followed(&["a.b"], &[], broken())).starts_with("the machine ended"));
        let expected = scenario("[[expect]]\nevent = 'mc.fatal'\n");
        assert_eq!(
            said(&expected, &followed(&[FATAL_LINE], &[], broken())),
            "every expectation was met"
        );
    }

    #[test]
    fn a_guest_must_end_by_itself_unless_an_expectation_covers_its_stop() {
        const STOP: &str = "guest.stopped cpu=0 guest=0 vcpu=0 reason=triple-fault";
        let plain = scenario("[[expect]]\nevent = 'machine.off'\n");
        let run = |scenario: &Scenario, lines: &[&str]| {
            said(scenario, &followed(lines, &[], Ending::Off))
        };
        assert_eq!(
            run(&plain, &[DOWN, "machine.off cpu=0"]),
            "every expectation was met"
        );
        let verdict = run(&plain, &[STOP, "machine.off cpu=0"]);
        assert!(
            verdict.contains("guest g0 ends by itself") && verdict.contains("reason=triple-fault"),
            "{verdict}"
        );
        for (expect, covers) in [
            ("[[expect]]\nevent = 'guest.stopped'\n", true),
            (
                "[[expect]]\nevent = 'guest.stopped'\nwhere = { guest = 'g0' }\n",
                true,
            ),
            (
                "[[expect]]\nevent = 'guest.stopped'\nwhere = { guest = 1 }\nabsent = true\n",
                false,
            ),
        ] {
            let verdict = run(&scenario(expect), &[STOP]);
            assert_eq!(
                verdict == "every expectation was met",
                covers,
                "{expect}: {verdict}"
            );
        }
    }

    #[test]
    fn a_hang_names_the_option_and_what_was_not_met() {
        let scenario = scenario("[[expect]]\nevent = 'a.b'\n[exit]\ng0 = 0\n");
        let said = said(&scenario, &followed(&["a.c"], &[], Ending::TimedOut));
        assert!(
            said.starts_with("no end after 3 s (`--timeout` sets"),
            "{said}"
        );
        assert!(
            said.contains("not met (line 6 of the scenario): a.b"),
            "{said}"
        );
        assert!(said.contains("a.c"), "{said}");
    }
}
