//! Spare pages: set aside at boot, given to guests in the place of pages that have had too many corrected errors.

use core::sync::atomic::{AtomicU64, Ordering};

use kernel::handover::arena::OutOfMemory;
use kernel::mca::Owner;
use kernel::units::{Gpa, GuestId, Hpa, PAGE_SIZE};

use crate::machine::memory;

/// The pages, side by side.
struct Spares {
    base: Hpa,
    /// Whose each is.
    owners: &'static [AtomicU64],
}

static SPARES: memory::Once<Spares> = memory::Once::new();

/// Nobody's yet.
const UNUSED: u64 = 0;
/// A guest's: its number in bits 7:0, and the page's address there, which leaves them free.
const USED: u64 = 1 << 63;

/// Sets `count` pages aside. Once, by processor 0.
pub fn set_aside(count: u32) -> Result<(), OutOfMemory> {
    let base = memory::pages(count.into())?;
    let owners = memory::place_each(count as usize, (0..count).map(|_| AtomicU64::new(UNUSED)))?;
    SPARES.set(Spares { base, owners });
    Ok(())
}

/// Whose a page is, if it is one of these.
pub fn owner_of(page: Hpa) -> Option<Owner> {
    let spares = SPARES.get()?;
    let index = page.0.checked_sub(spares.base.0)? / PAGE_SIZE;
    Some(
        match spares.owners.get(index as usize)?.load(Ordering::Acquire) {
            UNUSED => Owner::Free,
            word => Owner::Guest {
                guest: GuestId(word as u8),
                gpa: Gpa(word & !USED).page(),
            },
        },
    )
}

/// Takes a page for a guest. None if all are in use or out of use.
pub fn take(guest: GuestId, gpa: Gpa) -> Option<Hpa> {
    let spares = SPARES.get()?;
    let word = USED | gpa.page().0 | u64::from(guest.0);
    let pages = (0..).map(|index| spares.base.plus(index * PAGE_SIZE));
    spares.owners.iter().zip(pages).find_map(|(owner, page)| {
        let is_ours = !memory::retired().holds(page)
            && owner
                .compare_exchange(UNUSED, word, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok();
        is_ours.then_some(page)
    })
}

/// A page is no guest's any more, or has not become one's. Nothing, if it is none of these.
pub fn give_back(page: Hpa) {
    if let Some(spares) = SPARES.get()
        && let Some(offset) = page.0.checked_sub(spares.base.0)
        && let Some(owner) = spares.owners.get((offset / PAGE_SIZE) as usize)
    {
        owner.store(UNUSED, Ordering::Release);
    }
}
