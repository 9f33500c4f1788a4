//! The first round: every processor reads and grades its banks. Nothing is cleared.
//!
//! It does so on its way to the gate, where it may have to wait for others. What it has seen counts if nobody has recovered
//! since ([`super::shared::Quiet`]); else it looks again, inside.

use core::cell::Cell;

use arrayvec::ArrayVec;
use msr_runtime::ErrorRecord;

use super::extent::Extent;
use super::mutant::{self, Mutant};
use crate::mc::code::ErrorCode;
use crate::mc::event::Event;
use crate::mc::fatal::FatalReason;
use crate::mc::finding::{Effect, Finding, Who};
use crate::mc::grade::{Class, Grades};
use crate::mc::machine::{Interrupted, Machine, Owner};
use crate::mc::registers::{MAX_BANKS, McgStatus, Status};
use crate::units::{Bank, VcpuId};

/// Why this processor is in a machine check, and what it was doing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Here {
    pub interrupted: Interrupted,
    pub mcg_status: McgStatus,
}

/// How bad what a processor found is: a class, and for `Fatal` a reason; greater is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Severity(u32);

/// An error in a bank, in the first round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub bank: Bank,
    pub finding: Finding,
}

/// What a processor found.
pub(super) struct Scan {
    pub found: ArrayVec<Found, MAX_BANKS>,
    pub severity: Severity,
    /// The hypervisor was copying a guest's memory, and the copy has to fail.
    pub copy_failed: bool,
    /// A bit for each bank whose error has found no room in the pool. It is where it was, for another pass.
    pub left: Cell<u32>,
}

impl Severity {
    pub const NONE: Self = Self(0);

    pub const fn fatal(reason: FatalReason) -> Self {
        Self((Class::Fatal.rank() as u32) << 8 | reason as u32)
    }

    pub fn of(class: Class) -> Self {
        Self(u32::from(class.rank()) << 8)
    }

    pub fn class(self) -> Class {
        Class::from_rank((self.0 >> 8) as u8)
    }

    pub fn fatal_reason(self) -> Option<FatalReason> {
        (self.class() == Class::Fatal).then(|| FatalReason::from_number(u64::from(self.0 & 0xff)))
    }

    pub const fn to_word(self) -> u32 {
        self.0
    }

    pub const fn from_word(word: u32) -> Self {
        Self(word)
    }
}

impl Here {
    /// Says that this processor is in a machine check, and in which context.
    pub fn tell<M: Machine>(&self, machine: &M) {
        let mcg_status = self.mcg_status.into();
        machine.emit(match self.interrupted {
            Interrupted::Guest(VcpuId { guest, index: vcpu }) => Event::EnteredGuest {
                guest,
                vcpu,
                mcg_status,
            },
            Interrupted::Hypervisor { .. } => Event::EnteredHypervisor { mcg_status },
        });
    }

    /// What an error of this class means for this processor's context.
    #[inline(always)]
    fn affected<M: Machine>(&self, machine: &M, class: Class) -> Who {
        let who = Who::new()
            .with_processor(machine.processor())
            .with_class(class);
        let is_bystander = self.mcg_status.is_bystander() && !self.mcg_status.lmce_s();
        if class != Class::Srar || is_bystander {
            return who;
        }
        match self.interrupted {
            Interrupted::Guest(vcpu) => who.with_effect(Effect::Consumed).with_vcpu(vcpu),
            Interrupted::Hypervisor { .. } => who.with_effect(Effect::CopyFailed),
        }
    }

    /// The interrupted context cannot go on whatever the banks say.
    fn severity(&self) -> Severity {
        match self.interrupted {
            Interrupted::Hypervisor { .. } if !self.mcg_status.ripv() => {
                Severity::fatal(FatalReason::HypervisorContext)
            }
            _ => Severity::NONE,
        }
    }
}

/// What a bank that holds `status` holds besides.
#[inline(always)]
pub(super) fn record<M: Machine>(machine: &M, bank: Bank, status: Status) -> ErrorRecord {
    let address = if status.addrv() {
        machine.read_msr(bank.addr())
    } else {
        0
    };
    let misc = if status.miscv() {
        machine.read_msr(bank.misc())
    } else {
        0
    };
    ErrorRecord {
        status: status.into(),
        address,
        misc,
    }
}

impl Found {
    /// The error of `bank`, which holds `status`, of that class.
    #[inline(always)]
    pub fn new<M: Machine>(
        machine: &M,
        here: &Here,
        bank: Bank,
        status: Status,
        class: Class,
    ) -> Self {
        Self {
            bank,
            finding: Finding {
                who: here.affected(machine, class),
                record: record(machine, bank, status),
            },
        }
    }

    /// It is about memory that has to go out of use.
    #[inline(always)]
    pub fn matters(&self) -> bool {
        matches!(self.class(), Class::Srao | Class::Srar)
    }

