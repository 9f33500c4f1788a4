//! Which guests there are, and whose a page of memory is.

use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU16, AtomicU64, Ordering};

use kernel::handover::module::MAX_VCPUS;
use kernel::mca::Owner;
use kernel::units::{GuestId, Hpa};
use kernel::vmce::Mailbox;

use crate::machine::memory;
use crate::vmx::ept::GuestMemory;
use crate::vmx::vcpu::{Shared, Vcpu};

/// Guests that one machine runs, at most.
pub const MAX_GUESTS: usize = 16;

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
    /// None of its vCPUs runs again.
    ended: AtomicBool,
    vcpus: [AtomicPtr<Vcpu>; MAX_VCPUS as usize],
}

static GUESTS: [AtomicPtr<Guest>; MAX_GUESTS] =
    [const { AtomicPtr::new(ptr::null_mut()) }; MAX_GUESTS];
static COUNT: AtomicU16 = AtomicU16::new(0);
static RUNNING: AtomicU16 = AtomicU16::new(0);
/// Memory that is nobody's; fixed once the guests have been made.
static FREE: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

impl Guest {
    /// A guest without vCPUs.
    pub(super) fn new(
        id: GuestId,
        memory: GuestMemory,
        msr_bitmap: Hpa,
        mailboxes: &'static [Mailbox],
        broadcast: bool,
    ) -> Self {
        Self {
            id,
            memory,
            msr_bitmap,
            mailboxes,
            broadcast,
            ended: AtomicBool::new(false),
            vcpus: [const { AtomicPtr::new(ptr::null_mut()) }; MAX_VCPUS as usize],
        }
    }

    /// The guest of that number.
    pub fn get(id: GuestId) -> Option<&'static Self> {
        let guest = GUESTS.get(usize::from(id.0))?.load(Ordering::Acquire);
        // SAFETY: published guests live for ever; what is changed in them is atomic.
        unsafe { guest.as_ref() }
    }

    /// How many vCPUs it has.
    #[inline(always)]
    pub fn vcpu_count(&self) -> u8 {
        self.mailboxes.len() as u8
    }

    /// The vCPU of that number.
    pub fn vcpu(&self, index: u32) -> Option<&'static Shared> {
        let vcpu = self.vcpus.get(index as usize)?.load(Ordering::Acquire);
        // SAFETY: vCPUs live for ever.
        (!vcpu.is_null()).then(|| unsafe { Vcpu::shared(vcpu) })
    }

    /// All its vCPUs.
    pub fn vcpus(&self) -> impl Iterator<Item = *mut Vcpu> {
        let count = self.mailboxes.len();
        self.vcpus
            .iter()
            .take(count)
            .map(|vcpu| vcpu.load(Ordering::Acquire))
            .filter(|vcpu| !vcpu.is_null())
    }

    /// Virtual-processor identifier: not 0, different for each vCPU of the machine.
    pub fn vpid(&self, index: u8) -> u16 {
        1 + u16::from(self.id.0) * u16::from(MAX_VCPUS) + u16::from(index)
    }

    /// None of its vCPUs runs again.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Ends it: every processor that runs one of its vCPUs leaves it. False if it had ended before.
    pub fn end(&self) -> bool {
        if self.ended.swap(true, Ordering::AcqRel) {
            return false;
        }
        RUNNING.fetch_sub(1, Ordering::AcqRel);
        for vcpu in self.vcpus() {
            // SAFETY: vCPUs live for ever.
            unsafe { Vcpu::shared(vcpu) }.processor.request(0);
        }
        true
    }

    pub(super) fn set_vcpu(&self, index: u8, vcpu: *mut Vcpu) {
        if let Some(slot) = self.vcpus.get(usize::from(index)) {
            slot.store(vcpu, Ordering::Release);
        }
    }
}

/// Adds a guest that is ready to run.
pub(super) fn publish(guest: &'static Guest) {
    GUESTS[usize::from(guest.id.0)].store(ptr::from_ref(guest).cast_mut(), Ordering::Release);
    COUNT.fetch_add(1, Ordering::AcqRel);
    RUNNING.fetch_add(1, Ordering::AcqRel);
    let (bottom, top) = memory::free_range();
    FREE[0].store(bottom.0, Ordering::Release);
    FREE[1].store(top.0, Ordering::Release);
}

/// Number of the next guest.
pub(super) fn next_id() -> Option<GuestId> {
    let count = COUNT.load(Ordering::Acquire);
    (usize::from(count) < MAX_GUESTS).then_some(GuestId(count as u8))
}

/// Every guest, in the order of their numbers.
pub fn all() -> impl Iterator<Item = &'static Guest> {
    (0..COUNT.load(Ordering::Acquire)).filter_map(|number| Guest::get(GuestId(number as u8)))
}

/// Guests that have not ended.
pub fn running() -> u16 {
    RUNNING.load(Ordering::Acquire)
}

/// Whose a page is. Guests' memory was cut from the top downwards, so their numbers are in falling order of address: a binary
/// search.
pub fn owner_of(page: Hpa) -> Owner {
    let (mut low, mut high) = (0, COUNT.load(Ordering::Acquire));
    while low < high {
        let middle = low.midpoint(high);
        let Some(guest) = Guest::get(GuestId(middle as u8)) else {
            break;
        };
        if let Some(gpa) = guest.memory.guest_address(page) {
            return Owner::Guest {
                guest: guest.id,
                gpa,
            };
        }
        if page > guest.memory.base() {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    let free = FREE[0].load(Ordering::Acquire)..FREE[1].load(Ordering::Acquire);
    if free.contains(&page.0) {
        Owner::Free
    } else {
        Owner::Hypervisor
    }
}
