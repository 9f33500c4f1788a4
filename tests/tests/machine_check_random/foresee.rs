//! What must come of a machine check, foretold from what is in the banks.

use std::collections::BTreeSet;

use kernel::mca::{Class, Interrupted, McgStatus};
use kernel::units::{GuestId, Hpa, VcpuId};
use kernel::vmce::StopReason;
use tests::random::memory_of;
use tests::sim::{Attendance, Signal};

use crate::meaning::{Meaning, is_hypervisors, meaning};
use crate::trial::Trial;

impl Trial {
    /// Every error as each processor that comes sees it.
    pub fn seen(&self) -> impl Iterator<Item = (&Signal, Meaning)> {
        let world = &self.simulation.world;
        let comes = self
            .signals
            .iter()
            .filter(|signal| signal.attendance == Attendance::Comes);
        comes.flat_map(move |signal| {
            let valid =
                (0..self.banks).filter(|&bank| world.bank(signal.processor, bank).status != 0);
            valid.map(move |bank| (signal, meaning(world, signal.processor, bank)))
        })
    }

    pub fn is_fatal(&self) -> bool {
        let miss = self
            .signals
            .iter()
            .any(|signal| signal.attendance != Attendance::Comes);
        let lost = self.signals.iter().any(|signal| {
            let call = &signal.calls[0];
            matches!(call.interrupted, Interrupted::Hypervisor { .. }) && call.mcg_status & 1 == 0
        });
        let by_error = self.seen().any(|(signal, error)| {
            let call = &signal.calls[0];
            let consumes = !McgStatus::from(call.mcg_status).is_bystander();
            let in_hypervisor = match call.interrupted {
                Interrupted::Hypervisor { fix_up } => {
                    consumes && (!fix_up || error.pages.is_none())
                }
                Interrupted::Guest(_) => false,
            };
            let must_be_used = error
                .pages
                .iter()
                .flatten()
                .any(|page| is_hypervisors(*page));
            match error.class {
                Class::Fatal => true,
                Class::Srar => miss || !error.known || in_hypervisor || must_be_used,
                _ => false,
            }
        });
        lost || by_error || !miss && self.seen().next().is_none()
    }

    /// Pages that have to go out of use.
    pub fn lost_pages(&self) -> BTreeSet<Hpa> {
        self.seen()
            .filter(|(_, error)| error.known && matches!(error.class, Class::Srao | Class::Srar))
            .flat_map(|(_, error)| error.pages.unwrap_or_default())
            .filter(|page| !is_hypervisors(*page))
            .collect()
    }

    /// Why guests have to be stopped: a consumer whose record says no address, or one in memory that its guest has not.
    pub fn stops(&self) -> BTreeSet<(u8, &'static str)> {
        let consumers = self.seen().filter_map(|(signal, error)| {
            let call = &signal.calls[0];
            let Interrupted::Guest(VcpuId {
                guest: GuestId(guest),
                ..
            }) = call.interrupted
            else {
                return None;
            };
            let consumes = !McgStatus::from(call.mcg_status).is_bystander();
            (consumes && error.class == Class::Srar).then_some((guest, error))
        });
        let reasons = consumers.filter_map(|(guest, error)| {
            let range = memory_of(guest);
            match error.pages {
                None => Some((guest, StopReason::NoAddress.word())),
                Some(pages) if pages.iter().any(|page| range.contains(&page.0)) => None,
                Some(_) => Some((guest, StopReason::ForeignPage.word())),
            }
        });
        reasons.collect()
    }
}
