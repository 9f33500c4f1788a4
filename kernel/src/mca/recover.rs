//! Recovery, by one processor for all: pages out of use, and who is hit.

use super::extent::Extent;
use super::shared::Shared;
use crate::mc::event::Event;
use crate::mc::finding::{Effect, Finding};
use crate::mc::grade::Class;
use crate::mc::machine::{Machine, Owner};
use crate::mc::registers::Status;
use crate::mc::stop::StopReason;
use crate::sync::Ordering;
use crate::units::{Gpa, GuestId, Hpa, PAGE_SIZE, VcpuId};
use crate::vmce::{Post, Routes};

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

/// One error, in one page, of one guest, and no other finding: told apart, so that it does not pay for what is rare.
struct Ordinary {
    finding: Finding,
    extent: Extent,
    guest: GuestId,
    /// The page, as the guest counts.
    gpa: Gpa,
}

/// The recovery of one machine check.
pub(super) struct Recovery<'a, M, const P: usize> {
    pub shared: &'a Shared<P>,
    pub machine: &'a M,
    /// The class of the worst error.
    pub worst: Class,
    /// The vCPU whose processor was told alone.
    pub local: Option<VcpuId>,
}

/// The recovery of anything.
struct General<'a, M, const P: usize> {
    shared: &'a Shared<P>,
    machine: &'a M,
    routes: Routes<'a, M>,
    retired: bool,
}

impl<M: Machine, const P: usize> Recovery<'_, M, P> {
    /// Handles everything in the pool.
    #[inline(always)]
    pub fn run(&self) -> Recovered {
        match self.ordinary() {
            Some(ordinary) => self.run_ordinary(&ordinary),
            None => self.run_all(),
        }
    }

    /// What has been found, if it is what most machine checks are about.
    #[inline(always)]
    fn ordinary(&self) -> Option<Ordinary> {
        let finding = self.shared.pool.only()?;
        let class = finding.who.class();
        let code = Status::from(finding.record.status).code();
        let is_recoverable =
            class == Class::Srar || class == Class::Srao && code.is_known_optional();
        let extent = Extent::of(&finding.record)?;
        if !is_recoverable || extent.pages != 1 {
            return None;
        }
        let Owner::Guest { guest, gpa } = self.machine.owner_of(extent.first) else {
            return None;
        };
        let consumer = finding.who.consumer();
        let is_foreign = consumer.is_some_and(|vcpu| vcpu.guest != guest);
        (!is_foreign).then_some(Ordinary {
            finding,
            extent,
            guest,
            gpa,
        })
    }

    #[inline(always)]
    fn run_ordinary(&self, ordinary: &Ordinary) -> Recovered {
        let &Ordinary {
            ref finding,
            extent,
            guest,
            gpa,
        } = ordinary;
        let (hpa, pages) = (extent.first, 1);
        let hit = Event::GuestHit {
            guest,
            gpa,
            hpa,
            pages,
        };
        let is_new = self.machine.retire(hpa, Owner::Guest { guest, gpa })
            || self.shared.flushes.is_going_out(hpa);
        if is_new {
            self.shared.flushes.begin();
            let retired = Event::PageRetired {
                hpa,
                guest,
                gpa,
                pages,
            };
            self.machine.emit_three([self.worst(), retired, hit]);
        } else {
            self.machine.emit(self.worst());
            self.machine.emit(hit);
        }
        let record = extent.record(&finding.record, gpa);
        Recovered {
            retired: is_new,
            posted: self.post().send_one(finding, guest, record, self.local),
        }
    }

    #[cold]
    #[inline(never)]
    fn run_all(&self) -> Recovered {
        self.machine.emit(self.worst());
        General {
            shared: self.shared,
            machine: self.machine,
            routes: Routes::new(self.post(), self.local),
            retired: false,
        }
        .run()
    }

    fn worst(&self) -> Event {
        Event::Worst {
            class: self.worst,
            owner: self.machine.processor(),
        }
    }

    #[inline(always)]
    fn post(&self) -> Post<'_, M> {
        Post {
            machine: self.machine,
            serial: self.shared.serial.load(Ordering::Relaxed),
        }
    }
}

impl<M: Machine, const P: usize> General<'_, M, P> {
    fn run(&mut self) -> Recovered {
        let shared = self.shared;
        for finding in shared.pool.iter() {
            if !self.is_told_elsewhere(&finding) {
                self.locate(&finding);
            }
        }
        if self.retired {
            shared.flushes.begin();
        }
        Recovered {
            retired: self.retired,
            posted: self.routes.send(shared.take_lost_contexts()),
        }
    }

    /// A bystander owns the bank, and a consumer of the same error has its own finding.
    fn is_told_elsewhere(&self, finding: &Finding) -> bool {
        let consumed = |other: Finding| {
            other.who.effect() != Effect::Untouched && other.record == finding.record
        };
        finding.who.class() == Class::Srar
            && finding.who.effect() == Effect::Untouched
            && self.shared.pool.iter().any(consumed)
    }

    /// Takes the memory of a finding out of use, and finds whom that hits.
    fn locate(&mut self, finding: &Finding) {
        let code = Status::from(finding.record.status).code();
        if finding.who.class() == Class::Srao && !code.is_known_optional() {
            return;
        }
        let consumer = finding.who.consumer().map(|vcpu| vcpu.guest);
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
        // Pages side by side are told together: an error may be about a whole GiB.
        let (mut hit, mut retired) = (None, None);
        for page in extent.pages() {
            self.shared.progress.fetch_add(1, Ordering::Relaxed);
            let owner = self.machine.owner_of(page);
            let is_new = match owner {
                Owner::Hypervisor | Owner::Firmware => false,
                Owner::Free | Owner::Guest { .. } => {
                    self.machine.retire(page, owner) || self.shared.flushes.is_going_out(page)
                }
            };
            self.retired |= is_new;
            own_page |= owner.is_guest(consumer);
            let next = is_new.then_some((page, owner));
            if let Some(run) = Run::go_on(&mut retired, next) {
                self.machine.emit(run.retired());
            }
            if let Some(run) = Run::go_on(&mut hit, Some((page, owner))) {
                self.tell_hit(finding, extent, run);
            }
        }
        if let Some(run) = retired {
            self.machine.emit(run.retired());
        }
        if let Some(run) = hit {
            self.tell_hit(finding, extent, run);
        }
        own_page
    }

    fn tell_hit(&mut self, finding: &Finding, extent: Extent, run: Run) {
        self.machine.emit(run.hit());
        if let Owner::Guest { guest, gpa } = run.owner {
            let record = extent.record(&finding.record, gpa);
            self.routes.hit(finding, guest, record, run.pages);
        }
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

    /// They went out of use.
    fn retired(self) -> Event {
        let Self { owner, hpa, pages } = self;
        match owner {
            Owner::Guest { guest, gpa } => Event::PageRetired {
                hpa,
                guest,
                gpa,
                pages,
            },
            _ => Event::FreePageRetired { hpa, pages },
        }
    }

    /// They were hit.
    fn hit(self) -> Event {
        let Self { owner, hpa, pages } = self;
        match owner {
            Owner::Guest { guest, gpa } => Event::GuestHit {
                guest,
                gpa,
                hpa,
                pages,
            },
            Owner::Hypervisor => Event::HypervisorHit { hpa, pages },
            Owner::Free => Event::FreeHit { hpa, pages },
            Owner::Firmware => Event::FirmwareHit { hpa, pages },
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
