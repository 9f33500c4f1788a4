//! One storm, from its seed to what must hold after it.

use std::collections::BTreeSet;

use kernel::event::Event;
use kernel::mca::{Class, Verdict};
use tests::random::{GUESTS, named_seed};
use tests::sim::{Attendance, Order, Step};

use crate::errors::{CORRECTED, class, pages};
use crate::guests::{check_guest, check_local};
use crate::storm::{Attendants, Storm, storm};
use crate::tally::Tally;

pub fn check(tally: &mut Tally, seed: u64, processors: u16, attendants: Attendants, order: Order) {
    let mut random = fastrand::Rng::with_seed(seed);
    let storm = storm(&mut random, processors, attendants);
    let outcomes = storm.run(order);
    let about = format!("seed {seed}, {processors} processors, {attendants:?}, {order:?}");
    if named_seed().is_some() {
        storm.tell(&about);
    }
    for (signal, outcome) in storm.signals.iter().zip(&outcomes) {
        let is_fatal = |verdict: &Verdict| matches!(verdict, Verdict::Fatal { .. });
        assert!(
            !outcome.iter().any(is_fatal),
            "{about}: {signal:?} {outcome:?}"
        );
    }
    check_records(&storm, &about);
    check_memory(&storm, &about);
    check_flushes(&storm, &about);
    storm.drain(&about);
    for guest in 0..GUESTS {
        check_guest(&storm, guest, &about);
    }
    check_local(&storm, &about);
    tally.add(&storm);
}

/// Every error has one record, and is in no bank any more. Corrected ones may be left to the poll.
fn check_records(storm: &Storm, about: &str) {
    let world = storm.world();
    let told = world.picked(|_, event| match *event {
        Event::BankError {
            status, addr, misc, ..
        } => Some((status, addr, misc)),
        _ => None,
    });
    let banks = world.banks();
    let left = banks.iter().filter(|bank| bank.status != 0);
    let left: Vec<_> = left
        .map(|bank| (bank.status, bank.addr, bank.misc))
        .collect();
    assert!(
        left.iter().all(|(status, ..)| *status == CORRECTED),
        "{about}: {left:x?}"
    );
    let raised = storm.raised();
    let mut raised: Vec<_> = raised.iter().map(|r| (r.status, r.addr, r.misc)).collect();
    let mut all = [told, left].concat();
    all.sort_unstable();
    raised.sort_unstable();
    assert_eq!(all, raised, "{about}");
}

/// The pages of all errors are out of use, and no processor that is alive can reach them.
fn check_memory(storm: &Storm, about: &str) {
    let world = storm.world();
    let lost: BTreeSet<_> = storm
        .raised()
        .iter()
        .filter(|raise| matches!(class(raise), Class::Srao | Class::Srar))
        .flat_map(pages)
        .collect();
    let retired: BTreeSet<_> = world.retired().into_iter().collect();
    assert_eq!(retired, lost, "{about}");
    for signal in &storm.signals {
        let on = signal.processor;
        if signal.attendance != Attendance::Never {
            assert!(!world.has_stale_translations(on), "{about}: processor {on}");
            assert_eq!(world.mcg_status(on), 0, "{about}: processor {on}");
        }
    }
}

/// Whoever has taken a page out of use goes on when all processors have flushed since, local machine check or not.
fn check_flushes(storm: &Storm, about: &str) {
    let world = storm.world();
    let is_named = |event: &Event| {
        matches!(
            event,
            Event::Missing { .. } | Event::Unflushed { .. } | Event::Late {}
        )
    };
    if !world
        .picked(|_, event| is_named(event).then_some(()))
        .is_empty()
    {
        return;
    }
    let steps = world.steps();
    for (at, (by, step)) in steps.iter().enumerate() {
        let Step::Retire(page) = step else { continue };
        let until = steps[at..]
            .iter()
            .position(|(on, step)| on == by && *step == Step::ClearMcgStatus);
        let until = at + until.expect("it goes on");
        for signal in &storm.signals {
            let has_flushed = steps[at..until]
                .iter()
                .any(|(on, step)| on.0 == signal.processor && *step == Step::Flush);
            let on = signal.processor;
            assert!(
                has_flushed,
                "{about}: processor {on} has {page:x?} when {by:?} goes on"
            );
        }
    }
}
