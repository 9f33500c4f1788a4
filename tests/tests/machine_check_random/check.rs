//! One machine check, from its seed to what must hold after it.

use std::collections::{BTreeMap, BTreeSet};

use kernel::event::Event;
use kernel::mca::{FatalReason, Verdict};
use tests::random::GUESTS;
use tests::sim::{Attendance, Order, Outcome, Step};

use crate::guests::check_guests;
use crate::trial::{Trial, trial};

/// Runs a trial. Returns whether it ended with a reset.
pub fn check(seed: u64, processors: u16, some_miss: bool, order: Order) -> Option<FatalReason> {
    let mut random = fastrand::Rng::with_seed(seed);
    let trial = trial(&mut random, processors, some_miss);
    let world = &trial.simulation.world;
    let (fatal, lost, stops) = (trial.is_fatal(), trial.lost_pages(), trial.stops());
    // The first page of each error, as often as a processor meets it.
    let errors: Vec<_> = trial
        .seen()
        .filter_map(|(_, error)| error.pages?.first().copied())
        .collect();
    let receivers: Vec<_> = (0..GUESTS).map(|guest| trial.receivers(guest)).collect();
    let before = world.banks();
    let visible: BTreeSet<_> = trial.seen().map(|(signal, _)| signal.processor).collect();
    let outcomes = trial.run(order);
    let about = format!(
        "seed {seed}, {processors} processors, {order:?}, {:?}",
        trial.errors
    );

    let came: Vec<_> = trial
        .signals
        .iter()
        .zip(&outcomes)
        .filter(|(s, _)| s.attendance == Attendance::Comes)
        .collect();
    for (signal, outcome) in &came {
        assert_eq!(outcome.len(), 1, "{about}: {signal:?} ends");
        let is_fatal = matches!(outcome[0], Verdict::Fatal { .. });
        assert_eq!(is_fatal, fatal, "{about}: {signal:?} {outcome:?}");
    }
    if came.is_empty() {
        return None;
    }
    if fatal {
        let resets = came
            .iter()
            .filter(|(_, o)| matches!(o[0], Verdict::Fatal { resets: true, .. }))
            .count();
        assert_eq!(resets, 1, "{about}");
        assert_eq!(world.banks(), before, "{about}: banks are intact");
        assert!(world.retired().is_empty(), "{about}");
        let reasons: BTreeSet<_> = came
            .iter()
            .map(|(_, o)| format!("{:?}", reason(o)))
            .collect();
        assert_eq!(reasons.len(), 1, "{about}");
        return reason(came[0].1);
    }
    check_order(&trial, &about);
    check_claims(&trial, &visible, &about);
    assert_eq!(
        world.retired().into_iter().collect::<BTreeSet<_>>(),
        lost,
        "{about}"
    );
    for (signal, _) in &came {
        assert!(!world.has_stale_translations(signal.processor), "{about}");
        assert_eq!(world.mcg_status(signal.processor), 0, "{about}");
    }
    check_guests(&trial, &lost, &stops, &errors, &receivers, &about);
    None
}

fn reason(outcome: &Outcome) -> Option<FatalReason> {
    match outcome[0] {
        Verdict::Fatal { reason, .. } => Some(reason),
        _ => None,
    }
}

/// Everybody has read all its banks before one is cleared, and nobody leaves before all is done.
fn check_order(trial: &Trial, about: &str) {
    let steps = trial.simulation.world.steps();
    let first_clear = steps
        .iter()
        .position(|(_, step)| matches!(step, Step::ClearStatus(_)))
        .unwrap_or(steps.len());
    let mut reads = BTreeMap::new();
    for (processor, step) in &steps[..first_clear] {
        if matches!(step, Step::ReadStatus(_)) {
            *reads.entry(processor.0).or_insert(0u8) += 1;
        }
    }
    let came = trial
        .signals
        .iter()
        .filter(|signal| signal.attendance == Attendance::Comes);
    for signal in came {
        assert!(
            reads.get(&signal.processor) >= Some(&trial.banks),
            "{about}: cleared before all have read"
        );
    }
    let first_gone = steps
        .iter()
        .position(|(_, step)| *step == Step::ClearMcgStatus)
        .expect("they leave");
    let last_done = steps.iter().rposition(|(_, step)| {
        matches!(
            step,
            Step::ClearStatus(_) | Step::Retire(_) | Step::ReadStatus(_) | Step::Flush
        )
    });
    assert!(last_done < Some(first_gone), "{about}: somebody left early");
}

/// Every error that somebody saw has one owner, and one processor has recovered.
fn check_claims(trial: &Trial, visible: &BTreeSet<u16>, about: &str) {
    let world = &trial.simulation.world;
    let claimed = world.picked(|on, event| matches!(event, Event::BankError { .. }).then_some(on));
    let cleared = world
        .steps()
        .iter()
        .filter(|(_, step)| matches!(step, Step::ClearStatus(_)))
        .count();
    assert_eq!(claimed.len(), cleared, "{about}");
    let left = trial
        .errors
        .iter()
        .filter(|&&(processor, bank)| world.bank(processor, bank).status != 0);
    let (left, all) = (left.count(), trial.errors.len());
    assert_eq!(claimed.len() + left, all, "{about}: each has one owner");
    for &(processor, bank) in &trial.errors {
        if visible.contains(&processor) {
            assert_eq!(world.bank(processor, bank).status, 0, "{about}");
        }
    }
    let worst = world.picked(|on, event| match event {
        Event::Worst { owner, .. } => Some((on, *owner)),
        _ => None,
    });
    assert_eq!(worst.len(), 1, "{about}: one recovers");
    assert_eq!(worst[0].0, worst[0].1, "{about}");
}
