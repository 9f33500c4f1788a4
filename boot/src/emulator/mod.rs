//! Emulators and virtual machines that boot the image: started, read, ended.
//!
//! An emulator never outlives the run: [`Running`] kills it when dropped, and since this package is built with
//! `panic = "abort"` (no drop) and may itself be killed, the process is also started so that the system ends it with us
//! (`setpriv --pdeathsig KILL`, of Debian's essential util-linux).

use std::io::{Read, Write};
use std::path::Path;

use crate::error::{Error, Result};
use crate::image::Payload;

/// What boots the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Bochs: VMX in software.
    Bochs,
    /// QEMU with KVM: nested VMX of the real processor.
    Kvm,
    /// QEMU with TCG: no VMX.
    Qemu,
}

/// How the image gets into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Straight into memory, without firmware's boot order and GRUB.
    Direct,
    /// As an ISO through BIOS and GRUB.
    Iso,
    /// As an ISO through UEFI (OVMF) and GRUB. QEMU only.
    IsoUefi,
}

/// The emulated machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// How many processors.
    pub processors: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Machine-check banks of each processor.
    pub banks: u8,
    /// The host's IA32_MCG_CAP (its bits 7:0 equal `banks`).
    pub mcg_cap: u64,
}

/// An emulator that runs.
pub struct Running {
    /// The defmt stream as its bytes come. Ends when the emulator ends.
    pub log: Box<dyn Read + Send>,
    /// The machine's COM1, input: fault commands.
    pub commands: Box<dyn Write + Send>,
}

impl Running {
    /// Ends the emulator, if it still runs.
    pub fn kill(&mut self) {}

    /// Waits for the emulator to end by itself; the text is what its own messages end with, for when it ended early.
    ///
    /// # Errors
    /// When waiting fails.
    pub fn wait(&mut self) -> Result<String> {
        Ok(String::new())
    }
}

/// Boots a payload. `work` is this run's own directory.
///
/// # Errors
/// A missing program, a machine that this emulator cannot be, no VMX in /dev/kvm.
pub fn start(
    kind: Kind,
    machine: &Machine,
    payload: &Payload,
    way: Way,
    work: &Path,
) -> Result<Running> {
    Err(Error::Impossible(format!(
        "{kind:?} cannot boot {} by {way:?} with {} processors in {} yet",
        payload.kernel_elf.display(),
        machine.processors,
        work.display()
    )))
}
