//! The workspace that this tool belongs to, and what cargo builds from it.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::check_image;
use crate::error::{Doing, Error, Result, read};
use crate::progress::Progress;

/// The workspace.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Its folder.
    pub root: PathBuf,
}

/// What a run boots.
#[derive(Clone, Debug)]
pub struct Artifacts {
    /// The hypervisor's ELF.
    pub kernel: PathBuf,
    guests: Vec<PathBuf>,
}

impl Artifacts {
    /// The ELF of a guest program.
    ///
    /// # Errors
    /// It was not built.
    pub fn guest(&self, name: &str) -> Result<&Path> {
        self.guests
            .iter()
            .find(|path| path.file_name().is_some_and(|file| file == name))
            .map(PathBuf::as_path)
            .ok_or_else(|| Error::Impossible(format!("cargo built no guest program `{name}`")))
    }
}

impl Workspace {
    /// The workspace whose `boot` package this is.
    ///
    /// # Errors
    /// It is no longer where it was when this tool was built.
    pub fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let root = root
            .canonicalize()
            .doing(|| format!("find the workspace of this tool at {}", root.display()))?;
        Ok(Self { root })
    }

    /// Builds the image and the guests, and checks the image.
    ///
    /// # Errors
    /// What cargo says, or what the image gets wrong.
    pub fn build(&self) -> Result<Artifacts> {
        let _progress = Progress::start("building the hypervisor and the guests");
        let mut cargo = self.cargo();
        cargo.args([
            "build",
            "--profile",
            "image",
            "-p",
            "kernel",
            "-p",
            "guests",
        ]);
        cargo.args([
            "--features",
            "kernel/faults",
            "--message-format",
            "json-render-diagnostics",
        ]);
        if std::io::stderr().is_terminal() {
            cargo.args(["--color", "always"]);
        }
        let output = cargo.output().doing(|| "start cargo".into())?;
        if !output.status.success() {
            return Err(Error::Failed {
                program: "cargo build of the image".into(),
                status: output.status.to_string(),
                said: String::from_utf8_lossy(&output.stderr).into_owned(),
            });
        }
        let artifacts = artifacts(&String::from_utf8_lossy(&output.stdout))?;
        check_image::check(&read(&artifacts.kernel)?)?;
        Ok(artifacts)
    }

    /// Cargo, in this workspace.
    pub fn cargo(&self) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&self.root).stdin(Stdio::null());
        // Cargo sets these for the package whose program or test this is; inherited, they would make it rebuild.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST") {
                cargo.env_remove(&name);
            }
        }
        cargo
    }
}

/// Finds the programs in cargo's messages, a JSON object each line.
fn artifacts(messages: &str) -> Result<Artifacts> {
    let mut kernel = None;
    let mut guests = Vec::new();
    for line in messages.lines() {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else {
            continue;
        };
        let Some(path) = message["executable"].as_str().map(PathBuf::from) else {
            continue;
        };
        let manifest = message["manifest_path"].as_str().unwrap_or_default();
        if manifest.ends_with("tests/guests/Cargo.toml") {
            guests.push(path);
        } else if manifest.ends_with("kernel/Cargo.toml") {
            kernel = Some(path);
        }
    }
    let kernel = kernel.ok_or_else(|| Error::Impossible("cargo built no hypervisor".into()))?;
    Ok(Artifacts { kernel, guests })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","manifest_path":"/w/kernel/Cargo.toml","executable":null}
{"reason":"compiler-artifact","manifest_path":"/w/kernel/Cargo.toml","executable":"/w/target/image/bankshot"}
{"reason":"compiler-artifact","manifest_path":"/w/tests/guests/Cargo.toml","executable":"/w/target/image/broadcast"}
noise
{"reason":"build-finished","success":true}"#;
        let found = artifacts(messages).unwrap();
        assert_eq!(found.kernel, Path::new("/w/target/image/bankshot"));
        assert_eq!(
            found.guest("broadcast").unwrap(),
            Path::new("/w/target/image/broadcast")
        );
        assert!(found.guest("brod").is_err());
        assert!(artifacts("").is_err());
    }
}
