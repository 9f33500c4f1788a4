//! The second round: errors are claimed and cleared, one processor after the other.
//!
//! A bank that several processors share shows its error to each. The first to read and clear it owns it; the others find it empty,
//! and only say how they were affected by what they had read.

use msr_runtime::ErrorRecord;

use super::poll::counted_since;
use super::scan::{Found, Here, Scan, Severity};
use super::shared::Shared;
use super::wait::Stuck;
use crate::mc::event::Event;
use crate::mc::finding::{CAPACITY, Effect};
use crate::mc::grade::{Class, grade};
use crate::mc::machine::{Interrupted, Machine};
use crate::mc::registers::Status;

// An error and another one that has taken its place in the bank fit into an empty pool: each pass claims one bank at least.
const _: () = assert!(CAPACITY >= 2);

/// What came of one error.
enum Claim {
    Owned,
    NotOwned,
    NoRoom,
}

/// Claims what `scan` found, and adds it to the pool. Returns the worst that this processor owns; what finds no room there is
/// left ([`Scan::left`]).
#[inline(always)]
pub(super) fn claim<M: Machine, const P: usize>(
    shared: &Shared<P>,
    machine: &M,
    here: &Here,
    scan: &Scan,
) -> Result<Severity, Stuck> {
    let is_lost = is_context_lost(here);
    if scan.found.is_empty() && !is_lost {
        return Ok(Severity::NONE);
    }
    shared.claim.take(shared, machine)?;
    let mut owned = Severity::NONE;
    for found in &scan.found {
        match claim_one(shared, machine, here, found) {
            Claim::Owned => owned = owned.max(Severity::of(found.class())),
            Claim::NotOwned => {}
            Claim::NoRoom => scan.leave(found),
        }
    }
    if is_lost {
        lose_context(shared, machine, here);
    }
    shared.claim.give();
    Ok(owned)
}

/// Claims what an earlier pass has left. By who has the turn to claim.
#[cold]
#[inline(never)]
pub(super) fn claim_left<M: Machine, const P: usize>(
    shared: &Shared<P>,
    machine: &M,
    here: &Here,
    scan: &Scan,
) -> Severity {
    let mut owned = Severity::NONE;
    let left = scan.left.take();
    for found in scan
        .found
        .iter()
        .filter(|found| left >> found.bank.0 & 1 != 0)
    {
        match claim_one(shared, machine, here, found) {
            Claim::Owned => owned = owned.max(Severity::of(found.class())),
            Claim::NotOwned => {}
            Claim::NoRoom => scan.leave(found),
        }
    }
    owned
}

/// The vCPU that this processor ran cannot go on where it was.
#[inline(always)]
fn is_context_lost(here: &Here) -> bool {
    matches!(here.interrupted, Interrupted::Guest(_)) && !here.mcg_status.ripv()
}

/// Says so to the one that recovers. Each processor has a place of its own for that.
#[cold]
#[inline(never)]
fn lose_context<M: Machine, const P: usize>(shared: &Shared<P>, machine: &M, here: &Here) {
    if let Interrupted::Guest(vcpu) = here.interrupted
        && let Some(slot) = shared.slot(machine.processor())
    {
        slot.lose(vcpu);
        shared.pool.lose_context();
    }
}

#[inline(always)]
fn claim_one<M: Machine, const P: usize>(
    shared: &Shared<P>,
    machine: &M,
    here: &Here,
    found: &Found,
) -> Claim {
    let now = Status::from(machine.read_msr(found.bank.status()));
    let is_owner = now.val();
    if is_owner && now.into_bits() != found.finding.record.status {
        return claim_both(shared, machine, here, found, now);
    }
    let is_concerned = is_owner || found.finding.who.effect() != Effect::Untouched;
    if found.matters() && is_concerned && !shared.pool.add(&found.finding) {
        return Claim::NoRoom;
    }
    if !is_owner || found.class() == Class::Corrected && !note(shared, &found.finding.record) {
        return Claim::NotOwned;
    }
    // Before it is gone: should this processor die in between, it is told twice and not never.
    report(machine, found);
    machine.write_msr(found.bank.status(), 0);
    Claim::Owned
}

/// Claims an error of the first round, and the one that has taken its place in the bank since: what the first round read is
/// nowhere else any more.
#[cold]
#[inline(never)]
fn claim_both<M: Machine, const P: usize>(
    shared: &Shared<P>,
    machine: &M,
    here: &Here,
    first: &Found,
    now: Status,
) -> Claim {
    if shared.pool.room() < 2 {
        return Claim::NoRoom;
    }
    keep(shared, machine, first);
    if first.class() == Class::Corrected {
        let _ = note(shared, &first.finding.record);
    }
    let class = grade(now, machine.capabilities().ser_p());
    let second = Found::new(machine, here, first.bank, now, class);
    if second.severity(machine, here) > first.severity(machine, here) {
        // It came after the decision was taken. It stays where it is, for its own machine check.
        return Claim::Owned;
    }
    let record = counted_since(&second.finding.record, &first.finding.record);
    if class == Class::Corrected && !note(shared, &record) {
        return Claim::Owned;
    }
    keep(shared, machine, &second);
    machine.write_msr(first.bank.status(), 0);
    Claim::Owned
}

/// Reports an error, and adds it to the pool if it is for it. There is room.
fn keep<M: Machine, const P: usize>(shared: &Shared<P>, machine: &M, found: &Found) {
    let finding = &found.finding;
    // A processor that shares the bank may have claimed it before another error came.
    let is_told = found.matters() && shared.pool.iter().any(|one| one.record == finding.record);
    if !is_told {
        report(machine, found);
    }
    if found.matters() && (!is_told || finding.who.effect() != Effect::Untouched) {
        let _ = shared.pool.add(finding);
    }
}

/// Has a poll count a corrected error. Without room it stays in its bank, and is the poll's altogether.
#[cold]
fn note<const P: usize>(shared: &Shared<P>, record: &ErrorRecord) -> bool {
    shared.polls.noted.add(record)
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
