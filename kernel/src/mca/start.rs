//! A processor begins to take machine checks.
//!
//! First each processor sees to its banks ([`start`]), then each is expected at every rendezvous ([`join`]). An #MC that comes before that
//! is handled by each by itself.

use super::emptied::settle_at_work;
use super::flush::catch_up;
use super::rendezvous::Rendezvous;
use super::scan::record;
use super::shared::Shared;
use crate::mc::event::Event;
use crate::mc::grade::{Class, grade};
use crate::mc::machine::Machine;
use crate::mc::registers::{
    FEATURE_CONTROL, FEATURE_CONTROL_LMCE_ON, FEATURE_CONTROL_LOCKED, LMCE_EN, MCG_CTL,
    MCG_EXT_CTL, MCG_STATUS, McgStatus, Status,
};
use crate::sync::Ordering;
use crate::units::Bank;

/// Brings this processor's banks into use: what they hold is from before the reset, and is logged and cleared; then every bank
/// reports everything, and LMCE is enabled where firmware allows it. In ordinary context; CR4.MCE is set, MCG_STATUS was cleared before that.
///
/// Where a processor has joined already ([`join`]) nothing is cleared: a bank may be shared, and what it holds be that one's to handle. It is left to
/// polls and machine checks.
pub fn start<M: Machine, const P: usize>(shared: &Shared<P>, machine: &M) {
    let cap = machine.capabilities();
    for bank in (0..cap.banks()).map(Bank) {
        if shared.rendezvous.online() == 0 {
            take_earlier_error(machine, bank, cap.ser_p());
        }
        machine.write_msr(bank.ctl(), u64::MAX);
    }
    if cap.ctl_p() {
        machine.write_msr(MCG_CTL, u64::MAX);
    }
    if cap.lmce_p() {
        const ALLOWED: u64 = FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_LMCE_ON;
        if machine.read_msr(FEATURE_CONTROL) & ALLOWED == ALLOWED {
            machine.write_msr(MCG_EXT_CTL, LMCE_EN);
        }
    }
}

fn take_earlier_error<M: Machine>(machine: &M, bank: Bank, recovery: bool) {
    let status = Status::from(machine.read_msr(bank.status()));
    let record = record(machine, bank, status);
    let is_signalled = McgStatus::from(machine.read_msr(MCG_STATUS)).mcip();
    // Somebody's #MC has come in between, or is on its way: then the bank is its handler's.
    if is_signalled || machine.read_msr(bank.status()) != record.status {
        return;
    }
    // Cleared in any case: after power-on a bank may hold anything but VAL.
    machine.write_msr(bank.status(), 0);
    if grade(status, recovery) != Class::None {
        machine.emit(Event::EarlierError {
            bank,
            code: status.code(),
            status: record.status,
            addr: record.address,
            misc: record.misc,
        });
    }
}

/// From the next rendezvous on this processor is expected at every one. In ordinary context, after [`start`]: its own, and that of every
/// other processor that shares a bank with it. Once; waits while there is a rendezvous, and after a machine check that this processor has handled
/// by itself until the others must have come to theirs ([`super::Config::timeout`]).
pub fn join<M: Machine, const P: usize>(shared: &Shared<P>, machine: &M) {
    let Some(slot) = shared.slot(machine.processor()) else {
        return;
    };
    if slot.online.load(Ordering::Relaxed) {
        return;
    }
    Rendezvous::admit(shared, machine, slot);
    // Of what was before it has no part, nor any translation.
    settle_at_work(shared, machine);
    catch_up(shared, machine);
}

/// How many processors have joined.
pub fn online<const P: usize>(shared: &Shared<P>) -> u16 {
    shared.rendezvous.online()
}
