//! Programs of the system: found before they are started, and never left behind.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};

/// Finds a program in `PATH`, or a file or folder by its absolute path.
///
/// # Errors
/// [`Error::Missing`] with the Debian package that has it.
pub fn need(name: &str, package: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // An absolute name replaces the folder that it is joined to.
    let mut places = env::split_paths(&path)
        .chain([PathBuf::from("/")])
        .map(|folder| folder.join(name));
    places
        .find(|place| place.exists())
        .ok_or_else(|| Error::Missing {
            program: name.into(),
            package: package.into(),
        })
}

/// A command that the system kills when the calling thread ends: no emulator outlives its run, not even one that was
/// killed itself.
pub fn bound_to_this_thread(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

#[cfg(test)]
mod tests {
    use super::need;

    #[test]
    fn programs_and_files_are_found_or_named_with_their_package() {
        assert!(need("sh", "dash").unwrap().ends_with("sh"));
        assert!(need("/usr", "base-files").is_ok());
        let error = need("no-such-program", "some-package")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("no-such-program") && error.contains("some-package"),
            "{error}"
        );
    }
}
