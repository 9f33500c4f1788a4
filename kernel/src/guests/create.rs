//! Making a guest from a boot module: memory, the PVH image in it, vCPUs on their processors.

use kernel::guest::pvh;
use kernel::handover::arena::OutOfMemory;
use kernel::handover::module::GuestConfig;
use kernel::units::{Gpa, Pcpu, VcpuId};
use kernel::vmce::Mailbox;
use msr_runtime::{Interface, MachineCheck};
use specs::{Choice, platform};

use super::registry::{self, Guest};
use crate::machine::memory;
use crate::machine::processor::Processor;
use crate::vmx::ept::GuestMemory;
use crate::vmx::vcpu::{Activity, Vcpu};
use crate::vmx::{bitmap, vmcs};

/// Why a guest could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Not enough memory.
    Memory,
    /// More guests than the hypervisor takes.
    TooMany,
    /// No such machine-check interface or version in this image.
    Interface,
    /// The image cannot be loaded.
    Image(pvh::Error),
}

impl Error {
    /// What the log has for it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Memory => "not enough memory for the guest",
            Self::TooMany => "too many guests",
            Self::Interface => "no such machine-check interface or version in this image",
            Self::Image(error) => error.text(),
        }
    }
}

impl From<OutOfMemory> for Error {
    fn from(_: OutOfMemory) -> Self {
        Self::Memory
    }
}

/// Makes a guest of `image`. Its vCPUs are spread over the processors, one after the other.
pub fn create(config: &GuestConfig<'_>, image: &[u8]) -> Result<&'static Guest, Error> {
    let id = registry::next_id().ok_or(Error::TooMany)?;
    let machine_check = Choice::parse(config.interface)
        .and_then(|choice| choice.create())
        .map_err(|_| Error::Interface)?;
    let guest_memory = GuestMemory::create(u64::from(config.memory_mib) << 20)?;
    // SAFETY: the guest does not run yet, and nobody else has its memory.
    let bytes = unsafe { guest_memory.bytes(Gpa(0), guest_memory.size()) }.ok_or(Error::Memory)?;
    let start = pvh::load(image, config.arguments, bytes).map_err(Error::Image)?;
    let pass = platform::v1::State::PASS_THROUGH
        .iter()
        .chain(machine_check.pass_through());
    let msr_bitmap = bitmap::create(pass)?;
    let mailboxes = create_mailboxes(config.vcpus)?;
    let guest = memory::place(Guest::new(
        id,
        guest_memory,
        msr_bitmap,
        mailboxes,
        machine_check.is_broadcast(),
    ))?;
    let guest: &'static Guest = guest;
    for index in 0..config.vcpus {
        let number = (u16::from(id.0) + u16::from(index)) % Processor::count();
        let processor = Processor::get(Pcpu(number)).ok_or(Error::Memory)?;
        let id = VcpuId {
            guest: guest.id,
            index,
        };
        let vcpu = memory::place(Vcpu::new(
            id,
            guest,
            processor,
            machine_check,
            vmcs::region()?,
        ))?;
        if index == 0 {
            // SAFETY: no processor runs the vCPU yet.
            let own = unsafe { Vcpu::own(vcpu) };
            own.activity = Activity::Active;
            own.start = Some(start);
            own.registers.rbx = start.information.0;
        }
        guest.set_vcpu(index, vcpu);
    }
    registry::publish(guest);
    Ok(guest)
}

fn create_mailboxes(count: u8) -> Result<&'static [Mailbox], OutOfMemory> {
    let size = size_of::<Mailbox>() as u64 * u64::from(count);
    let start = memory::pages(size.div_ceil(kernel::units::PAGE_SIZE))?.0 as *mut Mailbox;
    // SAFETY: fresh pages of sufficient size, given to nobody else; each element is written before the slice is made.
    unsafe {
        for index in 0..usize::from(count) {
            start.add(index).write(Mailbox::new());
        }
        Ok(core::slice::from_raw_parts(start, count.into()))
    }
}
