//! Storms of machine checks: broadcast and local ones at once, one after the other on the same processor while its guest's handler
//! still runs or has come to its end, with processors that are late or never come. Nothing in them is fatal, so no processor may
//! be lost, and every error has to be found again: in one record, in the pages out of use, and at the guest that it hit.
//!
//! `BANKSHOT_SEED=N cargo test -p tests --test machine_check_storm` runs one seed of each test alone, and
//! prints what happened in it.

mod check;
mod errors;
mod guests;
mod storm;
mod tally;

use kernel::mca::{FatalReason, Verdict};
use kernel::vmce::StopReason;
use tests::random::seeds;
use tests::sim::Order;

use check::check;
use errors::{FATAL, raise};
use storm::{Attendants, storm};
use tally::Tally;

fn orders(seed: u64) -> [Order; 2] {
    [Order::Turns, Order::Random(seed)]
}

#[test]
fn broadcast_and_local_ones_at_once() {
    let mut tally = Tally::default();
    for seed in seeds(1_500) {
        let processors = [1, 2, 3, 4, 8][seed as usize % 5];
        for order in orders(seed) {
            check(&mut tally, seed, processors, Attendants::All, order);
        }
    }
    if tally.storms > 2 {
        assert!(
            tally.records > 2_000 && tally.local > 300,
            "{} {}",
            tally.records,
            tally.local
        );
        let stopped = &tally.stopped;
        for reason in [StopReason::InProgress, StopReason::ForeignPage] {
            assert!(stopped.get(reason.word()) > Some(&50), "{stopped:?}");
        }
    }
}

#[test]
fn some_late() {
    let mut tally = Tally::default();
    for seed in seeds(200) {
        let processors = [2, 3, 4, 8][seed as usize % 4];
        for order in orders(seed) {
            check(&mut tally, seed, processors, Attendants::SomeLate, order);
        }
    }
    assert!(
        tally.storms <= 2 || tally.late > 50 && tally.missing > 50,
        "{} {}",
        tally.late,
        tally.missing
    );
}

#[test]
fn some_missing() {
    let mut tally = Tally::default();
    for seed in seeds(200) {
        let processors = [2, 3, 4, 8][seed as usize % 4];
        for order in orders(seed) {
            check(&mut tally, seed, processors, Attendants::SomeMissing, order);
        }
    }
    assert!(tally.storms <= 2 || tally.missing > 50, "{}", tally.missing);
}

#[test]
fn large_machines() {
    let mut tally = Tally::default();
    for seed in seeds(6) {
        let processors = [64, 250, 1000][seed as usize % 3];
        let attendants = [Attendants::All, Attendants::SomeLate][seed as usize % 2];
        check(&mut tally, seed, processors, attendants, Order::Turns);
    }
}

/// One error of a storm is fatal: one processor resets the machine, with that error in its bank.
#[test]
fn one_fatal_error() {
    for seed in seeds(300) {
        let processors = [1, 2, 3, 4, 8][seed as usize % 5];
        let mut random = fastrand::Rng::with_seed(seed);
        let mut storm = storm(&mut random, processors, Attendants::All);
        let calls: usize = storm.signals.iter().map(|signal| signal.calls.len()).sum();
        if calls == 0 {
            continue;
        }
        let mut calls: Vec<_> = storm
            .signals
            .iter_mut()
            .flat_map(|s| &mut s.calls)
            .collect();
        let at = random.usize(..calls.len());
        let fatal = raise(&mut random, FATAL, None);
        calls[at].raises = vec![fatal];
        let outcomes = storm.run(Order::Random(seed));
        let about = format!("seed {seed}, {processors} processors");
        let happened = storm.raised().contains(&fatal);
        let reasons: Vec<_> = outcomes
            .iter()
            .flatten()
            .filter_map(|verdict| match verdict {
                Verdict::Fatal { reason, resets } => Some((*reason, *resets)),
                _ => None,
            })
            .collect();
        assert_eq!(!reasons.is_empty(), happened, "{about}: {reasons:?}");
        if !happened {
            continue;
        }
        let resets = reasons.iter().filter(|(_, resets)| *resets).count();
        assert_eq!(resets, 1, "{about}: {reasons:?}");
        assert!(
            reasons
                .iter()
                .any(|(reason, _)| *reason == FatalReason::Bank),
            "{about}: {reasons:?}"
        );
        let left = storm.world().banks();
        assert!(left.iter().any(|bank| bank.status == FATAL), "{about}");
    }
}
