//! Making a guest from a boot module: memory, the PVH image in it, vCPUs on their processors.

use core::sync::atomic::{AtomicU16, Ordering};

use kernel::guest::pvh;
use kernel::handover::arena::OutOfMemory;
use kernel::handover::module::GuestConfig;
use kernel::units::{Pcpu, VcpuId};
use kernel::vmce::Mailbox;
use msr_runtime::extra::ExtraRefusal;
use msr_runtime::{Extra, Interface, MachineCheck};
use specs::{Choice, McState, platform};

use super::registry::{self, Guest};
use super::vcpu::{FastExit, Own, Shared, Vcpu};
use crate::machine::memory;
use crate::machine::own_cell::OwnCell;
use crate::machine::processor::Processor;
use crate::vmx::ept::GuestMemory;
use crate::vmx::{bitmap, vmcs};

/// Why a guest could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Not enough memory.
    Memory,
    /// More guests than the hypervisor takes.
    TooMany,
    /// There is a privileged guest already.
    Privileged,
    /// No such machine-check interface or version in this image.
    Interface,
    /// The administrator has named what the interface does not take.
    Extra(ExtraRefusal),
    /// The image cannot be loaded.
    Image(pvh::Error),
}

impl Error {
    /// What the log has for it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Memory => "not enough memory for the guest",
            Self::TooMany => "too many guests",
            Self::Privileged => "more than one privileged guest",
            Self::Interface => "no such machine-check interface or version in this image",
            Self::Extra(refusal) => refusal.text(),
            Self::Image(error) => error.text(),
        }
    }
}

impl From<OutOfMemory> for Error {
    fn from(_: OutOfMemory) -> Self {
        Self::Memory
    }
}

/// Makes a guest of `image`. Each of its vCPUs gets a processor as its home: vCPUs are dealt out in the order of their making.
/// `extra` is what the administrator has named for guests from newer hosts, `fast_exit_of` gives the function that answers the exits of
/// a vCPU by its machine-check registers.
pub fn create(
    config: &GuestConfig<'_>,
    image: &[u8],
    extra: &Extra,
    fast_exit_of: fn(&McState) -> FastExit,
) -> Result<&'static Guest, Error> {
    let id = registry::next_id().ok_or(Error::TooMany)?;
    if config.is_privileged && registry::privileged().is_some() {
        return Err(Error::Privileged);
    }
    let machine_check = Choice::parse(config.interface)
        .and_then(|choice| choice.create())
        .map_err(|_| Error::Interface)?;
    extra
        .within(&machine_check.extra_limits())
        .map_err(Error::Extra)?;
    let mut guest_memory = GuestMemory::create(u64::from(config.memory_mib) << 20)?;
    let start =
        pvh::load(image, config.arguments, guest_memory.contents()).map_err(Error::Image)?;
    let platform = platform::v1::State::PASS_THROUGH;
    let pass_through = platform.iter().chain(machine_check.pass_through());
    let msr_bitmap = bitmap::create(pass_through)?;
    let mailboxes = memory::place_each(config.vcpus.into(), core::iter::repeat_with(Mailbox::new))?;
    let guest = Guest::new(
        id,
        guest_memory,
        msr_bitmap,
        mailboxes,
        machine_check.is_broadcast(),
        config.is_privileged,
    );
    let guest: &'static Guest = memory::place(guest)?;
    for (index, mailbox) in (0..).zip(mailboxes) {
        let processor = next_processor();
        let id = VcpuId { guest: id, index };
        let shared: &'static Shared =
            memory::place(Shared::new(id, guest, processor, mailbox, vmcs::region()?))?;
        let mut own = Own::new(shared, machine_check, fast_exit_of(&machine_check));
        own.start = (index == 0).then_some(start);
        guest.set_vcpu(
            index,
            memory::place(Vcpu {
                own: OwnCell::new(own),
                shared,
            })?,
        );
    }
    registry::publish(guest);
    Ok(guest)
}

/// The processor whose turn it is to get a vCPU.
fn next_processor() -> &'static Processor {
    static DEALT: AtomicU16 = AtomicU16::new(0);
    let number = DEALT.fetch_add(1, Ordering::Relaxed) % Processor::count();
    // Processors are numbered without gaps.
    Processor::get(Pcpu(number)).unwrap_or_else(Processor::current)
}
