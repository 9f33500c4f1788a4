//! Records of errors for the privileged guest, and its interrupts: one for each.
//!
//! Filled while the log is written, in ordinary context, with the log in hand; no #MC or NMI comes here.

use kernel::event::{Event, Stamped};
use kernel::guest::hypercall::Error;
use kernel::mca::Machine;
use kernel::records::{RECORD_BYTES, Records};
use kernel::units::Gpa;

use super::host::HOST;
use super::look_at;
use crate::guests;
use crate::guests::vcpu::Shared;
use crate::machine::guest_copy::{Raise, Unreadable};
use crate::machine::lock::Lock;
use crate::machine::processor::MAX_PROCESSORS;
use crate::vmx::ept::GuestMemory;

/// Records that wait at most, with the one that says what was lost.
const MOST: usize = 128;

/// Who is told of a record.
struct Listener {
    vcpu: &'static Shared,
    vector: u8,
    /// Interrupts that it has not had yet. [`Shared::has_interrupt`] says whether there are any, while this is locked.
    due: u32,
}

struct State {
    records: Records<MOST, MAX_PROCESSORS>,
    listener: Option<Listener>,
}

static STATE: Lock<State> = Lock::new(State {
    records: Records::new(),
    listener: None,
});

/// Held by who reads a record, from the look to its removal.
static READER: Lock<()> = Lock::new(());

impl State {
    /// There is one record more.
    fn tell(&mut self) {
        if let Some(listener) = &mut self.listener {
            listener.due = listener.due.saturating_add(1);
            listener.vcpu.set_interrupt(true);
            look_at(listener.vcpu.processor());
        }
    }

    /// Nobody is told any more.
    fn forget(&mut self) {
        if let Some(listener) = self.listener.take() {
            listener.vcpu.set_interrupt(false);
        }
    }

    /// The listener, if it is that vCPU.
    fn listener(&mut self, vcpu: &Shared) -> Option<&mut Listener> {
        self.listener.as_mut().filter(|it| it.vcpu.id == vcpu.id)
    }
}

/// An event is being logged. Kept is what the privileged guest is to read, as long as there is such a guest.
pub fn hear(stamped: &Stamped) {
    if somebody_reads() {
        let mut state = STATE.lock();
        if state.records.hear(stamped) {
            state.tell();
        }
    }
}

/// So many events are lost.
pub fn lose(count: u64) {
    if somebody_reads() {
        let mut state = STATE.lock();
        if state.records.lose(count) {
            state.tell();
        }
    }
}

fn somebody_reads() -> bool {
    guests::privileged().is_some_and(|guest| !guest.has_ended())
}

/// From now on that vCPU gets an interrupt with that vector (0: none) for each record. Returns how many wait already.
pub fn register(vcpu: &'static Shared, vector: u8) -> u64 {
    // What has happened is a record, and not an interrupt to come.
    super::log_events();
    let mut state = STATE.lock();
    state.forget();
    state.listener = (vector != 0).then_some(Listener {
        vcpu,
        vector,
        due: 0,
    });
    let waiting = state.records.count();
    drop(state);
    HOST.emit(Event::RecordsRegistered {
        guest: vcpu.id.guest,
        vcpu: vcpu.id.index,
        vector,
        waiting: waiting as u32,
    });
    waiting as u64
}

/// Writes the oldest record to a guest's memory, where there is room for so many bytes, and removes it. False if there is none. `raise` is asked
/// just before the copy.
pub fn read(
    memory: &GuestMemory,
    at: Gpa,
    room: u64,
    raise: impl FnOnce() -> Raise,
) -> Result<bool, Error> {
    if room < RECORD_BYTES as u64 {
        return Err(Error::Argument);
    }
    let _one_at_a_time = READER.lock();
    let Some(record) = STATE.lock().records.first().copied() else {
        return Ok(false);
    };
    memory
        .write(at, &record.to_bytes(), raise())
        .map_err(|Unreadable| Error::Memory)?;
    let mut state = STATE.lock();
    if state.records.remove(&record) {
        state.tell();
    }
    Ok(true)
}

/// Takes one of the interrupts that are due to a vCPU: its vector.
pub fn take_interrupt(vcpu: &Shared) -> Option<u8> {
    let mut state = STATE.lock();
    let listener = state.listener(vcpu)?;
    listener.due = listener.due.checked_sub(1)?;
    if listener.due == 0 {
        vcpu.set_interrupt(false);
    }
    Some(listener.vector)
}

/// An interrupt that was about to be delivered is due again: #MC has taken its place.
pub fn give_back_interrupt(vcpu: &Shared) {
    if let Some(listener) = STATE.lock().listener(vcpu) {
        listener.due = listener.due.saturating_add(1);
        vcpu.set_interrupt(true);
    }
}

/// A vCPU has got INIT: it is not told of records any more.
pub fn forget(vcpu: &Shared) {
    let mut state = STATE.lock();
    if state.listener(vcpu).is_some() {
        state.forget();
    }
}
