//! The log: defmt frames on the way out that `serial` found. Ordinary context only; never from an NMI or a #MC.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};

use kernel::turnstile::Turnstile;

use super::lock::{self, Guard, Lock};
use super::serial::{self, Output};

/// What stands before the first frame, so that a reader can skip what an emulator says before (docs/boot-protocol.md).
const MAGIC: &[u8; 8] = b"\0BKSHOT1";

struct State {
    encoder: defmt::Encoder,
    output: Output,
}

struct Shared {
    locked: Turnstile,
    state: UnsafeCell<State>,
}

// SAFETY: `state` is touched only between `acquire` and `release`, which hold `locked`.
unsafe impl Sync for Shared {}

static SHARED: Shared = Shared {
    locked: Turnstile::new(),
    state: UnsafeCell::new(State {
        encoder: defmt::Encoder::new(),
        output: Output::Com1,
    }),
};

/// The time stamp that the next frames carry: the event's own time, not that of its writing.
static TIME: AtomicU64 = AtomicU64::new(0);

defmt::timestamp!("{=u64}", TIME.load(Ordering::Relaxed));

#[defmt::global_logger]
struct Logger;

// SAFETY: acquire and release are a lock; write is only called between them (defmt's contract).
unsafe impl defmt::Logger for Logger {
    fn acquire() {
        lock::take(&SHARED.locked, &|| false);
        // SAFETY: the lock is held.
        let state = unsafe { &mut *SHARED.state.get() };
        let output = state.output;
        state
            .encoder
            .start_frame(|bytes| serial::write(output, bytes));
    }

    unsafe fn flush() {}

    unsafe fn release() {
        // SAFETY: the lock is held since `acquire`.
        let state = unsafe { &mut *SHARED.state.get() };
        let output = state.output;
        state
            .encoder
            .end_frame(|bytes| serial::write(output, bytes));
        SHARED.locked.leave();
    }

    unsafe fn write(bytes: &[u8]) {
        // SAFETY: the lock is held since `acquire`.
        let state = unsafe { &mut *SHARED.state.get() };
        let output = state.output;
        state
            .encoder
            .write(bytes, |bytes| serial::write(output, bytes));
    }
}

/// Finds the way out and starts the stream. Called once, by processor 0, before anything is logged.
pub fn init() {
    let output = serial::init();
    // SAFETY: no other processor runs yet.
    unsafe { (*SHARED.state.get()).output = output };
    serial::write(output, MAGIC);
}

/// Lets the following frame carry this time. Frames of several processors must not mix: callers hold [`hold`].
pub fn at(time: u64) {
    TIME.store(time, Ordering::Relaxed);
}

/// Lets the following frame carry the time of now.
pub fn now() {
    at(super::tsc());
}

static HELD: Lock<()> = Lock::new(());

/// Waits for the right to write a group of frames; other processors wait until the result is dropped.
pub fn hold() -> Guard<'static, ()> {
    HELD.lock()
}

/// The same; none if `gives_up` has said so while another processor had it.
pub fn hold_unless(gives_up: &dyn Fn() -> bool) -> Option<Guard<'static, ()>> {
    HELD.lock_unless(gives_up)
}

/// A processor's last words must be heard even if somebody holds the log, who does not go on.
pub fn break_open() {
    HELD.break_open();
    if SHARED.locked.take_over() {
        // It was in the middle of a frame. That one ends here, or it would swallow the first of the last words.
        // SAFETY: whoever had the lock does not go on, so that it is this processor's.
        let state = unsafe { &mut *SHARED.state.get() };
        let output = state.output;
        state
            .encoder
            .end_frame(|bytes| serial::write(output, bytes));
    }
    SHARED.locked.leave();
}
