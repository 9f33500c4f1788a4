//! `cargo boot mce`: an error for a machine that runs in another terminal.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::Answer;
use super::cli::MceArguments;
use super::run::put;
use crate::error::{Doing, Error, Result};
use crate::interrupt::interrupted;
use crate::log::Event;
use crate::run::remote::{Note, heard, reachable};
use crate::scenario::suggestion;
use crate::show::{Json, Timeline};
use crate::workspace::Workspace;

/// How long the machine may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// The engine is done when it has said nothing for so long.
const QUIET: Duration = Duration::from_millis(700);

/// What a shortcut stands for (SDM vol. 3, "Interpreting Machine-Check Error Codes").
struct Shortcut {
    status: u64,
    mcg_status: u64,
    broadcast: bool,
    needs_address: bool,
}

const SRAO: Shortcut = Shortcut {
    status: 0xbd00_0000_0000_00cf,
    mcg_status: 5,
    broadcast: true,
    needs_address: true,
};
const SRAR: Shortcut = Shortcut {
    status: 0xbd80_0000_0000_0134,
    mcg_status: 7,
    broadcast: true,
    needs_address: true,
};
const CORRECTED: Shortcut = Shortcut {
    status: 0x9c00_0000_0000_009f,
    mcg_status: 0,
    broadcast: false,
    needs_address: false,
};
const FATAL: Shortcut = Shortcut {
    status: 0xbe00_0000_0000_0e0f,
    mcg_status: 4,
    broadcast: true,
    needs_address: false,
};

/// ADDRV and MISCV of MCi_STATUS.
const ADDRESS_VALID: u64 = 1 << 58 | 1 << 59;
/// MCi_MISC of a page's physical address: mode 2, LSB 12.
const PAGE: u64 = 0x8c;

/// An error as the injector's command has it.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    cpu: u64,
    bank: u64,
    status: u64,
    mcg_status: u64,
    addr: u64,
    misc: u64,
    guest: Option<usize>,
    broadcast: bool,
}

/// Sends an error and shows what the engine does with it.
///
/// # Errors
/// No machine runs, or the error is none for it.
pub fn mce(arguments: &MceArguments) -> Result<Answer> {
    let workspace = Workspace::find()?;
    let (note, stream) = choose(reachable(&workspace.root), arguments.machine.as_deref())?;
    let fault = fault(arguments, &note)?;
    let command = fault.command();
    (&stream)
        .write_all(format!("{command}\n").as_bytes())
        .doing(|| format!("send the error to {}", note.scenario))?;
    eprintln!("sent to {}: {command}", note.scenario);
    listen(arguments.json, &note, &fault, stream)
}

fn choose(mut machines: Vec<(Note, UnixStream)>, name: Option<&str>) -> Result<(Note, UnixStream)> {
    let names: Vec<_> = machines
        .iter()
        .map(|(note, _)| note.scenario.clone())
        .collect();
    if names.is_empty() {
        return Err(Error::Impossible(
            "no machine runs: start one in another terminal, `cargo boot run broadcast-srao --hold`".into(),
        ));
    }
    if let Some(name) = name {
        machines.retain(|(note, _)| note.scenario == name);
    }
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    match (machines.len(), name) {
        (1, _) => Ok(machines.remove(0)),
        (0, name) => {
            let name = name.unwrap_or_default();
            let help = suggestion(name, &names);
            Err(Error::Input(format!("no machine runs `{name}`; {help}")))
        }
        (_, Some(name)) => Err(Error::Input(format!(
            "several machines run `{name}`: end all but one"
        ))),
        (_, None) => Err(Error::Input(format!(
            "several machines run: choose one with --machine ({})",
            names.join(", ")
        ))),
    }
}

/// The error that the arguments mean, for that machine.
fn fault(arguments: &MceArguments, note: &Note) -> Result<Fault> {
    let fault = match arguments.words[..] {
        [cpu, bank, status, mcg_status, addr, misc] => Fault {
            cpu,
            bank,
            status,
            mcg_status,
            addr,
            misc,
            guest: None,
            broadcast: arguments.broadcast,
        },
        _ => shortcut(arguments, note)?,
    };
    let most = |what: &str, is: u64, count: u64| {
        if is < count {
            return Ok(());
        }
        let last = count - 1;
        let message = format!(
            "{} has no {what} {is}: its {what}s are 0 to {last}",
            note.scenario
        );
        Err(Error::Input(message))
    };
    most("processor", fault.cpu, note.processors.into())?;
    most("bank", fault.bank, note.banks.into())?;
    Ok(fault)
}

