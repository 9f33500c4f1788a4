//! Emulators and virtual machines that boot the image: started, read, ended.
//!
//! An emulator never outlives the run: [`Running`] kills it when dropped, and since this package is built with
//! `panic = "abort"` (no drop) and may itself be killed, the process is also started so that the system ends it with us
//! (`setpriv --pdeathsig KILL`, of Debian's essential util-linux).

mod bochs;
mod bochs_bios;
mod kvm;
mod machine_check_msrs;
mod monitor;
pub mod program;
mod qemu;
mod running;

use std::path::Path;

use crate::error::Result;
use crate::image::Payload;

pub use monitor::Monitor;
pub use qemu::{KERNEL_LOG, start_linux, start_with_monitor};
pub use running::Running;

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
    /// The banks fault on every value but zero, as hardware's do; else they take any.
    pub strict_banks: bool,
}

/// Boots a payload. `work` is this run's own directory. The emulator lives no longer than the calling thread.
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
    match kind {
        Kind::Bochs => bochs::start(machine, payload, way, work),
        Kind::Kvm | Kind::Qemu => qemu::start(kind, machine, payload, way, work),
    }
}
