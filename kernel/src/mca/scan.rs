//! The first round: every processor reads and grades its banks. Nothing is cleared.

use arrayvec::ArrayVec;
use msr_runtime::ErrorRecord;

use super::code::ErrorCode;
use super::extent::Extent;
use super::fatal::FatalReason;
use super::grade::{Class, grade};
use super::machine::{Interrupted, Machine, Owner};
use super::mutant::{self, Mutant};
use super::pool::Effect;
use super::registers::{MAX_BANKS, McgStatus, Status};
use crate::units::Bank;

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
    pub class: Class,
    pub record: ErrorRecord,
}

/// What a processor found.
pub(super) struct Scan {
    pub found: ArrayVec<Found, MAX_BANKS>,
    pub severity: Severity,
    /// MCG_CAP.MCG_SER_P.
    pub recovery: bool,
    /// The hypervisor was copying a guest's memory, and the copy has to fail.
    pub copy_failed: bool,
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
    /// What an error that requires action means for this processor's context.
    pub fn effect(&self) -> Effect {
        if self.mcg_status.is_bystander() && !self.mcg_status.lmce_s() {
            return Effect::Untouched;
        }
        match self.interrupted {
            Interrupted::Guest(vcpu) => Effect::Consumed(vcpu),
            Interrupted::Hypervisor { .. } => Effect::CopyFailed,
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

impl Found {
    /// Reads a bank; none if it holds nothing.
    pub fn read<M: Machine>(machine: &M, bank: Bank, recovery: bool) -> Option<Self> {
        let status = Status::from(machine.read_msr(bank.status()));
        let class = grade(status, recovery);
        if class == Class::None {
            return None;
        }
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
        Some(Self {
            bank,
            class,
            record: ErrorRecord {
                status: status.into(),
                address,
                misc,
            },
        })
    }

    /// Its MCACOD.
    pub fn code(&self) -> ErrorCode {
        ErrorCode(Status::from(self.record.status).mcacod())
    }

    /// How bad it is where it was found.
    fn severity<M: Machine>(&self, machine: &M, here: &Here) -> Severity {
        match self.class {
            Class::Fatal => Severity::fatal(FatalReason::Bank),
            Class::Srar => self.severity_of_required(machine, here),
            class => Severity::of(class),
        }
    }

    fn severity_of_required<M: Machine>(&self, machine: &M, here: &Here) -> Severity {
        if !self.code().is_known_required() {
            return Severity::fatal(FatalReason::UnknownRequired);
        }
        let extent = Extent::of(&self.record);
        if here.effect() == Effect::CopyFailed {
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
            recovery: false,
            copy_failed: false,
        }
    }

    /// Reads and grades the banks of this processor.
    #[inline(always)]
    pub fn read<M: Machine>(&mut self, machine: &M, here: &Here) {
        let cap = machine.capabilities();
        self.recovery = cap.ser_p();
        for bank in (0..cap.banks()).map(Bank) {
            let Some(found) = Found::read(machine, bank, self.recovery) else {
                continue;
            };
            if mutant::is(Mutant::ClearsInFirstRound) {
                machine.write_msr(bank.status(), 0);
            }
            self.severity = self.severity.max(found.severity(machine, here));
            self.copy_failed |= found.class == Class::Srar && here.effect() == Effect::CopyFailed;
            // There are as many places as banks.
            let _ = self.found.try_push(found);
        }
    }
}