fn shortcut(arguments: &MceArguments, note: &Note) -> Result<Fault> {
    let chosen = match (arguments.srao, arguments.srar, arguments.ce) {
        (true, ..) => SRAO,
        (_, true, _) => SRAR,
        (.., true) => CORRECTED,
        _ => FATAL,
    };
    let (guest, addr) = match (&arguments.at_guest, arguments.at) {
        (Some((name, gpa)), _) => (Some(number_of(name, note)?), Some(*gpa)),
        (None, at) => (None, at),
    };
    if addr.is_none() && chosen.needs_address {
        return Err(Error::Input(
            "where? `--at-guest GUEST:GPA` (a guest of the tests says `page 0x...` on its console), or `--at ADDR`".into(),
        ));
    }
    let with = if addr.is_some() { ADDRESS_VALID } else { 0 };
    Ok(Fault {
        cpu: arguments.cpu,
        bank: arguments.bank,
        status: chosen.status & !ADDRESS_VALID | with,
        mcg_status: chosen.mcg_status,
        addr: addr.unwrap_or(0),
        misc: if addr.is_some() { PAGE } else { 0 },
        guest,
        broadcast: chosen.broadcast || arguments.broadcast,
    })
}

fn number_of(guest: &str, note: &Note) -> Result<usize> {
    let names: Vec<_> = note.guests.iter().map(String::as_str).collect();
    names.iter().position(|name| *name == guest).ok_or_else(|| {
        let help = suggestion(guest, &names);
        Error::Input(format!("{} has no guest `{guest}`; {help}", note.scenario))
    })
}

impl Fault {
    /// The injector's command (docs/boot-protocol.md).
    fn command(&self) -> String {
        let Self {
            cpu,
            bank,
            status,
            mcg_status,
            addr,
            misc,
            guest,
            broadcast,
        } = self;
        let at = if self.has_consumer() { "at=guest " } else { "" };
        let guest = guest.map_or_else(String::new, |guest| format!(" guest={guest}"));
        let flag = if *broadcast { " broadcast" } else { "" };
        format!(
            "{at}mce cpu={cpu} bank={bank} status={status:#x} mcg_status={mcg_status:#x} addr={addr:#x} misc={misc:#x}{guest}{flag}"
        )
    }

    /// Whether a vCPU of the guest that is named has to meet the error: it waits until one runs on that processor.
    fn has_consumer(&self) -> bool {
        /// The interrupted instruction met the error (SDM vol. 3, "IA32_MCG_STATUS MSR").
        const EIPV: u64 = 1 << 1;
        self.guest.is_some() && self.mcg_status & EIPV != 0
    }

    /// Whether the machine has raised this one.
    fn is_raised_by(&self, event: &Event) -> bool {
        event.kind == "fault.raised"
            && event.number("target") == Some(self.cpu)
            && event.number("bank") == Some(self.bank)
            && event.number("status") == Some(self.status)
    }
}

fn say_who_was_to_meet_it(note: &Note, fault: &Fault) {
    let guest = fault.guest.and_then(|guest| note.guests.get(guest));
    eprintln!(
        "no vCPU of {} runs on processor {}: name the processor of one with --cpu, or send an error that nobody has to meet with --srao",
        guest.map_or("the guest", String::as_str),
        fault.cpu
    );
}

/// Shows what comes of it until the engine is quiet.
fn listen(as_json: bool, note: &Note, fault: &Fault, stream: UnixStream) -> Result<Answer> {
    let mut json = Json::default();
    let timeline = Timeline::new(note.guests.iter().cloned());
    let doing = || format!("listen to {}", note.scenario);
    stream
        .set_read_timeout(Some(Duration::from_millis(50)))
        .doing(doing)?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    let mut raised = false;
    let mut heard_at = Instant::now();
    loop {
        if interrupted() {
            return Err(Error::Interrupted);
        }
        if heard_at.elapsed() > if raised { QUIET } else { ANSWERS_WITHIN } {
            break;
        }
        match reader.read_line(&mut line) {
            Ok(0) => {
                eprintln!("{} has ended", note.scenario);
                break;
            }
            Ok(_) => {}
            // A part of a line stays where it is.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                continue;
            }
            Err(error) => return Err(error).doing(doing),
        }
        let event = heard(line.trim_end());
        line.clear();
        let Some(event) = event else { continue };
        json.hear(&event);
        raised |= fault.is_raised_by(&event);
        let refused = event.kind == "fault.refused" && !raised;
        if raised || refused {
            heard_at = Instant::now();
            put(&if as_json {
                json.line(&event)
            } else {
                timeline.line(&event)
            });
        }
        if refused {
            if event
                .get("reason")
                .is_some_and(|reason| reason.to_string() == "no-consumer")
            {
                say_who_was_to_meet_it(note, fault);
            }
            return Ok(Answer::No);
        }
    }
    if !raised {
        eprintln!("{} has not raised it", note.scenario);
        return Ok(Answer::No);
    }
    Ok(Answer::Yes)
}
