//! Who of a guest is told first.

use std::collections::{BTreeMap, BTreeSet};

use kernel::mca::{Class, Interrupted, McgStatus, Status};
use kernel::units::PAGE_SIZE;
use tests::random::memory_of;
use tests::sim::Signal;

use crate::trial::Trial;

/// Who of a guest has to get a record in its first #MC.
#[derive(Default)]
pub struct Receivers {
    /// The pages that a vCPU has consumed.
    pub consumed: BTreeMap<u8, BTreeSet<u64>>,
    /// There is an error that nobody has consumed, and no processor that found it has another one to tell of.
    pub has_optional: bool,
}

impl Trial {
    pub fn receivers(&self, guest: u8) -> Receivers {
        let range = memory_of(guest);
        let consumer = |signal: &Signal| match signal.calls[0].interrupted {
            Interrupted::Guest(vcpu)
                if !McgStatus::from(signal.calls[0].mcg_status).is_bystander() =>
            {
                (vcpu.guest.0 == guest).then_some(vcpu.index)
            }
            _ => None,
        };
        let mut receivers = Receivers::default();
        let (mut found, mut consumers) = (BTreeSet::new(), BTreeSet::new());
        for (signal, error) in self.seen().filter(|(_, error)| error.known) {
            let pages = error.pages.iter().flatten();
            let pages: Vec<_> = pages.filter(|page| range.contains(&page.0)).collect();
            if pages.is_empty() {
                continue;
            }
            match (error.class, consumer(signal)) {
                (Class::Srar, Some(vcpu)) => {
                    let pages = pages.iter().map(|page| page.0 - range.start);
                    receivers.consumed.entry(vcpu).or_default().extend(pages);
                    consumers.insert(signal.processor);
                }
                (Class::Srao, _) => {
                    found.insert(signal.processor);
                }
                _ => {}
            }
        }
        receivers.has_optional = !found.is_empty() && found.is_disjoint(&consumers);
        receivers
    }
}

/// A consumer gets a record of its own first; what nobody has consumed goes to the first vCPU that is free.
pub fn check_receivers(trial: &Trial, guest: u8, receivers: &Receivers, about: &str) {
    let state = &trial.simulation.world.guests[usize::from(guest)];
    let vcpus = 0..state.vcpus.len() as u8;
    let first = |vcpu| state.seen(vcpu).first().and_then(|seen| seen.record);
    for vcpu in vcpus.clone() {
        let record = first(vcpu);
        let about = format!("{about}: guest {guest} vCPU {vcpu}: {record:x?}");
        let requires = record.is_some_and(|record| Status::from(record.status).ar());
        let consumed = receivers.consumed.get(&vcpu);
        assert_eq!(requires, consumed.is_some(), "{about}");
        if let (Some(record), Some(pages)) = (record, consumed) {
            let page = record.address / PAGE_SIZE * PAGE_SIZE;
            assert!(pages.contains(&page), "{about}: it consumed {pages:x?}");
        }
    }
    let free = vcpus
        .clone()
        .find(|vcpu| !receivers.consumed.contains_key(vcpu));
    if let Some(free) = free.filter(|_| receivers.has_optional) {
        let about = format!("{about}: guest {guest}: vCPU {free} is free");
        assert!(first(free).is_some(), "{about}");
    }
}
