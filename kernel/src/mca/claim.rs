//! The second round: errors are claimed and cleared, one processor after the other.
//!
//! A bank that several processors share shows its error to each. The first to read and clear it owns it; the others find it empty,
//! and only say how they were affected by what they had read.

use msr_runtime::ErrorRecord;

use super::scan::{Found, Here, Scan, Severity};
use super::shared::Shared;
use super::wait::Stuck;
use crate::mc::event::Event;
use crate::mc::fatal::FatalReason;
use crate::mc::finding::{Effect, Finding, Who};
use crate::mc::grade::Class;
use crate::mc::machine::{Interrupted, Machine};
use crate::mc::registers::Status;

/// Claims what `scan` found, and adds it to the pool. Returns the worst that this processor owns; fatal if there was no room
/// in the pool, where the error stays in its bank.
#[inline(always)]
pub(super) fn claim<M: Machine, const P: usize>(
    shared: &Shared<P>,
    machine: &M,
    here: &Here,
    scan: &Scan,
) -> Result<Severity, Stuck> {
    let lost = context_lost(machine, here);
    if scan.found.is_empty() && lost.is_none() {
        return Ok(Severity::NONE);
    }
    shared.claim.take(shared, machine)?;
    let mut owned = Severity::NONE;
    for found in &scan.found {
        owned = owned.max(claim_one(shared, machine, scan, found));
    }
    if let Some(finding) = lost
        && !shared.pool.add(&finding)
    {
        owned = Severity::fatal(FatalReason::TooManyErrors);
    }
    shared.claim.give();
    Ok(owned)
}

/// The vCPU that this processor ran cannot go on where it was.
#[inline(always)]
fn context_lost<M: Machine>(machine: &M, here: &Here) -> Option<Finding> {
    match here.interrupted {
        Interrupted::Guest(vcpu) if !here.mcg_status.ripv() => Some(Finding {
            who: Who::new()
                .with_processor(machine.processor())
                .with_effect(Effect::ContextLost)
                .with_vcpu(vcpu),
            record: ErrorRecord {
                status: 0,
                address: 0,
                misc: 0,
            },
        }),
        _ => None,
    }
}

#[inline(always)]
fn claim_one<M: Machine, const P: usize>(
    shared: &Shared<P>,
    machine: &M,
    scan: &Scan,
    found: &Found,
) -> Severity {
    let now = Status::from(machine.read_msr(found.bank.status()));
    let is_owner = now.val();
    if is_owner
        && now.into_bits() != found.finding.record.status
        && scan.grades.class(now) > found.class()
    {
        // Something worse came after the decision was taken. It stays where it is, for the next machine check or poll.
        return Severity::NONE;
    }
    let matters = matches!(found.class(), Class::Srao | Class::Srar);
    let is_concerned = is_owner || found.finding.who.effect() != Effect::Untouched;
    if matters && is_concerned && !shared.pool.add(&found.finding) {
        return Severity::fatal(FatalReason::TooManyErrors);
    }
    if !is_owner || found.class() == Class::Corrected && !note(shared, found) {
        return Severity::NONE;
    }
    machine.write_msr(found.bank.status(), 0);
    report(machine, found);
    Severity::of(found.class())
}

/// Has a poll count a corrected error. Without room it stays in its bank, and is the poll's altogether.
#[cold]
fn note<const P: usize>(shared: &Shared<P>, found: &Found) -> bool {
    shared.polls.noted.add(&found.finding.record)
}

/// The administrator's record of an error.
#[inline(always)]
pub(super) fn report<M: Machine>(machine: &M, found: &Found) {
    let ErrorRecord {
        status,
        address: addr,
        misc,
    } = found.finding.record;
    machine.emit(Event::BankError {
        bank: found.bank,
        class: found.class(),
        code: found.code(),
        status,
        addr,
        misc,
    });
}
