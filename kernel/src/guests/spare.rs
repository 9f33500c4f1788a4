//! Spare pages: set aside at boot, given to guests in the place of pages that have had too many corrected errors.

use kernel::guest::spare_page::SparePage;
use kernel::handover::arena::OutOfMemory;
use kernel::mca::Owner;
use kernel::units::{Gpa, GuestId, Hpa, PAGE_SIZE};

use crate::machine::memory;

/// The pages, side by side.
struct Spares {
    base: Hpa,
    /// Whose each is.
    owners: &'static [SparePage],
}

static SPARES: memory::Once<Spares> = memory::Once::new();

/// Sets `count` pages aside. Once, by processor 0.
pub fn set_aside(count: u32) -> Result<(), OutOfMemory> {
    let base = memory::pages(count.into())?;
    let owners = memory::place_each(count as usize, (0..count).map(|_| SparePage::default()))?;
    SPARES.set(Spares { base, owners });
    Ok(())
}

/// Whose a page is, if it is one of these.
pub fn owner_of(page: Hpa) -> Option<Owner> {
    Some(match find(page)?.owner() {
        Some((guest, gpa)) => Owner::Guest { guest, gpa },
        None => Owner::Free,
    })
}

/// Reserves a page for a guest, to be filled. None if all are in use or out of use.
pub fn reserve(guest: GuestId, gpa: Gpa) -> Option<Hpa> {
    let spares = SPARES.get()?;
    let pages = (0..).map(|index| spares.base.plus(index * PAGE_SIZE));
    let mut owners = spares.owners.iter().zip(pages);
    owners.find_map(|(owner, page)| owner.reserve(guest, gpa).then_some(page))
}

/// A page that is filled becomes the guest's for which it was reserved. False if it has gone out of use.
pub fn give(page: Hpa) -> bool {
    find(page).is_some_and(SparePage::give)
}

/// A page is no guest's any more, or has not become one's. Nothing, if it is none of these.
pub fn give_back(page: Hpa) {
    if let Some(owner) = find(page) {
        owner.give_back();
    }
}

/// A page is not handed out from now on, whoever has it. In any context. Nothing, if it is none of these.
#[cold]
pub fn take_out_of_use(page: Hpa) {
    if let Some(owner) = find(page) {
        owner.take_out_of_use();
    }
}

/// A page may be handed out again. Nothing, if it is none of these.
pub fn put_back(page: Hpa) {
    if let Some(owner) = find(page) {
        owner.put_back();
    }
}

fn find(page: Hpa) -> Option<&'static SparePage> {
    let spares = SPARES.get()?;
    let index = page.0.checked_sub(spares.base.0)? / PAGE_SIZE;
    spares.owners.get(index as usize)
}
