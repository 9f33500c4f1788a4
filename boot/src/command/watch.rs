//! `cargo boot watch`: the log of a machine that something else runs.

use std::fs::File;
use std::io::{Read, Write, stdin};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use super::Answer;
use super::cli::WatchArguments;
use super::image::check_place;
use super::run::put;
use crate::error::{Doing, Error, Result, read};
use crate::log::{self, Decoder, Event};
use crate::run::{Ending, follow};
use crate::show::{Json, Recorder, Timeline};
use crate::workspace::Workspace;

/// For ever, as far as a watcher is concerned.
const ALWAYS: Duration = Duration::from_secs(u32::MAX as u64);

/// Shows a log until it ends or the machine goes off.
///
/// # Errors
/// No image, no such source, Ctrl-C.
pub fn watch(arguments: &WatchArguments) -> Result<Answer> {
    let image = match &arguments.image {
        Some(image) => image.clone(),
        None => Workspace::find()?.build()?.kernel,
    };
    let decoder = Decoder::new(&read(&image)?)?;
    let mut records = arguments.mcelog.as_deref().map(Records::open).transpose()?;
    let log = log::read(open(&arguments.source)?, decoder);
    let timeline = Timeline::default();
    let mut json = Json::default();
    let mut unwritten = None;
    let followed = follow(&log, &[], &[], &mut std::io::sink(), ALWAYS, |event| {
        put(&if arguments.json {
            json.line(event)
        } else {
            timeline.line(event)
        });
        if let Some(records) = &mut records
            && let Err(error) = records.hear(event)
        {
            unwritten.get_or_insert(error);
        }
    })?;
    if let Some(error) = unwritten {
        return Err(error);
    }
    if followed.undecodable > 0 {
        eprintln!(
            "{} frames could not be decoded: is it the image that runs there?",
            followed.undecodable
        );
    }
    let cannot_run = followed
        .events
        .iter()
        .any(|event| matches!(event.kind.as_str(), "machine.unsupported" | "boot.refused"));
    match followed.ending {
        Ending::Broken(_) if followed.events.is_empty() => {
            eprintln!("{} ended without a log", called(&arguments.source));
            Ok(Answer::No)
        }
        _ if cannot_run => Ok(Answer::No),
        Ending::Interrupted => Err(Error::Interrupted),
        _ => Ok(Answer::Yes),
    }
}

/// A file that takes error records as they come: a watch has no end but Ctrl-C.
struct Records {
    path: PathBuf,
    file: File,
    recorder: Recorder,
}

impl Records {
    /// What the file holds already stays.
    fn open(path: &Path) -> Result<Self> {
        check_place(path)?;
        let file = File::options()
            .append(true)
            .create(true)
            .open(path)
            .doing(|| format!("write {}", path.display()))?;
        Ok(Self {
            path: path.into(),
            file,
            recorder: Recorder::default(),
        })
    }

    fn hear(&mut self, event: &Event) -> Result<()> {
        let now = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        let Some(record) = self.recorder.hear(event, now) else {
            return Ok(());
        };
        self.file
            .write_all(&record)
            .doing(|| format!("write {}", self.path.display()))
    }
}

/// A source as a user calls it.
fn called(source: &str) -> &str {
    if source == "-" {
        "standard input"
    } else {
        source
    }
}

fn open(source: &str) -> Result<Box<dyn Read + Send>> {
    if source == "-" {
        return Ok(Box::new(stdin()));
    }
    let path = Path::new(source);
    let kind = std::fs::metadata(path)
        .doing(|| format!("open {source}"))?
        .file_type();
    if kind.is_socket() {
        return Ok(Box::new(
            UnixStream::connect(path).doing(|| format!("connect to {source}"))?,
        ));
    }
    if kind.is_dir() {
        return Err(Error::Input(format!(
            "{source} is a folder: name a device, a socket, a file or -"
        )));
    }
    if kind.is_char_device() {
        make_raw(source)?;
    }
    Ok(Box::new(
        File::open(path).doing(|| format!("open {source}"))?,
    ))
}

/// A serial line at the hypervisor's rate, without the terminal's own ideas about bytes.
fn make_raw(device: &str) -> Result<()> {
    let output = Command::new("stty")
        .args([
            "-F", device, "115200", "raw", "cs8", "-parenb", "-cstopb", "-echo",
        ])
        .stdin(Stdio::null())
        .output()
        .doing(|| "start stty".into())?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Failed {
        program: format!("stty -F {device}"),
        status: output.status.to_string(),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
