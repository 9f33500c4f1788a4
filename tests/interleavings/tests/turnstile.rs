//! What locks of ordinary context are made of: one inside at a time, and who gives up leaves nothing behind.
#![cfg(loom)]

use std::sync::Arc;

use interleavings::explore;
use kernel::turnstile::Turnstile;
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

struct Log {
    turnstile: Turnstile,
    /// Touched by one at a time: loom sees two, and what one has not yet seen of another's.
    lines: UnsafeCell<u32>,
}

// SAFETY: what the test is about; loom watches each access.
unsafe impl Sync for Log {}
unsafe impl Send for Log {}

impl Log {
    fn write(&self) {
        // SAFETY: as above.
        self.lines.with_mut(|lines| unsafe { *lines += 1 });
    }
}

/// One writes two events, and steps out between them if somebody waits; another writes a line of its own; a third has something come up at any moment, before
/// it has written or after.
#[test]
fn one_writes_at_a_time_and_who_gives_up_does_not() {
    explore(2, || {
        let log = Arc::new(Log {
            turnstile: Turnstile::new(),
            lines: UnsafeCell::new(0),
        });
        let urgent = Arc::new(AtomicBool::new(false));
        let one_line = {
            let (log, urgent) = (log.clone(), urgent.clone());
            thread::spawn(move || {
                urgent.store(true, Ordering::Relaxed);
                assert!(log.turnstile.enter(|| false));
                log.write();
                log.turnstile.leave();
            })
        };
        let gives_up = {
            let (log, urgent) = (log.clone(), urgent.clone());
            thread::spawn(move || {
                let entered = log.turnstile.enter(|| urgent.load(Ordering::Relaxed));
                if entered {
                    log.write();
                    log.turnstile.leave();
                }
                entered
            })
        };
        assert!(log.turnstile.enter(|| false));
        log.write();
        if log.turnstile.is_wanted() {
            log.turnstile.leave();
            assert!(log.turnstile.enter(|| false));
        }
        log.write();
        log.turnstile.leave();
        one_line.join().unwrap();
        let lines = 3 + u32::from(gives_up.join().unwrap());
        assert!(!log.turnstile.is_wanted());
        assert!(!log.turnstile.take_over(), "nobody is left inside");
        // SAFETY: as above.
        assert_eq!(log.lines.with(|written| unsafe { *written }), lines);
    });
}
