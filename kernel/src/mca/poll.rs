//! Looking for errors that raise no #MC: corrected ones, and uncorrected ones that need no action.
//!
//! Ordinary context, which an #MC may interrupt anywhere. A poll never resets the machine, and leaves to the #MC handler what was
//! signalled. A bank is cleared when what it holds has been told, and only if it still holds that; an error that comes between that last look
//! and the write is lost, as on every system that polls.

use msr_runtime::ErrorRecord;

use super::counts::{Counted, Counts};
use super::emptied::settle_at_work;
use super::extent::Extent;
use super::noted::Noted;
use super::rendezvous::Rendezvous;
use super::scan::record;
use super::shared::Shared;
use crate::mc::event::Event;
use crate::mc::grade::{Class, grade_poll};
use crate::mc::machine::{Kept, Machine, Owner, Replaced};
use crate::mc::registers::{MCG_STATUS, McgStatus, Status};
use crate::sync::{AtomicU32, Ordering, constructor};
use crate::units::{Bank, Hpa};

/// What polls share.
pub(super) struct Polls {
    /// Somebody polls. Never waited for: who finds it taken leaves its banks for the next time, so that a bank that
    /// processors share is counted once.
    busy: AtomicU32,
    counts: Counts,
    /// What machine checks have met, to be counted.
    pub noted: Noted,
}

impl Polls {
    constructor! {
        pub fn new() -> Self {
            Self {
                busy: AtomicU32::new(0),
                counts: Counts::new(),
                noted: Noted::new(),
            }
        }
    }
}

/// Logs, counts and clears the corrected errors in this processor's banks; counts those that machine checks have met. Called by
/// housekeeping.
pub fn poll<M: Machine, const P: usize>(shared: &Shared<P>, machine: &M) {
    let _ = at_work(shared, machine);
    let polls = &shared.polls;
    if polls.busy.swap(1, Ordering::Acquire) != 0 {
        return;
    }
    while let Some(record) = polls.noted.take() {
        let count = count(shared, &record);
        limit(shared, machine, &record, count);
    }
    let cap = machine.capabilities();
    for bank in (0..cap.banks()).map(Bank) {
        poll_bank(shared, machine, bank, cap.ser_p());
    }
    polls.busy.store(0, Ordering::Release);
}

/// This processor is in ordinary context, and no #MC is on its way to it: one that did not come to a rendezvous is expected again. False if
/// that rendezvous still goes on: then it looks again soon, or it would take its next #MC for that one.
pub fn at_work<M: Machine, const P: usize>(shared: &Shared<P>, machine: &M) -> bool {
    settle_at_work(shared, machine);
    Rendezvous::seen_at_work(shared, machine.processor())
}

fn poll_bank<M: Machine, const P: usize>(
    shared: &Shared<P>,
    machine: &M,
    bank: Bank,
    recovery: bool,
) {
    let status = Status::from(machine.read_msr(bank.status()));
    let Some(class @ (Class::Corrected | Class::Ucna)) = grade_poll(status, recovery) else {
        return;
    };
    let record = record(machine, bank, status);
    if look(machine, bank) != Some(record.status) {
        return;
    }
    // First the record, then the bank: a fatal #MC in between leaves at least one of the two.
    match class {
        Class::Ucna => {
            machine.emit(Event::UncorrectedError {
                bank,
                code: status.code(),
                status: record.status,
                addr: record.address,
                misc: record.misc,
            });
            _ = clear_if_told(machine, bank, &record);
        }
        _ => count_bank(shared, machine, bank, record),
    }
}

/// A bank's STATUS, if the bank is the poll's: with MCIP set an #MC is on its way to this processor, and the bank is its handler's.
fn look<M: Machine>(machine: &M, bank: Bank) -> Option<u64> {
    let is_signalled = McgStatus::from(machine.read_msr(MCG_STATUS)).mcip();
    (!is_signalled).then(|| machine.read_msr(bank.status()))
}

/// Clears a bank if it still holds what has been told, and nothing else.
fn clear_if_told<M: Machine>(machine: &M, bank: Bank, told: &ErrorRecord) -> bool {
    let is_told = look(machine, bank) == Some(told.status);
    if is_told {
        machine.write_msr(bank.status(), 0);
    }
    is_told
}

