//! Which guests there are, and whose a page of memory is.

use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, Ordering};

use kernel::handover::module::MAX_VCPUS;
use kernel::mca::Owner;
use kernel::units::{GuestId, Hpa, LARGE_PAGE_SIZE, Pcpu};
use kernel::vmce::Mailbox;

use super::spare;
use super::vcpu::Vcpu;
use crate::machine::memory::{self, MAPPED};
use crate::machine::processor::Processor;
use crate::machine::slots::Slots;
use crate::vmx::ept::GuestMemory;

/// Guests that one machine runs, at most.
pub const MAX_GUESTS: usize = 64;

/// A guest: what all its vCPUs share.
pub struct Guest {
    /// Its number.
    pub id: GuestId,
    /// Its memory.
    pub memory: GuestMemory,
    /// The MSR bitmap of its vCPUs.
    pub msr_bitmap: Hpa,
    /// A mailbox for each vCPU.
    pub mailboxes: &'static [Mailbox],
    /// Whether an error is told to every vCPU.
    pub broadcast: bool,
    /// It is the administrator's.
    pub is_privileged: bool,
    /// None of its vCPUs runs again.
    ended: AtomicBool,
    vcpus: Slots<Vcpu, { MAX_VCPUS as usize }>,
}

static GUESTS: Slots<Guest, MAX_GUESTS> = Slots::new();
static COUNT: AtomicU16 = AtomicU16::new(0);
static RUNNING: AtomicU16 = AtomicU16::new(0);
/// The privileged guest's number plus one, or 0.
static PRIVILEGED: AtomicU8 = AtomicU8::new(0);

impl Guest {
    /// A guest without vCPUs.
    pub(super) fn new(
        id: GuestId,
        memory: GuestMemory,
        msr_bitmap: Hpa,
        mailboxes: &'static [Mailbox],
        broadcast: bool,
        is_privileged: bool,
    ) -> Self {
        Self {
            id,
            memory,
            msr_bitmap,
            mailboxes,
            broadcast,
            is_privileged,
            ended: AtomicBool::new(false),
            vcpus: Slots::new(),
        }
    }

    /// The guest of that number.
    pub fn get(id: GuestId) -> Option<&'static Self> {
        GUESTS.get(id.0.into())
    }

    /// How many vCPUs it has.
    #[inline(always)]
    pub fn vcpu_count(&self) -> u8 {
        self.mailboxes.len() as u8
    }

    /// All its vCPUs, in order.
    pub fn vcpus(&self) -> impl Iterator<Item = &'static Vcpu> {
        self.vcpus.iter()
    }

    /// Virtual-processor identifier: not 0, different for each vCPU of the machine.
    pub fn vpid(&self, index: u8) -> u16 {
        1 + u16::from(self.id.0) * u16::from(MAX_VCPUS) + u16::from(index)
    }

    /// None of its vCPUs runs again.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Ends it: every processor that runs one of its vCPUs leaves it. `lost` is called with each vCPU for which there is mail that nobody will
    /// read. False if it had ended before.
    pub fn end(&self, mut lost: impl FnMut(u8)) -> bool {
        if self.ended.swap(true, Ordering::AcqRel) {
            return false;
        }
        for (index, mailbox) in self.mailboxes.iter().enumerate() {
            if mailbox.end() {
                lost(index as u8);
            }
        }
        RUNNING.fetch_sub(1, Ordering::AcqRel);
        for vcpu in self.vcpus() {
            vcpu.shared.request();
        }
        // Whoever completes the log when all have ended may run none of them.
        if let Some(first) = Processor::get(Pcpu(0)) {
            first.request(0);
        }
        true
    }

    pub(super) fn set_vcpu(&self, index: u8, vcpu: &'static Vcpu) {
        self.vcpus.set(index.into(), vcpu);
    }
}

/// Adds a guest that is ready to run.
pub(super) fn publish(guest: &'static Guest) {
    GUESTS.set(guest.id.0.into(), guest);
    let (first, count) = guest.memory.large_pages();
    for place in OWNERS.iter().skip(first).take(count) {
        place.store(guest.id.0 + 1, Ordering::Release);
    }
    if guest.is_privileged {
        PRIVILEGED.store(guest.id.0 + 1, Ordering::Release);
    }
    COUNT.fetch_add(1, Ordering::AcqRel);
    RUNNING.fetch_add(1, Ordering::AcqRel);
}

/// Number of the next guest.
pub(super) fn next_id() -> Option<GuestId> {
    let count = COUNT.load(Ordering::Acquire);
    (usize::from(count) < MAX_GUESTS).then_some(GuestId(count as u8))
}

/// Every guest, in the order of their numbers.
pub fn all() -> impl Iterator<Item = &'static Guest> {
    GUESTS.iter()
}

/// The privileged guest, if there is one.
pub fn privileged() -> Option<&'static Guest> {
    let number = PRIVILEGED.load(Ordering::Acquire).checked_sub(1)?;
    Guest::get(GuestId(number))
}

/// Guests that have not ended.
pub fn running() -> u16 {
    RUNNING.load(Ordering::Acquire)
}

/// Whose each 2 MiB of memory is: a guest's number plus one, or 0. So that whose a page is takes as long with one guest as with many.
static OWNERS: [AtomicU8; (MAPPED.0 / LARGE_PAGE_SIZE) as usize] =
    [const { AtomicU8::new(0) }; (MAPPED.0 / LARGE_PAGE_SIZE) as usize];

const _: () = assert!(MAX_GUESTS < u8::MAX as usize);

/// Whose a page is.
#[inline(always)]
pub fn owner_of(page: Hpa) -> Owner {
    guests_page(page).unwrap_or_else(|| others_page(page))
}

/// A page of a guest, in its range.
#[inline(always)]
fn guests_page(page: Hpa) -> Option<Owner> {
    let place = OWNERS.get((page.0 / LARGE_PAGE_SIZE) as usize)?;
    let number = place.load(Ordering::Acquire).checked_sub(1)?;
    let guest = GuestId(number);
    let gpa = Guest::get(guest)?.memory.guest_address(page)?;
    Some(Owner::Guest { guest, gpa })
}

/// A page of nobody's range: a spare one, or no guest's.
#[cold]
fn others_page(page: Hpa) -> Owner {
    spare::owner_of(page).unwrap_or_else(|| memory::owner_of(page))
}
