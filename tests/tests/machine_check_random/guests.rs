//! What guests are told.

use std::collections::BTreeSet;

use kernel::units::{Hpa, PAGE_SIZE};
use kernel::vmce::{Delivery, StopReason};
use tests::random::{GUESTS, memory_of};
use tests::sim::{Attendance, running};

use crate::receivers::{Receivers, check_receivers};
use crate::trial::Trial;

/// Every guest learns of all its lost pages, each in a machine check of its own, all vCPUs together.
pub fn check_guests(
    trial: &Trial,
    lost: &BTreeSet<Hpa>,
    stops: &BTreeSet<(u8, &'static str)>,
    errors: &[Hpa],
    receivers: &[Receivers],
    about: &str,
) {
    let simulation = &trial.simulation;
    const DEPTH: usize = 32;
    for guest in 0..GUESTS {
        let state = &simulation.world.guests[usize::from(guest)];
        let mut deliveries = simulation.enter(guest);
        let range = memory_of(guest);
        let met = errors.iter().filter(|page| range.contains(&page.0)).count();
        let must_stop = stops.iter().any(|(stopped, _)| *stopped == guest);
        let is_stopped = |delivery: &Delivery| match delivery {
            Delivery::Stop(reason) => {
                let is_due = stops.contains(&(guest, reason.word()));
                // What is left over of many consumers of one error may be more than the guest can be told.
                assert!(
                    is_due || *reason == StopReason::TooManyErrors && met > DEPTH,
                    "{about}: guest {guest} {reason:?}"
                );
                true
            }
            _ => false,
        };
        let stopped = deliveries.iter().filter(|d| is_stopped(d)).count();
        if must_stop {
            assert_eq!(stopped, deliveries.len(), "{about}: guest {guest}");
        }
        if stopped != 0 {
            continue;
        }
        for _ in 0..20 {
            let same = deliveries.iter().all(|delivery| *delivery == deliveries[0]);
            assert!(same, "{about}: all vCPUs or none: {deliveries:?}");
            if !simulation.finish(guest) {
                break;
            }
            deliveries = simulation.enter(guest);
        }
        check_contexts(trial, guest, about);
        check_receivers(trial, guest, &receivers[usize::from(guest)], about);
        let range = memory_of(guest);
        let want: BTreeSet<_> = lost
            .iter()
            .filter(|page| range.contains(&page.0))
            .map(|page| page.0 - range.start)
            .collect();
        let shown: BTreeSet<_> = (0..state.vcpus.len() as u8)
            .flat_map(|vcpu| state.seen(vcpu))
            .filter_map(|seen| seen.record)
            .map(|record| record.address / PAGE_SIZE * PAGE_SIZE)
            .collect();
        assert_eq!(shown, want, "{about}: guest {guest}");
    }
}

/// RIPV and EIPV of the first #MC are those of the vCPU's own processor; of those that follow, and where none ran it, 1 and 0.
fn check_contexts(trial: &Trial, guest: u8, about: &str) {
    let state = &trial.simulation.world.guests[usize::from(guest)];
    for vcpu in 0..state.vcpus.len() as u8 {
        let own = trial.signals.iter().find(|signal| {
            signal.attendance == Attendance::Comes
                && signal.calls[0].interrupted == running(guest, vcpu)
        });
        let own = own.map_or(5, |signal| signal.calls[0].mcg_status);
        let all = state.seen(vcpu);
        let is_lost = own & 1 == 0;
        assert!(
            !is_lost || !all.is_empty(),
            "{about}: vCPU {vcpu} of guest {guest} has lost its context"
        );
        for (number, seen) in all.iter().enumerate() {
            let is_first = number == 0;
            let about = format!("{about}: guest {guest} vCPU {vcpu} {number}: {seen:?}");
            assert_eq!(seen.mcg_status & 1 == 0, is_first && is_lost, "{about}");
            let is_consumer = is_first && own & 2 != 0;
            assert!(seen.mcg_status & 2 == 0 || is_consumer, "{about}");
        }
    }
}
