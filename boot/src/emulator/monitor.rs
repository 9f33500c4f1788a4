//! QEMU's monitor, over QMP on a Unix socket: a JSON object each line, an answer to each command, events between them.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::{Doing, Error, Result};

/// QEMU makes its socket before it runs the first instruction.
const CONNECTS_WITHIN: Duration = Duration::from_secs(20);

/// How long an answer may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// A connection to a monitor.
pub struct Monitor {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Monitor {
    /// Connects as soon as the socket is there; `alive` says whether the emulator still runs.
    ///
    /// # Errors
    /// The emulator ended, or makes no socket in time.
    pub fn connect(socket: &Path, mut alive: impl FnMut() -> bool) -> Result<Self> {
        let doing = || "connect to the emulator's monitor".to_owned();
        let start = Instant::now();
        let stream = loop {
            match UnixStream::connect(socket) {
                Ok(stream) => break stream,
                Err(error) if !alive() || start.elapsed() > CONNECTS_WITHIN => {
                    return Err(error).doing(doing);
                }
                Err(_) => sleep(Duration::from_millis(5)),
            }
        };
        stream.set_read_timeout(Some(ANSWERS_WITHIN)).doing(doing)?;
        let writer = stream.try_clone().doing(doing)?;
        let mut monitor = Self {
            reader: BufReader::new(stream),
            writer,
        };
        monitor.line()?; // The greeting.
        monitor.execute("qmp_capabilities", json!({}))?;
        Ok(monitor)
    }

    /// Runs a command of the human monitor, such as `info registers -a`; what it says.
    ///
    /// # Errors
    /// The connection broke.
    pub fn human(&mut self, command: &str) -> Result<String> {
        let answer = self.execute("human-monitor-command", json!({"command-line": command}))?;
        Ok(answer.as_str().unwrap_or_default().trim().to_owned())
    }

    /// Stops every processor between two instructions.
    ///
    /// # Errors
    /// The connection broke.
    pub fn stop(&mut self) -> Result<()> {
        self.execute("stop", json!({})).map(drop)
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// The connection broke.
    pub fn go_on(&mut self) -> Result<()> {
        self.execute("cont", json!({})).map(drop)
    }

    /// Writes the whole machine, which is stopped, to a file.
    ///
    /// # Errors
    /// The connection broke, or the file cannot be written.
    pub fn save(&mut self, file: &Path) -> Result<()> {
        let to = format!("exec:cat > {}", file.display());
        self.execute("migrate", json!({"uri": to}))?;
        loop {
            match self.execute("query-migrate", json!({}))?["status"].as_str() {
                Some("completed") => return Ok(()),
                Some("failed" | "cancelled") => {
                    let what = format!("QEMU cannot save its machine to {}", file.display());
                    return Err(Error::Impossible(what));
                }
                _ => sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Waits until a machine that begins from a file is there.
    ///
    /// # Errors
    /// The connection broke: the file holds no machine.
    pub fn wait_until_loaded(&mut self) -> Result<()> {
        while self.execute("query-status", json!({}))?["status"] == "inmigrate" {
            sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let request = json!({"execute": command, "arguments": arguments});
        writeln!(self.writer, "{request}")
            .doing(|| format!("send `{command}` to QEMU's monitor"))?;
        loop {
            let mut answer = self.line()?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                return Err(Error::Impossible(format!(
                    "QEMU's monitor refuses `{command}`: {}",
                    error["desc"].as_str().unwrap_or("no reason given")
                )));
            }
            // An event.
        }
    }

    fn line(&mut self) -> Result<Value> {
        let doing = || "read from QEMU's monitor".to_owned();
        let mut line = String::new();
        if self.reader.read_line(&mut line).doing(doing)? == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)).doing(doing);
        }
        serde_json::from_str(&line).map_err(|why| {
            Error::Impossible(format!(
                "QEMU's monitor says what is no JSON ({why}): {line}"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn answers_are_told_from_events_and_refusals() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("monitor");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut out = stream.try_clone().unwrap();
            let mut lines = BufReader::new(stream).lines();
            let mut heard = Vec::new();
            writeln!(out, r#"{{"QMP": {{}}}}"#).unwrap();
            for answer in [
                r#"{"return": {}}"#,
                "{\"event\": \"RESUME\"}\n{\"return\": \"Invalid MCE bank number\\r\\n\"}",
                r#"{"error": {"class": "GenericError", "desc": "no"}}"#,
            ] {
                heard.push(lines.next().unwrap().unwrap());
                writeln!(out, "{answer}").unwrap();
            }
            heard
        });
        let mut monitor = Monitor::connect(&path, || true).unwrap();
        assert_eq!(monitor.human("mce 0").unwrap(), "Invalid MCE bank number");
        assert!(monitor.stop().unwrap_err().to_string().ends_with(": no"));
        let heard = server.join().unwrap();
        assert!(heard[1].contains(r#""command-line":"mce 0""#), "{heard:?}");
    }

    #[test]
    fn an_emulator_that_has_ended_is_not_waited_for() {
        assert!(Monitor::connect(Path::new("/nowhere/monitor"), || false).is_err());
    }
}
