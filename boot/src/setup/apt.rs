//! `apt-get`.

use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use crate::error::{Doing, Error, Result};
use crate::progress::Progress;

/// What to put before `apt-get`: nothing for root, `sudo -n` where that needs no password, `None` where neither holds.
pub fn privilege() -> Option<&'static [&'static str]> {
    if !quietly(Command::new("apt-get").arg("--version")) {
        return None;
    }
    let root = std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
    if root {
        Some(&[])
    } else if quietly(Command::new("sudo").args(["-n", "true"])) {
        Some(&["sudo", "-n"])
    } else {
        None
    }
}

/// The line for a user to run.
pub fn line(packages: &[&str]) -> String {
    format!(
        "sudo apt-get update && sudo apt-get install -y --no-install-recommends {}",
        packages.join(" ")
    )
}

/// Brings the lists up to date.
pub fn update(prefix: &[&str]) -> Result<()> {
    run(prefix, &["update"])
}

/// Brings the lists up to date once and installs.
pub fn install(prefix: &[&str], packages: &[&str]) -> Result<()> {
    let _progress = Progress::start("apt-get");
    update(prefix)?;
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(packages);
    run(prefix, &arguments)
}

fn run(prefix: &[&str], arguments: &[&str]) -> Result<()> {
    // Through `env`, since sudo drops the environment.
    let words = [
        prefix,
        &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"],
        arguments,
    ]
    .concat();
    let output = Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .output()
        .doing(|| "start apt-get".into())?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Failed {
        program: format!("apt-get {}", arguments.join(" ")),
        status: output.status.to_string(),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn quietly(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn the_line_can_be_pasted() {
        let line = line(&["bochs", "xorriso"]);
        assert!(
            line.contains("apt-get update && ") && line.ends_with(" bochs xorriso"),
            "{line}"
        );
    }
}
