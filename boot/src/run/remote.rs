//! A second terminal's way to a running machine: fault commands in, events out, over a Unix socket.
//!
//! A run that can be reached leaves a note under `target/boot`, with what a sender has to know and where the socket is. Whoever
//! connects sends command lines (docs/boot-protocol.md) and gets every event from then on, a line each.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Doing, Result};
use crate::log::{Event, Level};
use crate::scenario::Scenario;

/// What a sender has to know of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The scenario that runs there.
    pub scenario: String,
    /// How many processors it has.
    pub processors: u32,
    /// Banks of each.
    pub banks: u8,
    /// The guests' names, in order.
    pub guests: Vec<String>,
    /// The socket.
    pub socket: PathBuf,
}

type Writer = Box<dyn Write + Send>;

/// The way to a running machine. Closed when dropped.
pub struct Remote {
    note: PathBuf,
    machine: Arc<Mutex<Writer>>,
    listeners: Arc<Mutex<Listeners>>,
    _work: tempfile::TempDir,
}

/// Those who are told.
#[derive(Default)]
struct Listeners {
    streams: Vec<UnixStream>,
    /// The last event that says what time it is: whoever comes later is told of it first.
    clock: Option<String>,
}

/// A listener that takes no event for so long is left behind.
const LISTENS_WITHIN: Duration = Duration::from_millis(200);

impl Remote {
    /// Opens the way, to a machine that is yet to be started.
    ///
    /// # Errors
    /// When the system refuses a file or a socket.
    pub fn open(workspace: &Path, scenario: &Scenario) -> Result<Self> {
        let work = tempfile::tempdir().doing(|| "make a temporary folder".into())?;
        let socket = work.path().join("commands");
        let doing = || "listen for commands".to_owned();
        let listener = UnixListener::bind(&socket).doing(doing)?;
        let note = Note {
            scenario: scenario.name.clone(),
            processors: scenario.machine.processors,
            banks: scenario.machine.banks,
            guests: scenario
                .guests
                .iter()
                .map(|guest| guest.name.clone())
                .collect(),
            socket,
        };
        let folder = notes(workspace);
        std::fs::create_dir_all(&folder).doing(|| format!("make {}", folder.display()))?;
        let path = folder.join(format!("{}.{}.json", note.scenario, std::process::id()));
        crate::error::write(&path, serde_json::to_string(&note).unwrap_or_default())?;
        let remote = Self {
            note: path,
            machine: Arc::new(Mutex::new(Box::new(std::io::sink()))),
            listeners: Arc::default(),
            _work: work,
        };
        let (machine, listeners) = (remote.machine.clone(), remote.listeners.clone());
        std::thread::spawn(move || accept(&listener, &machine, &listeners));
        Ok(remote)
    }

    /// Takes over a machine's commands; whoever had them gets a share.
    pub fn share(&self, commands: Writer) -> Writer {
        *lock(&self.machine) = commands;
        Box::new(Share(self.machine.clone()))
    }

    /// Tells those who listen.
    pub fn tell(&self, event: &Event) {
        let line = written(event);
        let mut listeners = lock(&self.listeners);
        listeners
            .streams
            .retain_mut(|listener| writeln!(listener, "{line}").is_ok());
        if event.kind == "hypervisor.clock" {
            listeners.clock = Some(line);
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // One that is gone already is no matter, and one that stays is found to be stale.
        let _ = std::fs::remove_file(&self.note);
    }
}

fn accept(listener: &UnixListener, machine: &Arc<Mutex<Writer>>, listeners: &Mutex<Listeners>) {
    for stream in listener.incoming().flatten() {
        let Ok(mut events) = stream.try_clone() else {
            continue;
        };
        if events.set_write_timeout(Some(LISTENS_WITHIN)).is_err() {
            continue;
        }
        let mut listeners = lock(listeners);
        if let Some(clock) = &listeners.clock
            && writeln!(events, "{clock}").is_err()
        {
            continue;
        }
        listeners.streams.push(events);
        drop(listeners);
        let machine = machine.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(|line| line.ok()) {
                // A machine that has gone away says so by its log.
                let _ = writeln!(Share(machine.clone()), "{line}");
            }
        });
    }
}