    /// Its class.
    pub fn class(&self) -> Class {
        self.finding.who.class()
    }

    /// Its MCACOD.
    pub fn code(&self) -> ErrorCode {
        Status::from(self.finding.record.status).code()
    }

    /// How bad it is where it was found.
    #[inline(always)]
    pub fn severity<M: Machine>(&self, machine: &M, here: &Here) -> Severity {
        match self.class() {
            Class::Fatal => Severity::fatal(FatalReason::Bank),
            Class::Srar => self.severity_of_required(machine, here),
            class => Severity::of(class),
        }
    }

    fn severity_of_required<M: Machine>(&self, machine: &M, here: &Here) -> Severity {
        if !self.code().is_known_required() {
            return Severity::fatal(FatalReason::UnknownRequired);
        }
        let extent = Extent::of(&self.finding.record);
        if self.finding.who.effect() == Effect::CopyFailed {
            let guarded = here.interrupted == Interrupted::Hypervisor { fix_up: true };
            if !guarded || extent.is_none() {
                return Severity::fatal(FatalReason::HypervisorConsumed);
            }
        }
        let hypervisors = |page| machine.owner_of(page) == Owner::Hypervisor;
        if extent.is_some_and(|extent| extent.pages().any(hypervisors)) {
            return Severity::fatal(FatalReason::HypervisorPage);
        }
        Severity::of(Class::Srar)
    }
}

impl Scan {
    /// Nothing read yet. Made where it stays: it is too large to be moved about.
    #[inline(always)]
    pub fn new(here: &Here) -> Self {
        Self {
            found: ArrayVec::new_const(),
            severity: here.severity(),
            copy_failed: false,
            left: Cell::new(0),
        }
    }

    /// Reads and grades the banks of this processor.
    #[inline(always)]
    pub fn read<M: Machine>(&mut self, machine: &M, here: &Here) {
        let cap = machine.capabilities();
        let grades = Grades::of(cap.ser_p());
        for bank in (0..cap.banks()).map(Bank) {
            let status = Status::from(machine.read_msr(bank.status()));
            let class = grades.class(status);
            if class != Class::None {
                self.add(machine, here, bank, status, class);
            }
        }
    }

    /// An error has found no room in the pool.
    #[cold]
    #[inline(never)]
    pub fn leave(&self, found: &Found) {
        self.left.set(self.left.get() | 1 << found.bank.0);
    }

    /// Leaves in their banks the errors that require action of others: of a local machine check, which one is for this processor.
    ///
    /// A processor consumes one error at a time. Should it share its banks, what else requires action there is what a local #MC is on its
    /// way to another one for. Which is whose no register says; an error in memory of this processor's guest may be
    /// its own. If another one's guest has that memory too, both pages go out of use whoever takes which.
    #[cold]
    #[inline(never)]
    pub fn leave_what_others_consumed<M: Machine>(&mut self, machine: &M, here: &Here) {
        let requires_action = |found: &Found| found.class() == Class::Srar;
        let is_plausible = |found: &Found| {
            requires_action(found)
                && Extent::of(&found.finding.record).is_some_and(|extent| {
                    let owner = machine.owner_of(extent.first);
                    match here.interrupted {
                        Interrupted::Guest(vcpu) => owner.is_guest(Some(vcpu.guest)),
                        Interrupted::Hypervisor { .. } => matches!(owner, Owner::Guest { .. }),
                    }
                })
        };
        let mut found = self.found.iter();
        let own = found.clone().find(|found| is_plausible(found));
        let own = own.or_else(|| found.find(|found| requires_action(found)));
        let own = own.map(|found| found.bank);
        self.found
            .retain(|found| !requires_action(found) || Some(found.bank) == own);
    }

    /// Leaves in their banks all errors that require action. Of a processor that is still being brought up: what it consumes itself is fatal,
    /// so they are others', who share the bank.
    #[cold]
    #[inline(never)]
    pub fn leave_what_was_consumed(&mut self) {
        self.found.retain(|found| found.class() != Class::Srar);
    }

    /// A bank holds an error. Few do, and whoever finds one mostly waits for those who have found none.
    #[inline(never)]
    fn add<M: Machine>(
        &mut self,
        machine: &M,
        here: &Here,
        bank: Bank,
        status: Status,
        class: Class,
    ) {
        let found = Found::new(machine, here, bank, status, class);
        if mutant::is(Mutant::ClearsInFirstRound) {
            machine.write_msr(bank.status(), 0);
        }
        self.severity = self.severity.max(found.severity(machine, here));
        self.copy_failed |= found.finding.who.effect() == Effect::CopyFailed;
        // There are as many places as banks.
        let _ = self.found.try_push(found);
    }
}
