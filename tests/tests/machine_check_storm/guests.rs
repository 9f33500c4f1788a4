//! What guests are told.

use std::collections::BTreeSet;

use kernel::mca::{Class, Interrupted};
use kernel::units::{Hpa, PAGE_SIZE, VcpuId};
use kernel::vmce::StopReason;
use tests::random::{GUESTS, is_in, memory_of};
use tests::sim::{Raise, Seen, running};

use crate::errors::{class, owner, pages};
use crate::storm::Storm;

/// The errors that `guest` has consumed on its own processors, with the vCPU and whether their #MC was local.
fn consumed(storm: &Storm, guest: u8) -> Vec<(u8, bool, Raise)> {
    let raised = storm.world().raised.borrow();
    let mut all = Vec::new();
    for signal in &storm.signals {
        for call in &signal.calls {
            let Interrupted::Guest(VcpuId { guest: on, index }) = call.interrupted else {
                continue;
            };
            for raise in call.raises.iter().filter(|r| class(r) == Class::Srar) {
                let happened = raised
                    .iter()
                    .any(|(by, _, one)| by.0 == signal.processor && one == raise);
                if on.0 == guest && happened {
                    all.push((index, call.mcg_status & 8 != 0, *raise));
                }
            }
        }
    }
    all
}

/// A guest is told of every page that it has lost, a consumer of what it has consumed; or it is stopped, for a reason.
pub fn check_guest(storm: &Storm, guest: u8, about: &str) {
    let about = format!("{about}: guest {guest}");
    let state = &storm.world().guests[usize::from(guest)];
    let lost: BTreeSet<_> = storm
        .raised()
        .iter()
        .filter(|raise| matches!(class(raise), Class::Srao | Class::Srar))
        .flat_map(pages)
        .filter(|page| is_in(guest, *page))
        .collect();
    let consumed = consumed(storm, guest);
    let is_foreign = |raise: &Raise| pages(raise).all(|page| owner(page) != Some(guest));
    let has_foreign = consumed.iter().any(|(_, _, raise)| is_foreign(raise));
    if let Some(reason) = state.stopped.get() {
        let machine_checks = machine_checks_of(storm, guest);
        let is_due = match reason {
            StopReason::ForeignPage => has_foreign,
            StopReason::InProgress => machine_checks > 1,
            StopReason::TooManyErrors => lost.len() > 32,
            _ => false,
        };
        assert!(is_due, "{about}: {reason:?} of {machine_checks}");
        return;
    }
    assert!(!has_foreign, "{about}: goes on after foreign memory");
    let seen: Vec<Vec<Seen>> = (0..state.vcpus.len() as u8)
        .map(|vcpu| state.seen(vcpu))
        .collect();
    let shown: BTreeSet<_> = seen
        .iter()
        .flatten()
        .filter_map(|seen| seen.record)
        .map(|record| Hpa(memory_of(guest).start + record.address / PAGE_SIZE * PAGE_SIZE))
        .collect();
    assert_eq!(shown, lost, "{about}");
    for (vcpu, _, raise) in &consumed {
        let is_it = |seen: &&Seen| {
            let record = seen.record.filter(|record| record.status == raise.status);
            record.is_some_and(|record| {
                pages(raise).any(|page| {
                    page.0 - memory_of(guest).start == record.address / PAGE_SIZE * PAGE_SIZE
                })
            })
        };
        let told = seen[usize::from(*vcpu)].iter().find(is_it);
        let told =
            told.unwrap_or_else(|| panic!("{about}: vCPU {vcpu} consumed {raise:x?}: {seen:x?}"));
        assert_eq!(told.mcg_status & 2, 2, "{about}: EIPV of vCPU {vcpu}");
    }
}

/// #MCs of the host that concern a guest: its memory, or a context of its vCPUs.
fn machine_checks_of(storm: &Storm, guest: u8) -> usize {
    let raised = storm.world().raised.borrow();
    let mut all = BTreeSet::new();
    for signal in &storm.signals {
        let mut broadcasts = 0;
        for (number, call) in signal.calls.iter().enumerate() {
            let is_local = call.mcg_status & 8 != 0;
            broadcasts += usize::from(!is_local);
            let hits = call.raises.iter().any(|raise| {
                let happened = raised
                    .iter()
                    .any(|(by, _, one)| by.0 == signal.processor && one == raise);
                happened && pages(raise).any(|page| is_in(guest, page))
            });
            let loses = matches!(call.interrupted, Interrupted::Guest(vcpu) if vcpu.guest.0 == guest)
                && call.mcg_status & 1 == 0;
            if hits || loses {
                // A processor that is late, or a bank that two share, may split a broadcast one: count it for each.
                all.insert((is_local, signal.processor, number, broadcasts));
            }
        }
    }
    all.len()
}

/// What was local on a vCPU that had local ones enabled is nobody else's.
pub fn check_local(storm: &Storm, about: &str) {
    for guest in 0..GUESTS {
        let state = &storm.world().guests[usize::from(guest)];
        for vcpu in 0..state.vcpus.len() as u8 {
            let local: Vec<_> = state
                .seen(vcpu)
                .into_iter()
                .filter(|seen| seen.mcg_status & 8 != 0)
                .collect();
            assert!(
                storm.local_enabled || local.is_empty(),
                "{about}: guest {guest} vCPU {vcpu}: {local:x?}"
            );
            for seen in local {
                let own = storm.signals.iter().any(|signal| {
                    signal.calls.iter().any(|call| {
                        call.interrupted == running(guest, vcpu) && call.mcg_status & 8 != 0
                    })
                });
                assert!(own, "{about}: guest {guest} vCPU {vcpu}: {seen:x?}");
            }
        }
    }
}