/// A share of a machine's commands. A line that is written at once stays whole.
struct Share(Arc<Mutex<Writer>>);

impl Write for Share {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        lock(&self.0).write(bytes)
    }

    fn write_fmt(&mut self, arguments: std::fmt::Arguments<'_>) -> std::io::Result<()> {
        let mut machine = lock(&self.0);
        machine.write_all(arguments.to_string().as_bytes())?;
        machine.flush()
    }

    fn flush(&mut self) -> std::io::Result<()> {
        lock(&self.0).flush()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the notes are.
fn notes(workspace: &Path) -> PathBuf {
    workspace.join("target/boot")
}

/// The machines that can be reached; notes of others are thrown away.
pub fn reachable(workspace: &Path) -> Vec<(Note, UnixStream)> {
    let entries = std::fs::read_dir(notes(workspace)).into_iter().flatten();
    let mut found = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        let Ok(note) = serde_json::from_str::<Note>(&text) else {
            continue;
        };
        match UnixStream::connect(&note.socket) {
            Ok(stream) => found.push((note, stream)),
            // Whoever wrote it was killed.
            Err(_) => _ = std::fs::remove_file(&path),
        }
    }
    found.sort_by(|(a, _), (b, _)| a.scenario.cmp(&b.scenario));
    found
}

/// An event as it is told: time, level, boot, text.
fn written(event: &Event) -> String {
    let time = event.t.map_or_else(|| "-".to_owned(), |t| t.to_string());
    let level = match event.level {
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    let text = event.to_string().replace(['\n', '\r'], " ");
    format!("{time} {level} {} {text}", event.boot)
}

/// The event that was told so.
pub fn heard(line: &str) -> Option<Event> {
    let mut words = line.splitn(4, ' ');
    let time = words.next()?.parse().ok();
    let level = match words.next()? {
        "info" => Level::Info,
        "warn" => Level::Warn,
        "error" => Level::Error,
        _ => return None,
    };
    let boot = words.next()?.parse().ok()?;
    let event = Event::parse(words.next()?, time, level);
    Some(Event { boot, ..event })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Known;

    fn scenario() -> Scenario {
        let text =
            "title = 't'\n[machine]\nprocessors = 2\n[[guest]]\nimage = 'x'\n[exit]\ng0 = 0\n";
        let known = Known {
            images: vec!["x".into()],
            ..Known::default()
        };
        Scenario::parse(Path::new("held.toml"), text, &known).unwrap()
    }

    #[test]
    fn commands_go_in_and_events_come_out() {
        let workspace = tempfile::tempdir().unwrap();
        assert!(reachable(workspace.path()).is_empty());
        let remote = Remote::open(workspace.path(), &scenario()).unwrap();
        let (machine, mut own) = UnixStream::pair().unwrap();
        let mut share = remote.share(Box::new(machine));
        let clock = Event::parse("hypervisor.clock cpu=0", Some(3), Level::Info);
        remote.tell(&clock);
        let mut found = reachable(workspace.path());
        let (note, mut stream) = found.pop().unwrap();
        assert_eq!((note.scenario.as_str(), note.guests.len()), ("held", 1));

        // From the run itself, and from the other terminal.
        writeln!(share, "first").unwrap();
        writeln!(stream, "mce cpu=0").unwrap();
        let mut lines = BufReader::new(&mut own).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "first");
        assert_eq!(lines.next().unwrap().unwrap(), "mce cpu=0");

        let event = Event::parse("mc.resumed cpu=1", Some(7), Level::Warn);
        remote.tell(&event);
        let told: Vec<_> = BufReader::new(&mut stream)
            .lines()
            .take(2)
            .map(|line| heard(&line.unwrap()))
            .collect();
        assert_eq!(told, [Some(clock), Some(event)]);

        // The machine is gone, and so is its note; one that was left behind is thrown away.
        let left = notes(workspace.path()).join("left.json");
        std::fs::copy(&remote.note, &left).unwrap();
        drop(remote);
        assert!(reachable(workspace.path()).is_empty());
        assert!(!left.exists());
    }

    #[test]
    fn what_is_no_event_is_none() {
        for line in ["", "1 info", "1 loud 1 a.b", "x info 1"] {
            assert_eq!(heard(line), None, "{line}");
        }
    }
}
