//! Machines in which rows are raised: started when first needed, kept for the rows that follow.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::observed::{Observed, Outcome};
use super::row::{Action, Row};
use crate::emulator::{self, Monitor, Running};
use crate::error::{Doing, Error, Result};
use crate::image::Payload;
use crate::interrupt::interrupted;
use crate::log::{self, Decoder, Event, Item};
use crate::workspace::Artifacts;

/// How long a boot may take, and a row until it is over.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the log is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// Memory of a machine, in MiB.
const MEMORY_MIB: u32 = 128;

/// How long processors wait for each other: long where all come, for an emulator may be slow; short where some never come.
const WAITS: [(bool, u64); 2] = [(false, 20_000_000_000), (true, 1_000_000_000)];

/// A command that is none: its refusal in the log comes after everything that happened before.
const FENCE: &[u8] = b"fence\n";

/// The machines.
pub struct Machines<'a> {
    artifacts: &'a Artifacts,
    running: Vec<(Key, Machine)>,
    /// Which of them goes on.
    turn: Option<usize>,
}

/// Rows with the same key share a machine.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    processors: u16,
    some_never_come: bool,
}

struct Machine {
    // The folder lives as long as the emulator that works in it.
    running: Running,
    monitor: Monitor,
    log: Receiver<Item>,
    processors: u16,
    _work: tempfile::TempDir,
}

impl<'a> Machines<'a> {
    /// None yet.
    pub fn new(artifacts: &'a Artifacts) -> Self {
        Self {
            artifacts,
            running: Vec::new(),
            turn: None,
        }
    }

    /// Raises what a row says, and watches what comes of it.
    ///
    /// # Errors
    /// No machine can be started, or it broke.
    pub fn run(&mut self, row: &Row) -> Result<Outcome> {
        let told = row.told().len();
        let key = Key {
            processors: row.processors,
            some_never_come: told > 0 && told < usize::from(row.processors) && !row.local,
        };
        let place = self.take_turn(key)?;
        let outcome = self.running[place].1.row(row)?;
        // One that is stuck would spoil the rows that follow.
        if matches!(outcome, Outcome::Stuck(_)) {
            self.running.remove(place);
            self.turn = None;
        }
        Ok(outcome)
    }

    /// The place of the machine with that key, started if need be. The others stand still, for each would keep a processor of
    /// the host busy.
    fn take_turn(&mut self, key: Key) -> Result<usize> {
        let place = self.running.iter().position(|(other, _)| *other == key);
        if place.is_some() && place == self.turn {
            return Ok(place.unwrap_or_default());
        }
        if let Some((_, last)) = self.turn.and_then(|last| self.running.get_mut(last)) {
            last.monitor.stop()?;
        }
        let place = match place {
            Some(place) => {
                self.running[place].1.monitor.go_on()?;
                place
            }
            None => {
                self.running
                    .push((key, Machine::start(self.artifacts, key)?));
                self.running.len() - 1
            }
        };
        self.turn = Some(place);
        Ok(place)
    }
}

impl Machine {
    fn start(artifacts: &Artifacts, key: Key) -> Result<Self> {
        let (_, wait) = WAITS[usize::from(key.some_never_come)];
        let payload = Payload {
            kernel_elf: artifacts.kernel.clone(),
            command_line: format!("mca=only rendezvous={wait}"),
            modules: Vec::new(),
        };
        let machine = emulator::Machine {
            processors: key.processors.into(),
            memory_mib: MEMORY_MIB,
            // QEMU has its own.
            banks: 10,
            mcg_cap: 0x100_010a,
            strict_banks: false,
        };
        let work = tempfile::tempdir().doing(|| "make a temporary folder".into())?;
        let decoder = Decoder::new(&crate::error::read(&artifacts.kernel)?)?;
        let (mut running, monitor) = emulator::start_with_monitor(&machine, &payload, work.path())?;
        let bytes = std::mem::replace(&mut running.log, Box::new(io::empty()));
        let mut machine = Self {
            running,
            monitor,
            log: log::read(bytes, decoder),
            processors: key.processors,
            _work: work,
        };
        if !machine.is_up(&mut Observed::default())? {
            return Err(Error::Impossible(format!(
                "the hypervisor does not come up in QEMU with {} processors",
                key.processors
            )));
        }
        Ok(machine)
    }

