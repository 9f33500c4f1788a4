//! An emulator that runs.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Child;

use crate::error::{Doing, Result};

/// An emulator that runs. Dropping it ends it.
pub struct Running {
    /// The defmt stream as its bytes come. Ends when the emulator ends.
    pub log: Box<dyn Read + Send>,
    /// The machine's COM1, input: fault commands.
    pub commands: Box<dyn Write + Send>,
    pub(super) child: Child,
    /// The files with the emulator's own messages; the first that says anything counts.
    messages: Vec<PathBuf>,
}

impl Running {
    pub(super) fn new(
        child: Child,
        log: impl Read + Send + 'static,
        commands: Box<dyn Write + Send>,
        messages: Vec<PathBuf>,
    ) -> Self {
        Self {
            log: Box::new(log),
            commands,
            child,
            messages,
        }
    }

    /// Ends the emulator, if it still runs.
    pub fn kill(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for the emulator to end by itself; the text is what its own messages end with, for when it ended early.
    ///
    /// # Errors
    /// When waiting fails.
    pub fn wait(&mut self) -> Result<String> {
        self.child.wait().doing(|| "wait for the emulator".into())?;
        let texts = self
            .messages
            .iter()
            .filter_map(|path| std::fs::read(path).ok());
        let mut gists = texts.map(|text| gist(&String::from_utf8_lossy(&text)));
        Ok(gists.find(|gist| !gist.is_empty()).unwrap_or_default())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What matters of an emulator's messages: why it gave up, else how it ended.
fn gist(messages: &str) -> String {
    const LINES: usize = 12;
    let panics: Vec<_> = messages
        .lines()
        .filter(|line| line.contains("PANIC"))
        .collect();
    let lines = if panics.is_empty() {
        messages.lines().collect()
    } else {
        panics
    };
    let last = &lines[lines.len().saturating_sub(LINES)..];
    last.iter().flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::gist;

    #[test]
    fn the_gist_is_the_panic_or_the_end() {
        let many: String = (0..100).map(|line| format!("line {line}\n")).collect();
        assert!(gist(&many).starts_with("line 88\n") && gist(&many).ends_with("line 99\n"));
        assert_eq!(gist(&format!(">>PANIC<< why\n{many}")), ">>PANIC<< why\n");
        assert_eq!(gist(""), "");
    }
}
