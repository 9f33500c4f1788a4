//! Stock Linux: the distribution's kernel, unpacked below target/ and never installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::apt;
use crate::error::{Doing, Error, Result};
use crate::progress::Progress;
use crate::workspace::Workspace;

/// The packages that depend on the distribution's kernel: Debian's, Ubuntu's.
const CURRENT: [&str; 2] = ["linux-image-amd64", "linux-image-generic"];

/// The folder for it.
fn folder() -> Result<PathBuf> {
    Ok(Workspace::find()?.root.join("target/linux"))
}

/// The kernel's file, if it is there.
///
/// # Errors
/// The workspace cannot be found.
pub fn kernel() -> Result<Option<PathBuf>> {
    let files = std::fs::read_dir(folder()?.join("boot"))
        .into_iter()
        .flatten();
    let mut kernels: Vec<_> = files.flatten().map(|file| file.path()).collect();
    kernels.sort();
    Ok(kernels.pop())
}

/// Gets it, unless it is there.
///
/// # Errors
/// What apt-get says, or that this is no Debian.
pub fn ensure() -> Result<()> {
    if kernel()?.is_some() {
        return Ok(());
    }
    eprintln!("Getting the distribution's Linux (to see what it does with machine checks).");
    let _progress = Progress::start("apt-get download");
    let folder = folder()?;
    std::fs::create_dir_all(&folder).doing(|| format!("make {}", folder.display()))?;
    let package = match package()? {
        Some(package) => package,
        None => {
            // A machine that has never asked for the lists.
            if let Some(prefix) = apt::privilege() {
                apt::update(prefix)?;
            }
            package()?.ok_or_else(|| {
                Error::Impossible(format!(
                    "apt-cache knows none of {}: is this Debian or Ubuntu, and was `sudo apt-get update` run?",
                    CURRENT.join(", ")
                ))
            })?
        }
    };
    let work = tempfile::tempdir_in(&folder).doing(|| "make a temporary folder".into())?;
    let download = |package: &str| {
        said(
            Command::new("apt-get")
                .args(["download", package])
                .current_dir(work.path()),
        )
    };
    if let Err(error) = download(&package) {
        // Lists that are old name a kernel that is no longer offered.
        let prefix = apt::privilege().ok_or(error)?;
        apt::update(prefix)?;
        download(&self::package()?.unwrap_or(package.clone()))?;
    }
    let script = "dpkg-deb --fsys-tarfile ./*.deb | tar -x --wildcards './boot/vmlinuz-*'";
    said(
        Command::new("sh")
            .args(["-c", script])
            .current_dir(work.path()),
    )?;
    let (from, to) = (work.path().join("boot"), folder.join("boot"));
    std::fs::rename(&from, &to).doing(|| format!("write {}", to.display()))?;
    match kernel()? {
        Some(_) => Ok(()),
        None => Err(Error::Impossible(format!("{package} holds no kernel"))),
    }
}

/// The package that holds the current kernel.
fn package() -> Result<Option<String>> {
    for current in CURRENT {
        let depends =
            said(Command::new("apt-cache").args(["depends", current])).unwrap_or_default();
        if let Some(package) = image(&depends) {
            return Ok(Some(package));
        }
    }
    Ok(None)
}

/// `  Depends: linux-image-6.1.0-56-amd64`
fn image(depends: &str) -> Option<String> {
    let mut packages = depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "));
    packages
        .find(|package| package.starts_with("linux-image-"))
        .map(str::to_owned)
}

/// Runs a program; what it says.
fn said(command: &mut Command) -> Result<String> {
    let program = Path::new(command.get_program()).display().to_string();
    let output = command
        .stdin(Stdio::null())
        .output()
        .doing(|| format!("start {program}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Failed {
        program,
        status: output.status.to_string(),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::image;

    #[test]
    fn the_kernels_package_is_what_the_current_one_depends_on() {
        let text = "linux-image-amd64\n  Depends: linux-image-6.1.0-56-amd64\n  Breaks: x\n";
        assert_eq!(image(text).as_deref(), Some("linux-image-6.1.0-56-amd64"));
        assert_eq!(image("linux-image-amd64\n"), None);
    }
}