    fn row(&mut self, row: &Row) -> Result<Outcome> {
        if let Some(said) = self.raise(row)? {
            return Ok(Outcome::NotRaised(said));
        }
        let mut observed = Observed::default();
        let told = row.told().len();
        let polled = if told == 0 { row.records.len() } else { 0 };
        let deadline = Instant::now() + PATIENCE;
        while !observed.restarted && (observed.resumed < told || observed.records.len() < polled) {
            if !self.take(&mut observed, deadline)? {
                return Ok(Outcome::Stuck(observed));
            }
        }
        if !self.is_up(&mut observed)? {
            return Ok(Outcome::Stuck(observed));
        }
        // What the next boot finds comes from every processor.
        let deadline = Instant::now() + Duration::from_secs(5);
        while row.action == Action::Reset
            && observed.earlier.len() < row.wanted().len()
            && self.take(&mut observed, deadline)?
        {}
        Ok(Outcome::Over(observed))
    }

    /// Gives the errors to QEMU; what it says against one. Several reach their processors between the same two instructions.
    fn raise(&mut self, row: &Row) -> Result<Option<String>> {
        let together = row.raise.len() > 1;
        if together {
            self.monitor.stop()?;
        }
        let mut refused = None;
        for raise in &row.raise {
            let said = self.monitor.human(&raise.command())?;
            if !said.is_empty() {
                refused.get_or_insert(said);
            }
        }
        if together {
            self.monitor.go_on()?;
        }
        Ok(refused)
    }

    /// Takes what the log gives next. False when time is up.
    fn take(&mut self, observed: &mut Observed, deadline: Instant) -> Result<bool> {
        while Instant::now() < deadline {
            if let Some(event) = self.next(observed)? {
                observed.take(&event);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The next event, if one comes soon. A new boot is noted.
    fn next(&mut self, observed: &mut Observed) -> Result<Option<Event>> {
        if interrupted() {
            return Err(Error::Interrupted);
        }
        match self.log.recv_timeout(LOOK) {
            Ok(Item::Event(event)) => Ok(Some(event)),
            Ok(Item::Start) => {
                observed.restarted = true;
                Ok(None)
            }
            // A fatal machine check cuts a frame short that another processor is writing.
            Ok(Item::Undecodable) => {
                observed.undecodable += 1;
                Ok(None)
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Ok(Item::End { .. }) | Err(RecvTimeoutError::Disconnected) => Err(Error::Failed {
                program: "QEMU".into(),
                status: "it ended in the middle of the table".into(),
                said: self.running.wait()?,
            }),
        }
    }

    /// Waits until everything that has happened is in the log, and every processor takes machine checks and rests: each
    /// but the first is halted then. False when that takes too long.
    fn is_up(&mut self, observed: &mut Observed) -> Result<bool> {
        let deadline = Instant::now() + PATIENCE;
        while !self.others_rest()? {
            if let Some(event) = self.next(observed)? {
                observed.take(&event);
            }
            if Instant::now() > deadline {
                return Ok(false);
            }
        }
        // The first answer may stand before what a poll of the same moment says; the second does not.
        for _ in 0..2 {
            if !self.fence(observed, deadline)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn fence(&mut self, observed: &mut Observed, deadline: Instant) -> Result<bool> {
        let send = |running: &mut Running| {
            running
                .commands
                .write_all(FENCE)
                .and_then(|()| running.commands.flush())
        };
        send(&mut self.running).doing(|| "send a command to the machine".into())?;
        while Instant::now() < deadline {
            match self.next(observed)? {
                Some(event) if event.kind == "fault.refused" => return Ok(true),
                Some(event) => observed.take(&event),
                None => {}
            }
        }
        Ok(false)
    }

    /// Every processor has CR4.MCE set, and all but the first are halted.
    fn others_rest(&mut self) -> Result<bool> {
        const MCE: u64 = 1 << 6;
        let text = self.monitor.human("info registers -a")?;
        let ready = text
            .split("CPU#")
            .skip(1)
            .enumerate()
            .filter(|(number, registers)| {
                let field = |name: &str| {
                    let (_, after) = registers.split_once(name)?;
                    let digits = after.split_whitespace().next()?;
                    u64::from_str_radix(digits, 16).ok()
                };
                let takes = field("CR4=").is_some_and(|cr4| cr4 & MCE != 0);
                takes && (*number == 0 || field("HLT=") == Some(1))
            });
        Ok(ready.count() == usize::from(self.processors))
    }
}
