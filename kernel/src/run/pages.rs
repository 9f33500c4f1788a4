//! Pages out of use, and back, by the administrator's word.

use kernel::command::Place;
use kernel::event::Event;
use kernel::faults::Refused;
use kernel::mca::{self, Owner};
use kernel::units::Hpa;

use super::host::{ENGINE, HOST};
use crate::guests::{self, Guest, spare};
use crate::machine::lock::Lock;
use crate::machine::{log, memory, messages};

/// One page at a time goes out of use, or comes back.
static BUSY: Lock<()> = Lock::new(());

/// Takes a page out of use. Its content stays; a guest that touches it is stopped. Whoever waits for another one's page flushes in its NMI
/// handler when that is asked of it.
pub fn out(place: Place) -> Result<Event, Refused> {
    let _one_at_a_time = BUSY.lock();
    let (hpa, owner) = locate(place)?;
    match owner {
        Owner::Hypervisor => return Err(Refused::HypervisorPage),
        Owner::Firmware => return Err(Refused::NoMemory),
        Owner::Free | Owner::Guest { .. } => {}
    }
    if !mca::take_out(&ENGINE, &HOST, hpa, owner) {
        return Err(Refused::OutOfUse);
    }
    let pages = 1;
    Ok(match owner {
        Owner::Guest { guest, gpa } => Event::PageRetired {
            hpa,
            guest,
            gpa,
            pages,
        },
        _ => Event::FreePageRetired { hpa, pages },
    })
}

/// Puts a page back into use.
pub fn back(place: Place) -> Result<Event, Refused> {
    let _one_at_a_time = BUSY.lock();
    let (hpa, owner) = locate(place)?;
    let put_back = || match owner {
        Owner::Guest { guest, gpa } => {
            let guests_memory = &Guest::get(guest).ok_or(Refused::NoGuestMemory)?.memory;
            let event = Event::PageReturned { hpa, guest, gpa };
            Ok((guests_memory.put_back(gpa), event))
        }
        _ => Ok((
            memory::retired().remove(hpa),
            Event::FreePageReturned { hpa },
        )),
    };
    let (was_out_of_use, event) = mca::put_back(&ENGINE, put_back).ok_or(Refused::Unflushed)??;
    if was_out_of_use {
        spare::put_back(hpa);
    }
    was_out_of_use.then_some(event).ok_or(Refused::InUse)
}

fn locate(place: Place) -> Result<(Hpa, Owner), Refused> {
    match place {
        Place::Host(hpa) => Ok((hpa, guests::owner_of(hpa))),
        Place::Guest(guest, gpa) => {
            let hpa = Guest::get(guest)
                .and_then(|guest| guest.memory.host_address(gpa))
                .ok_or(Refused::NoGuestMemory)?;
            Ok((hpa, Owner::Guest { guest, gpa }))
        }
    }
}

/// Names every page that is out of use.
pub fn list() {
    super::log_events();
    let _held = log::hold();
    log::now();
    let mut count = 0;
    for guest in guests::all() {
        for (gpa, pages) in guest.memory.retired_runs() {
            messages::page_listed(guest.id.0, gpa.0, pages);
            count += pages;
        }
    }
    for (hpa, pages) in memory::retired().runs() {
        messages::free_page_listed(hpa.0, pages);
        count += pages;
    }
    messages::pages_listed(count, memory::retired().unlisted());
}
