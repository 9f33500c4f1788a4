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
use crate::units::{GuestId, Hpa, PAGE_SIZE, VcpuId};
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
    #[inline(always)]
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
    #[inline(always)]
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
    #[inline(always)]
    fn retire_all(&mut self, finding: &Finding, extent: Extent, consumer: Option<GuestId>) -> bool {
        let mut own_page = false;
        // Pages side by side are told together: an error may be about a whole GiB.
        let (mut hit, mut retired) = (None, None);
        for page in extent.pages() {
            self.shared.progress.fetch_add(1, Ordering::Relaxed);
            let owner = self.machine.owner_of(page);
            own_page |= matches!(owner, Owner::Guest { guest, .. } if consumer == Some(guest));
            let is_new = match owner {
                Owner::Hypervisor | Owner::Firmware => false,
                Owner::Free | Owner::Guest { .. } => self.machine.retire(page, owner),
            };
            self.retired |= is_new;
            let next = is_new.then_some((page, owner));
            if let Some(run) = Run::go_on(&mut retired, next) {
                self.tell_retired(run);
            }
            if let Some(run) = Run::go_on(&mut hit, Some((page, owner))) {
                self.tell_hit(finding, extent, run);
            }
        }
        if let Some(run) = retired {
            self.tell_retired(run);
        }
        if let Some(run) = hit {
            self.tell_hit(finding, extent, run);
        }
        own_page
    }

    fn tell_retired(&self, Run { owner, hpa, pages }: Run) {
        self.machine.emit(match owner {
            Owner::Guest { guest, gpa } => Event::PageRetired {
                hpa,
                guest,
                gpa,
                pages,
            },
            _ => Event::FreePageRetired { hpa, pages },
        });
    }

    fn tell_hit(&mut self, finding: &Finding, extent: Extent, Run { owner, hpa, pages }: Run) {
        let (guest, gpa) = match owner {
            Owner::Guest { guest, gpa } => (guest, gpa),
            Owner::Hypervisor => return self.machine.emit(Event::HypervisorHit { hpa, pages }),
            Owner::Free => return self.machine.emit(Event::FreeHit { hpa, pages }),
            Owner::Firmware => return self.machine.emit(Event::FirmwareHit { hpa, pages }),
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

/// Pages that lie side by side for the host and, if they are a guest's, for it.
#[derive(Clone, Copy)]
struct Run {
    /// Whose the first is.
    owner: Owner,
    hpa: Hpa,
    pages: u32,
}

impl Run {
    /// Adds a page to the run, or begins another; none ends it. Returns the run that has ended.
    #[inline(always)]
    fn go_on(run: &mut Option<Self>, page: Option<(Hpa, Owner)>) -> Option<Self> {
        let Some((hpa, owner)) = page else {
            return run.take();
        };
        match run {
            Some(run) if run.goes_on_with(hpa, owner) => {
                run.pages += 1;
                None
            }
            _ => run.replace(Self {
                owner,
                hpa,
                pages: 1,
            }),
        }
    }

    fn goes_on_with(&self, hpa: Hpa, owner: Owner) -> bool {
        let bytes = u64::from(self.pages) * PAGE_SIZE;
        let expected = match self.owner {
            Owner::Guest { guest, gpa } => Owner::Guest {
                guest,
                gpa: gpa.plus(bytes),
            },
            owner => owner,
        };
        self.hpa.plus(bytes) == hpa && owner == expected
    }
}