/// Tells of corrected errors and counts them. Those that the bank has counted since they were read are told and counted by themselves: left
/// there they would be counted again with those before them.
fn count_bank<M: Machine, const P: usize>(
    shared: &Shared<P>,
    machine: &M,
    bank: Bank,
    mut record: ErrorRecord,
) {
    /// In a storm errors come faster than they are told.
    const LOOKS: u32 = 4;
    let mut uncounted = record;
    for _ in 0..LOOKS {
        let count = count(shared, &uncounted);
        machine.emit(Event::CorrectedError {
            bank,
            code: Status::from(record.status).code(),
            status: record.status,
            addr: record.address,
            misc: record.misc,
            count: count.now,
        });
        let is_clear = clear_if_told(machine, bank, &record);
        limit(shared, machine, &uncounted, count);
        if is_clear {
            return;
        }
        let Some(now) = look(machine, bank).filter(|&now| has_more(now, record.status)) else {
            return;
        };
        let more = self::record(machine, bank, now.into());
        uncounted = more_since(&more, &record);
        record = more;
    }
}

/// Counts a corrected error of its page.
fn count<const P: usize>(shared: &Shared<P>, record: &ErrorRecord) -> Counted {
    let page = Extent::of(record).map_or(Hpa(0), |extent| extent.first);
    shared.polls.counts.add(page, corrected(record.status))
}

/// Takes the page of a corrected error out of use if that error, by which the page has had `count`, is one too many.
fn limit<M: Machine, const P: usize>(
    shared: &Shared<P>,
    machine: &M,
    record: &ErrorRecord,
    count: Counted,
) {
    let limit = shared.config().corrected_limit;
    // Once, when the limit is reached: a page that stays in use is not tried again at each error.
    if let Some(extent) = Extent::of(record)
        && count.has_reached(limit)
    {
        replace(machine, extent, count.now);
    }
}

/// Takes a page out of use that has had too many corrected errors, before it has an uncorrected one.
fn replace<M: Machine>(machine: &M, extent: Extent, count: u32) {
    let hpa = extent.first;
    let owner = machine.owner_of(hpa);
    let replaced = if extent.pages == 1 {
        machine.replace(hpa, owner)
    } else {
        Err(Kept::SeveralPages)
    };
    machine.emit(match (replaced, owner) {
        (Ok(Replaced::By(by)), Owner::Guest { guest, gpa }) => Event::PageReplaced {
            hpa,
            guest,
            gpa,
            by,
            count,
        },
        (Ok(_), _) => Event::FreePageRetired { hpa, pages: 1 },
        (Err(reason), _) => Event::PageKept { hpa, reason, count },
    });
}

/// How many errors a status stands for: the hardware counts those that it corrected since the bank was cleared in bits 52:38.
fn corrected(status: u64) -> u32 {
    ((status & COUNT) >> COUNT.trailing_zeros()).max(1) as u32
}

const COUNT: u64 = 0x7fff << 38;
const OVER: u64 = 1 << 62;

/// A bank that held `before` has counted more errors since, and nothing else has become of it.
fn has_more(now: u64, before: u64) -> bool {
    let gone = before & !now & OVER;
    let is_same = (now ^ before) & !(COUNT | OVER) == 0 && gone == 0;
    is_same && now != before && now & COUNT >= before & COUNT
}

/// `record` as if it stood for those errors alone that have come since `before`: one where the bank does not count.
fn more_since(record: &ErrorRecord, before: &ErrorRecord) -> ErrorRecord {
    let more = (record.status & COUNT).saturating_sub(before.status & COUNT);
    ErrorRecord {
        status: record.status & !COUNT | more,
        ..*record
    }
}

/// `record` without the errors for which `before`, read from the same bank, stands already.
pub(super) fn counted_since(record: &ErrorRecord, before: &ErrorRecord) -> ErrorRecord {
    let (now, counted) = (record.status & COUNT, before.status & COUNT);
    let count = if now > counted { now - counted } else { now };
    ErrorRecord {
        status: record.status & !COUNT | count,
        ..*record
    }
}
