//! Installs the Debian packages that a command needs, where it may, and says what to do where it may not.

mod apt;
pub mod linux;
mod needs;

pub use needs::{Need, Purpose};
use needs::{packages, present};

use crate::error::{Error, Result};

/// Makes sure that everything for these purposes is there. Runs nothing when it is.
///
/// # Errors
/// [`Error::Impossible`] with the exact `apt-get` line, where this user may not install; what `apt-get` said when it failed.
pub fn ensure(purposes: &[Purpose]) -> Result<()> {
    ensure_packages(purposes)?;
    if purposes.contains(&Purpose::Linux) {
        linux::ensure()?;
    }
    Ok(())
}

fn ensure_packages(purposes: &[Purpose]) -> Result<()> {
    let missing = missing(purposes);
    if missing.is_empty() {
        return Ok(());
    }
    let packages = packages(&missing);
    let why: Vec<_> = purposes
        .iter()
        .filter(|purpose| missing.iter().any(|need| need.purposes.contains(purpose)))
        .map(Purpose::words)
        .collect();
    let why = why.join(", ");
    let Some(prefix) = apt::privilege() else {
        return Err(Error::Impossible(format!(
            "missing Debian packages ({why}). Install them with:\n\n    {}\n",
            apt::line(&packages)
        )));
    };
    eprintln!("Installing {} with apt-get ({why}).", packages.join(" "));
    apt::install(prefix, &packages)?;
    match self::missing(purposes).first() {
        None => Ok(()),
        Some(need) => Err(Error::Impossible(format!(
            "apt-get installed {}, but {} is still not there",
            need.package, need.file
        ))),
    }
}

/// What is not there for these purposes.
pub fn missing(purposes: &[Purpose]) -> Vec<Need> {
    needs::missing(purposes, present)
}
