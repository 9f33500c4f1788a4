//! What can go wrong before a run has an answer. Exit status 2, usage or environment; 130 for Ctrl-C.

use std::io;
use std::path::{Path, PathBuf};

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program that has to be there is not.
    #[error("`{program}` (Debian package {package}) is missing: run `cargo boot setup`")]
    Missing {
        /// The program or file.
        program: String,
        /// The Debian package that has it.
        package: String,
    },
    /// This machine cannot do what was asked, and no package would change that.
    #[error("{0}")]
    Impossible(String),
    /// The user's input is wrong; the text names the place and the mend.
    #[error("{0}")]
    Input(String),
    /// A program that we ran failed.
    #[error("{program} failed ({status}){}", tail(.said))]
    Failed {
        /// The program and what it was to do.
        program: String,
        /// Its exit status, in words.
        status: String,
        /// The last that it said.
        said: String,
    },
    /// Reading or writing failed.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What we were about to do, such as "read x.toml".
        doing: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The user ended the run (Ctrl-C).
    #[error("interrupted")]
    Interrupted,
}

fn tail(text: &str) -> String {
    if text.trim().is_empty() {
        String::new()
    } else {
        format!(":\n{}", text.trim_end())
    }
}

/// Result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Names what failed in an [`io::Result`].
pub trait Doing<T> {
    /// Adds what we were about to do, such as "start bochs".
    ///
    /// # Errors
    /// The same, as an [`Error::Io`].
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io {
            doing: what(),
            source,
        })
    }
}

/// Reads a whole file.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).doing(|| format!("read {}", path.display()))
}

/// Writes a whole file.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<PathBuf> {
    std::fs::write(path, bytes).doing(|| format!("write {}", path.display()))?;
    Ok(path.to_path_buf())
}
