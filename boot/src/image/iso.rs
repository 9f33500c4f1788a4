//! The hybrid ISO: CD and USB stick, BIOS and UEFI, made by `grub-mkrescue`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Payload, grub};
use crate::emulator::program;
use crate::error::{self, Doing, Error, Result};

/// What `grub-mkrescue` is and needs: program or file, and its Debian package.
const NEEDED: [(&str, &str); 5] = [
    ("grub-mkrescue", "grub-common"),
    ("xorriso", "xorriso"),
    ("mformat", "mtools"),
    ("/usr/lib/grub/i386-pc", "grub-pc-bin"),
    ("/usr/lib/grub/x86_64-efi", "grub-efi-amd64-bin"),
];

/// GRUB's modules that [`grub::configuration`] needs, beyond those that find the medium.
const GRUB_MODULES: &str = "normal multiboot2 boot";

/// Writes a hybrid ISO (BIOS and UEFI, CD and USB stick) with GRUB and the payload.
///
/// # Errors
/// A missing program, a string that GRUB cannot hand over, or what `grub-mkrescue` said when it failed.
pub fn write_iso(payload: &Payload, path: &Path) -> Result<()> {
    for (name, package) in NEEDED {
        program::need(name, package)?;
    }
    let configuration = grub::configuration(payload).map_err(Error::Input)?;
    let tree = tempfile::tempdir().doing(|| "make a temporary folder".into())?;
    let folder = tree.path().join(grub::FOLDER);
    fs::create_dir_all(folder.join("grub")).doing(|| format!("make {}", folder.display()))?;
    error::write(&folder.join("grub/grub.cfg"), configuration)?;
    error::write(
        &folder.join(grub::KERNEL),
        error::read(&payload.kernel_elf)?,
    )?;
    for (index, module) in payload.modules.iter().enumerate() {
        error::write(&folder.join(grub::module(index)), &module.bytes)?;
    }
    let output = Command::new("grub-mkrescue")
        .arg("-o")
        .arg(path)
        .args(["--locales=", "--fonts=", "--themes="])
        .arg(format!("--install-modules={GRUB_MODULES}"))
        .arg(tree.path())
        .stdin(Stdio::null())
        .output()
        .doing(|| "start grub-mkrescue".into())?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Failed {
        program: "grub-mkrescue".into(),
        status: output.status.to_string(),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
