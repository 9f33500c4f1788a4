//! The workspace that this tool belongs to, and what cargo builds from it.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::check_image;
use crate::error::{Doing, Error, Result, read};
use crate::interrupt::interrupted;
use crate::progress::Progress;
use crate::scenario::Scenario;

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

    /// Builds the image with the fault injector and the guests, and checks the image.
    ///
    /// # Errors
    /// What cargo says, or what the image gets wrong.
    pub fn build(&self) -> Result<Artifacts> {
        self.build_with(&["--features", "kernel/faults"])
    }

    /// The same for production, without the injector. In a folder of its own: both images may be wanted at once.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn build_for_production(&self) -> Result<Artifacts> {
        self.build_with(&["--target-dir", "target/production"])
    }

    /// What `scenario` boots.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn build_for(&self, scenario: &Scenario) -> Result<Artifacts> {
        if scenario.production {
            self.build_for_production()
        } else {
            self.build()
        }
    }

    fn build_with(&self, options: &[&str]) -> Result<Artifacts> {
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
        cargo.args(["--message-format", "json-render-diagnostics"]);
        cargo.args(options);
        if std::io::stderr().is_terminal() {
            cargo.args(["--color", "always"]);
        }
        let artifacts = artifacts(&output(&mut cargo, "cargo build of the image")?)?;
        check_image::check(&read(&artifacts.kernel)?)?;
        Ok(artifacts)
    }

    /// Builds the program that runs in Linux (tests/linux), without libraries of the host; its file.
    ///
    /// # Errors
    /// What cargo says.
    pub fn build_witness(&self) -> Result<PathBuf> {
        let _progress = Progress::start("building the program for Linux");
        let mut cargo = self.cargo();
        cargo.args(["rustc", "--profile", "image", "-p", "witness"]);
        cargo.args(["--message-format", "json-render-diagnostics"]);
        cargo.args(["--", "-C", "target-feature=+crt-static"]);
        let messages = output(&mut cargo, "cargo build of the program for Linux")?;
        executables(&messages)
            .map(|(_, path)| path)
            .next()
            .ok_or_else(|| Error::Impossible("cargo built no program for Linux".into()))
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

/// What cargo says on standard output.
fn output(cargo: &mut Command, what: &str) -> Result<String> {
    let output = cargo.output().doing(|| "start cargo".into())?;
    if interrupted() {
        return Err(Error::Interrupted);
    }
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Failed {
        program: what.into(),
        status: output.status.to_string(),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// The programs in cargo's messages, a JSON object each line: manifest and file.
fn executables(messages: &str) -> impl Iterator<Item = (String, PathBuf)> {
    messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let manifest = message["manifest_path"].as_str()?.to_owned();
        Some((manifest, message["executable"].as_str()?.into()))
    })
}

/// Finds the image and the guests among them.
fn artifacts(messages: &str) -> Result<Artifacts> {
    let mut kernel = None;
    let mut guests = Vec::new();
    for (manifest, path) in executables(messages) {
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
