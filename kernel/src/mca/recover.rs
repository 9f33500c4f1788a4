//! Recovery, by one processor for all: pages out of use, and who is hit.

use msr_runtime::ErrorRecord;

use super::code::ErrorCode;
use super::extent::Extent;
use super::grade::Class;
use super::machine::{Machine, Owner};
use super::pool::{Effect, Finding};
use super::registers::Status;
use super::shared::Shared;
use crate::event::Event;
use crate::sync::Ordering;
use crate::units::{Gpa, GuestId, Hpa, PAGE_SIZE, VcpuId};
use crate::vmce::{Routes, StopReason};

/// What a recovery has changed for other processors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recovered {
    /// Pages went out of use.
    pub retired: bool,
    /// vCPUs have mail, or guests are to be stopped.
    pub posted: bool,
}

impl Recovered {
    pub fn others_concerned(self) -> bool {
        self.retired || self.posted
    }
}

pub(super) struct Recovery<'a, M, const P: usize> {
    shared: &'a Shared<P>,
    machine: &'a M,
    routes: Routes<'a, M>,
    retired: bool,
}

impl<'a, M: Machine, const P: usize> Recovery<'a, M, P> {
    /// `local` is the vCPU whose processor was told alone. Made where it stays: it is too large to be moved about.
    #[inline(always)]
    pub fn new(shared: &'a Shared<P>, machine: &'a M, local: Option<VcpuId>) -> Self {
        let serial = shared.serial.load(Ordering::Relaxed);
        Self {
            shared,
            machine,
            routes: Routes::new(machine, serial, local),
            retired: false,
        }
    }

    /// Handles everything in the pool.
    pub fn run(&mut self) -> Recovered {
        let shared = self.shared;
        for finding in shared.pool.iter() {
            match finding.effect {
                Effect::ContextLost(vcpu) => self.routes.lose_context(&finding, vcpu),
                _ if self.is_told_elsewhere(&finding) => {}
                _ => self.locate(&finding),
            }
        }
        if self.retired {
            shared.flushes.begin();
        }
        Recovered {
            retired: self.retired,
            posted: self.routes.send(),
        }
    }

    /// A bystander owns the bank, and a consumer of the same error has its own finding.
    fn is_told_elsewhere(&self, finding: &Finding) -> bool {
        let consumed =
            |other: Finding| other.effect != Effect::Untouched && other.record == finding.record;
        finding.class == Class::Srar
            && finding.effect == Effect::Untouched
            && self.shared.pool.iter().any(consumed)
    }

    /// Takes the memory of a finding out of use, and finds whom that hits.
    fn locate(&mut self, finding: &Finding) {
        let code = ErrorCode(Status::from(finding.record.status).mcacod());
        if finding.class == Class::Srao && !code.is_known_optional() {
            return;
        }
        let consumer = match finding.effect {
            Effect::Consumed(vcpu) => Some(vcpu.guest),
            _ => None,
        };
        let Some(extent) = Extent::of(&finding.record) else {
            if let Some(guest) = consumer {
                self.routes.stop(guest, StopReason::NoAddress);
            }
            return;
        };
        let own_page = self.retire_all(finding, extent, consumer);
        if let Some(guest) = consumer
            && !own_page
        {
            self.routes.stop(guest, StopReason::ForeignPage);
        }
    }

    /// Takes pages out of use. Returns whether one of them is `consumer`'s.
    fn retire_all(&mut self, finding: &Finding, extent: Extent, consumer: Option<GuestId>) -> bool {
        let mut own_page = false;
        let mut run: Option<Run> = None;
        for page in extent.pages() {
            let owner = self.machine.owner_of(page);
            self.retire(page, owner);
            let Owner::Guest { guest, gpa } = owner else {
                self.end(finding, extent, run.take());
                continue;
            };
            own_page |= consumer == Some(guest);
            match &mut run {
                Some(run) if run.goes_on_with(guest, gpa) => run.pages += 1,
                _ => self.end(
                    finding,
                    extent,
                    run.replace(Run {
                        guest,
                        gpa,
                        hpa: page,
                        pages: 1,
                    }),
                ),
            }
        }
        self.end(finding, extent, run);
        own_page
    }

    fn retire(&mut self, page: Hpa, owner: Owner) {
        self.shared.progress.fetch_add(1, Ordering::Relaxed);
        if owner == Owner::Hypervisor {
            self.machine.emit(Event::HypervisorHit { hpa: page });
            return;
        }
        if owner == Owner::Free {
            self.machine.emit(Event::FreeHit { hpa: page });
        }
        if !self.machine.retire(page, owner) {
            return;
        }
        self.retired = true;
        self.machine.emit(match owner {
            Owner::Guest { guest, gpa } => Event::PageRetired {
                hpa: page,
                guest,
                gpa,
            },
            _ => Event::FreePageRetired { hpa: page },
        });
    }

    fn end(&mut self, finding: &Finding, extent: Extent, run: Option<Run>) {
        let Some(Run {
            guest,
            gpa,
            hpa,
            pages,
        }) = run
        else {
            return;
        };
        self.machine.emit(Event::GuestHit {
            guest,
            gpa,
            hpa,
            pages,
        });
        let address = gpa.0 + extent.offset;
        let record = ErrorRecord {
            address,
            ..finding.record
        };
        self.routes.hit(finding, guest, record, pages);
    }
}

/// Pages that lie side by side for the host and for the guest.
struct Run {
    guest: GuestId,
    gpa: Gpa,
    hpa: Hpa,
    pages: u32,
}

impl Run {
    fn goes_on_with(&self, guest: GuestId, gpa: Gpa) -> bool {
        self.guest == guest && self.gpa.plus(u64::from(self.pages) * PAGE_SIZE) == gpa
    }
}
