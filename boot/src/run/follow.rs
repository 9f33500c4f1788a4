//! Follows a log to its end: faults that wait for a console line, the clock, the user.

use std::io::Write;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::error::{Doing, Error, Result};
use crate::interrupt::interrupted;
use crate::log::{Event, Item, Reorder};
use crate::scenario::{Captures, Fault, When};

/// How often the clock and the user are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How long a machine that said it is unsupported may take to go off.
const GRACE: Duration = Duration::from_secs(2);

/// How a log ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The hypervisor switched the machine off.
    Off,
    /// The log ended without that. The text is what preceded the log where no log came at all.
    Broken(String),
    /// Time was up.
    TimedOut,
    /// An event came after which nothing that the scenario wants can come.
    Ended(Event),
    /// The log began anew: the machine was reset.
    Restarted,
    /// The user had enough (Ctrl-C).
    Interrupted,
}

/// What a log held.
#[derive(Clone, Debug)]
pub struct Followed {
    /// All events in the order of arrival.
    pub events: Vec<Event>,
    /// What was captured from console lines.
    pub captures: Captures,
    /// Which faults were handed to the machine while it ran: those that wait for a console line.
    pub sent: Vec<bool>,
    /// How it ended.
    pub ending: Ending,
    /// Frames that the image's table does not explain.
    pub undecodable: usize,
}

/// The kinds of events that end a run early, where its scenario does not expect them.
pub const FINAL: [&str; 3] = ["boot.refused", "fault.refused", FATAL];

/// A machine check that resets the machine.
pub const FATAL: &str = "mc.fatal";

/// Follows a log until the machine is off, or until an event of the kinds in `last`. `each` gets every event, in the order of time.
///
/// # Errors
/// A fault could not be sent.
pub fn follow(
    log: &Receiver<Item>,
    faults: &[Fault],
    last: &[&str],
    commands: &mut dyn Write,
    timeout: Duration,
    mut each: impl FnMut(&Event),
) -> Result<Followed> {
    let mut deadline = Instant::now() + timeout;
    let mut reorder = Reorder::default();
    let mut followed = Followed {
        events: Vec::new(),
        captures: Captures::default(),
        sent: vec![false; faults.len()],
        ending: Ending::TimedOut,
        undecodable: 0,
    };
    // A machine that resets again and again is not followed for ever. A watcher, who raises nothing, sees it all.
    let most_boots = faults.iter().map(|fault| fault.boot).max();
    let mut boot = 0;
    while Instant::now() < deadline {
        if interrupted() {
            break;
        }
        match log.recv_timeout(LOOK) {
            Ok(Item::Event(event)) => {
                let boot = boot.max(1);
                let event = Event { boot, ..event };
                let ending = if event.kind == "machine.off" {
                    Some(Ending::Off)
                } else {
                    last.contains(&event.kind.as_str())
                        .then(|| Ending::Ended(event.clone()))
                };
                if event.kind == "machine.unsupported" {
                    deadline = deadline.min(Instant::now() + GRACE);
                }
                react(
                    &event,
                    faults,
                    &mut followed.sent,
                    &mut followed.captures,
                    commands,
                )?;
                followed.events.push(event.clone());
                reorder.push(Instant::now(), event);
                if let Some(ending) = ending {
                    followed.ending = ending;
                    break;
                }
            }
            // Where a fatal machine check is expected, what follows the reset is a part of the story.
            Ok(Item::Start)
                if boot > 0
                    && (last.contains(&FATAL) || most_boots.is_some_and(|most| boot > most)) =>
            {
                followed.ending = Ending::Restarted;
                break;
            }
            Ok(Item::Start) => {
                // Its clock may begin anew too.
                reorder.rest().iter().for_each(&mut each);
                boot += 1;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Item::Undecodable) => followed.undecodable += 1,
            Ok(Item::End { noise }) => {
                followed.ending = Ending::Broken(noise);
                break;
            }
            Err(RecvTimeoutError::Disconnected) => {
                followed.ending = Ending::Broken(String::new());
                break;
            }
        }
        reorder.ready(Instant::now()).iter().for_each(&mut each);
    }
    reorder.rest().iter().for_each(&mut each);
    // The terminal signals the emulator too, whose end may be heard of first.
    if interrupted() && followed.ending != Ending::Off {
        followed.ending = Ending::Interrupted;
    }
    Ok(followed)
}

