//! Recovery, by one processor for all: pages out of use, and who is hit.

use arrayvec::ArrayVec;
use msr_runtime::ErrorRecord;

use super::code::ErrorCode;
use super::extent::Extent;
use super::grade::Class;
use super::machine::{Machine, Owner};
use super::pool::{CAPACITY, Effect, Finding};
use super::registers::Status;
use super::shared::Shared;
use crate::event::Event;
use crate::sync::Ordering;
use crate::units::{Gpa, GuestId, Hpa, PAGE_SIZE, VcpuId};
use crate::vmce::{Hit, Routes, StopReason};

/// What a recovery has changed for other processors.
#[derive(Clone, Copy, Debug, Default)]
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
    /// The vCPU whose processor was told alone.
    local: Option<VcpuId>,
    hits: ArrayVec<Hit, CAPACITY>,
    result: Recovered,
}

impl<'a, M: Machine, const P: usize> Recovery<'a, M, P> {
    pub fn new(shared: &'a Shared<P>, machine: &'a M, local: Option<VcpuId>) -> Self {
        Self {
            shared,
            machine,
            local,
            hits: ArrayVec::new(),
            result: Recovered::default(),
        }
    }

    /// Handles everything in the pool.
    pub fn run(mut self) -> Recovered {
        let shared = self.shared;
        for finding in shared.pool.iter() {
            match finding.effect {
                Effect::ContextLost(vcpu) => self.hit(Hit::without_record(&finding, vcpu)),
                _ if self.is_told_elsewhere(&finding) => {}
                _ => self.locate(&finding),
            }
        }
        if self.result.retired {
            shared.flushes.begin();
        }
        let serial = shared.serial.load(Ordering::Relaxed);
        let posted = Routes::new(self.machine, serial, self.local).send(&mut self.hits);
        self.result.posted |= posted;
        self.result
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
                self.stop(guest, StopReason::NoAddress);
            }
            return;
        };
        let own_page = self.retire_all(finding, extent, consumer);
        if let Some(guest) = consumer
            && !own_page
        {
            self.stop(guest, StopReason::ForeignPage);
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
        self.result.retired = true;
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
        self.hit(Hit::new(
            finding,
            guest,
            ErrorRecord {
                address,
                ..finding.record
            },
            pages,
        ));
    }

    fn hit(&mut self, hit: Hit) {
        let guest = hit.guest;
        if self.hits.try_push(hit).is_err() {
            self.stop(guest, StopReason::TooManyErrors);
        }
    }

    fn stop(&mut self, guest: GuestId, reason: StopReason) {
        self.result.posted = true;
        Routes::new(self.machine, 0, None).stop(guest, reason);
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
