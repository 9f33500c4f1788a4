//! What is booted: the hypervisor's ELF, its command line and its modules, in the forms that an emulator takes.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// What is booted (docs/boot-protocol.md).
#[derive(Clone, Debug)]
pub struct Payload {
    /// The hypervisor: an ELF64 with a multiboot2 header.
    pub kernel_elf: PathBuf,
    /// The hypervisor's command line.
    pub command_line: String,
    /// The modules, in order.
    pub modules: Vec<Module>,
}

/// A multiboot2 module.
#[derive(Clone, Debug)]
pub struct Module {
    /// `KIND key=value ...`
    pub string: String,
    /// The module's bytes.
    pub bytes: Vec<u8>,
}

/// Writes a hybrid ISO (BIOS and UEFI, CD and USB stick) with GRUB and the payload.
///
/// # Errors
/// A missing program, or what it said when it failed.
pub fn write_iso(payload: &Payload, path: &Path) -> Result<()> {
    Err(Error::Impossible(format!(
        "no ISO of {} at {} yet",
        payload.kernel_elf.display(),
        path.display()
    )))
}