/// Raises the faults that wait for this line.
fn react(
    event: &Event,
    faults: &[Fault],
    sent: &mut [bool],
    captures: &mut Captures,
    commands: &mut dyn Write,
) -> Result<()> {
    let (Some(text), Some(speaker)) = (event.get("text"), event.number("guest")) else {
        return Ok(());
    };
    if event.kind != "guest.console" {
        return Ok(());
    }
    let text = text.to_string();
    for (fault, sent) in faults.iter().zip(sent) {
        let When::After { console, guest } = &fault.when else {
            continue;
        };
        let elsewhere = guest.is_some_and(|guest| guest as u64 != speaker);
        let too_early = event.boot < fault.boot;
        if *sent || too_early || elsewhere || !captures.take(console, &text) {
            continue;
        }
        *sent = true;
        for command in &fault.commands {
            let command = captures
                .fill(command)
                .ok_or_else(|| Error::Input(format!("{command:?} names what was not captured")))?;
            writeln!(commands, "{command}").doing(|| "send a command to the machine".into())?;
        }
        let command = fault.command(captures).ok_or_else(|| {
            Error::Input(format!(
                "the console line {text:?} gives no number for the fault's address"
            ))
        })?;
        writeln!(commands, "{command}")
            .and_then(|()| commands.flush())
            .doing(|| "send the fault to the machine".into())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc::channel;

    use super::*;
    use crate::log::Level;
    use crate::scenario::{Known, Scenario};

    fn faults() -> Vec<Fault> {
        let fault = |re: &str| {
            format!(
                "[[fault]]\nafter = {{ console = '{re}', guest = 'g1' }}\nprocessor = 0\nbank = 1\nstatus = 1\nmcg_status = 5\nhost_physical = '$a'\n"
            )
        };
        let text = format!(
            "title = 't'\n[machine]\nprocessors = 2\n[[guest]]\nimage = 'x'\n[[guest]]\nimage = 'x'\n{}{}[exit]\ng0 = 0\n",
            fault("at (?<a>0x[0-9a-f]+)"),
            fault("again (?<a>\\\\S+)").replace("\\\\", "\\")
        );
        let known = Known {
            images: vec!["x".into()],
            ..Known::default()
        };
        Scenario::parse(Path::new("t.toml"), &text, &known)
            .unwrap()
            .faults
    }

    fn followed(lines: &[&str], end: bool) -> (Result<Followed>, String, Vec<String>) {
        let (sender, log) = channel();
        for line in lines {
            let event = Event::parse(line, Some(1), Level::Info);
            sender.send(Item::Event(event)).unwrap();
        }
        if end {
            let noise = "it said".to_owned();
            sender.send(Item::End { noise }).unwrap();
        }
        let (mut commands, mut shown) = (Vec::new(), Vec::new());
        let followed = follow(
            &log,
            &faults(),
            &FINAL,
            &mut commands,
            Duration::from_millis(100),
            |event| {
                shown.push(event.kind.clone());
            },
        );
        drop(sender);
        (followed, String::from_utf8(commands).unwrap(), shown)
    }

    #[test]
    fn a_fault_is_sent_once_when_the_right_guest_says_the_line() {
        let (followed, sent, shown) = followed(
            &[
                "guest.console cpu=0 guest=0 text=at 0x1000",
                "guest.other cpu=0 guest=1 text=at 0x2000",
                "guest.console cpu=0 guest=1 text=page at 0x3000.",
                "guest.console cpu=0 guest=1 text=page at 0x4000.",
                "machine.off cpu=0",
            ],
            false,
        );
        assert_eq!(
            sent,
            "mce cpu=0 bank=1 status=0x1 mcg_status=0x5 addr=0x3000 misc=0x0\n"
        );
        let followed = followed.unwrap();
        assert_eq!(followed.ending, Ending::Off);
        assert_eq!((followed.events.len(), shown.len()), (5, 5));
    }

    #[test]
    fn an_address_that_is_no_number_is_an_error() {
        let (followed, sent, _) = followed(&["guest.console cpu=0 guest=1 text=again and"], false);
        assert!(followed.unwrap_err().to_string().contains("no number"));
        assert_eq!(sent, "");
    }

    #[test]
    fn a_refusal_ends_the_run_at_once() {
        for kind in FINAL {
            let lines = [
                &format!("{kind} cpu=0 reason=why")[..],
                "a.b",
                "machine.off",
            ];
            let (followed, _, shown) = followed(&lines, false);
            let Ending::Ended(event) = followed.unwrap().ending else {
                panic!("{kind}");
            };
            assert_eq!((event.kind.as_str(), shown.len()), (kind, 1));
        }
    }

    #[test]
    fn a_log_that_begins_anew_is_of_a_machine_that_was_reset() {
        let (sender, log) = channel();
        sender.send(Item::Start).unwrap();
        sender.send(Item::Start).unwrap();
        let time = Duration::from_millis(100);
        let mut sink = std::io::sink();
        let followed = follow(&log, &[], &FINAL, &mut sink, time, |_| {}).unwrap();
        assert_eq!(followed.ending, Ending::Restarted);
    }

    #[test]
    fn a_log_that_ends_or_hangs_is_not_off() {
        assert_eq!(
            followed(&["a.b"], true).0.unwrap().ending,
            Ending::Broken("it said".into())
        );
        assert_eq!(
            followed(&["a.b"], false).0.unwrap().ending,
            Ending::TimedOut
        );
    }
}
