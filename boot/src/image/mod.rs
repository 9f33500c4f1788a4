//! What is booted: the hypervisor's ELF, its command line and its modules, in the two forms that a machine takes: as
//! they lie in memory once a loader is done, with an option ROM that starts them ([`direct`]: a tenth of a second), and
//! as a hybrid ISO for firmware and GRUB ([`write_iso`]).

mod direct;
mod flat;
mod grub;
mod iso;
mod multiboot2;
mod rom;

use std::path::PathBuf;

pub use direct::direct;
pub use iso::write_iso;

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
