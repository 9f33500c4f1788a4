//! The guest of the scenario `delivery-states`: a machine check comes while a vCPU is in one state after the other, and the
//! handlers note what they find. A vCPU touches a page at a known instruction; the injector raises the error there.
//!
//! vCPU 0 stays in long mode; vCPU 1 is started in real mode and goes on to protected mode. Every line on the console is one thing
//! that an exception handler saw: `STATE EVENT at=DISTANCE ...`, the distance from where the saved instruction pointer must be.
//! Command line: `stack=1`, nothing of that: the error hits the stack that the handler of machine checks would run on. `idle=1`, nothing of that
//! either: an NMI comes between STI and HLT.
#![no_std]
#![no_main]

mod idle;
mod long;
mod old;

use guests::mca;
use guests::{arguments, hypercall};
use kernel::guest::hypercall::{FAULT_GUEST_PHYSICAL, FAULT_ON_ENTRY, FAULT_ON_TOUCH, Hypercall};

guests::main!(run);

/// Exit code: something did not come in time.
const LATE: u64 = 2;

fn run() -> u64 {
    mca::enable();
    if arguments::number("stack", 0) != 0 {
        long::lose_own_stack();
        return LATE;
    }
    if arguments::number("idle", 0) != 0 {
        idle::run();
        return 0;
    }
    long::run();
    if old::run() { 0 } else { LATE }
}

/// Errors hit the pages from here on, one after the other; nobody uses them.
const VICTIMS: u64 = 6 << 20;
const PAGE_BYTES: u64 = 4096;

/// An SRAR data-load error and its MCG_STATUS and MCi_MISC.
const SRAR: u64 = 0xbd80_0000_0000_0134;
const CONSUMED: u64 = 7;
/// An uncorrected error that no action is required for (UCNA), and the MCG_STATUS of a context that did not meet it.
const NO_ACTION: u64 = 0xb000_0000_0000_0134;
const UNTOUCHED: u64 = 5;
const MISC: u64 = 0x8c;
/// First argument of the hypercall that raises an error: bank 1, this guest's address, this processor.
const ON_THIS_PROCESSOR: u64 = 1 | FAULT_GUEST_PHYSICAL << 8 | 0xffff << 16;

/// An error in victim number `victim`, raised when this guest next touches `page`.
fn error_on_touch(page: u64, victim: u64) {
    lay(page, SRAR, VICTIMS + victim * PAGE_BYTES);
}

/// Only a VM exit when this guest next touches `page`.
fn exit_on_touch(page: u64) {
    lay(page, 0, 0);
}

/// An error with that MCi_STATUS and MCG_STATUS in victim number `victim`, in the middle of the next VM entry that is to deliver an event.
fn error_on_entry(status: u64, mcg_status: u64, victim: u64) {
    let what = ON_THIS_PROCESSOR | FAULT_ON_ENTRY << 8;
    let address = VICTIMS + victim * PAGE_BYTES;
    let answer = hypercall::call(Hypercall::Fault, [what, status, mcg_status, address, MISC]);
    assert!(answer == 0, "no error on entry: {answer:#x}");
}

fn lay(page: u64, status: u64, address: u64) {
    let what = ON_THIS_PROCESSOR | FAULT_ON_TOUCH << 8 | (page / PAGE_BYTES) << 40;
    let answer = hypercall::call(Hypercall::Fault, [what, status, CONSUMED, address, MISC]);
    assert!(answer == 0, "no trap at {page:#x}: {answer:#x}");
}
