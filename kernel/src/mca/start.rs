//! A processor begins to take machine checks.

use super::scan::record;
use super::shared::Shared;
use crate::mc::event::Event;
use crate::mc::grade::{Class, grade};
use crate::mc::machine::Machine;
use crate::mc::registers::{
    FEATURE_CONTROL, FEATURE_CONTROL_LMCE_ON, FEATURE_CONTROL_LOCKED, LMCE_EN, MCG_CTL,
    MCG_EXT_CTL, MCG_STATUS, Status,
};
use crate::sync::Ordering;
use crate::units::Bank;

/// Brings this processor's banks into use: what they hold is from before the reset, and is logged and cleared; then every bank
/// reports everything, LMCE is enabled where firmware allows it, and the processor is expected at every
/// rendezvous. Its #MC entry must be ready; CR4.MCE is set next.
pub fn start<M: Machine, const P: usize>(shared: &Shared<P>, machine: &M) {
    let cap = machine.capabilities();
    for bank in (0..cap.banks()).map(Bank) {
        take_earlier_error(machine, bank, cap.ser_p());
        machine.write_msr(bank.ctl(), u64::MAX);
    }
    machine.write_msr(MCG_STATUS, 0);
    if cap.ctl_p() {
        machine.write_msr(MCG_CTL, u64::MAX);
    }
    if cap.lmce_p() {
        const ALLOWED: u64 = FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_LMCE_ON;
        if machine.read_msr(FEATURE_CONTROL) & ALLOWED == ALLOWED {
            machine.write_msr(MCG_EXT_CTL, LMCE_EN);
        }
    }
    if let Some(slot) = shared.slot(machine.processor())
        && !slot.online.load(Ordering::Relaxed)
    {
        shared.rendezvous.expect_one_more(machine);
        slot.online.store(true, Ordering::Release);
    }
}

fn take_earlier_error<M: Machine>(machine: &M, bank: Bank, recovery: bool) {
    let status = Status::from(machine.read_msr(bank.status()));
    if grade(status, recovery) != Class::None {
        let record = record(machine, bank, status);
        machine.emit(Event::EarlierError {
            bank,
            code: status.code(),
            status: record.status,
            addr: record.address,
            misc: record.misc,
        });
    }
    // Cleared in any case: after power-on a bank may hold anything but VAL.
    machine.write_msr(bank.status(), 0);
}
