//! Has errors raised one after the other, each broadcast and each in memory of its own, and counts what arrives: on every vCPU a
//! machine check for each error, on vCPU 0 its record. Command line: `errors=N` (10000).
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use guests::exceptions::{self, Frame};
use guests::mca;
use guests::platform::{this_vcpu, vcpus};
use guests::tables::{MOST_VCPUS, Shared};
use guests::{arguments, hypercall, line, smp};
use kernel::guest::hypercall::{FAULT_BROADCAST, FAULT_GUEST_PHYSICAL, Hypercall};

guests::main!(run);

/// Exit code: an error was refused, or a machine check or a vCPU did not come.
const LATE: u64 = 1;

/// How long everything may take to arrive, in time stamp ticks.
const PATIENCE: u64 = 100_000_000;

/// Pages that are hit, in turn: each again and again.
const VICTIMS: usize = 16;
const PAGE_BYTES: usize = 4096;

#[repr(C, align(4096))]
struct Pages([u8; VICTIMS * PAGE_BYTES]);

static PAGES: Shared<Pages> = Shared::new(Pages([0; VICTIMS * PAGE_BYTES]));

/// Machine checks that each vCPU has handled.
static HANDLED: [AtomicU64; MOST_VCPUS] = [const { AtomicU64::new(0) }; MOST_VCPUS];
/// Records that were right: on vCPU 0, of the page that was hit last.
static RECORDS: AtomicU64 = AtomicU64::new(0);
static VICTIM: AtomicU64 = AtomicU64::new(0);
/// Other vCPUs that wait.
static WAITING: AtomicUsize = AtomicUsize::new(0);

fn run() -> u64 {
    exceptions::on_machine_check(machine_check);
    mca::enable();
    smp::start_others(wait);
    let others = vcpus() - 1;
    if !smp::wait_for(PATIENCE, || WAITING.load(Ordering::Acquire) == others) {
        line!("late what=vcpu");
        return LATE;
    }
    let errors = arguments::number("errors", 10_000);
    for error in 1..=errors {
        let page = PAGES.get() as u64 + (error % VICTIMS as u64) * PAGE_BYTES as u64;
        VICTIM.store(page, Ordering::Release);
        let answer = raise(page);
        let everyone = || {
            HANDLED[..vcpus()]
                .iter()
                .all(|handled| handled.load(Ordering::Acquire) >= error)
        };
        if answer != 0 || !smp::wait_for(PATIENCE, everyone) {
            line!("late what=machine-check error={error} answer={answer:#x}");
            return LATE;
        }
    }
    let records = RECORDS.load(Ordering::Acquire);
    line!("errors={errors} records={records}");
    for (vcpu, handled) in HANDLED[..vcpus()].iter().enumerate() {
        line!("vcpu={vcpu} handled={}", handled.load(Ordering::Acquire));
    }
    0
}

/// What another vCPU does.
fn wait(_vcpu: usize) {
    mca::enable();
    WAITING.fetch_add(1, Ordering::AcqRel);
    loop {
        core::hint::spin_loop();
    }
}

/// Has an SRAO memory-scrub error raised in bank 1 of this processor.
fn raise(page: u64) -> u64 {
    const THIS_PROCESSOR: u64 = 0xffff << 16;
    const STATUS: u64 = 0xbd00_0000_0000_00cf;
    const MCG_STATUS: u64 = 5;
    const MISC: u64 = 0x8c;
    let place = 1 | (FAULT_BROADCAST | FAULT_GUEST_PHYSICAL) << 8 | THIS_PROCESSOR;
    hypercall::call(Hypercall::Fault, [place, STATUS, MCG_STATUS, page, MISC])
}

fn machine_check(_frame: &mut Frame) {
    let vcpu = this_vcpu();
    let record = mca::record(1);
    if record.status & mca::VALID != 0 {
        if vcpu == 0 && record.address == VICTIM.load(Ordering::Acquire) {
            RECORDS.fetch_add(1, Ordering::AcqRel);
        }
        mca::clear(1);
    }
    mca::write_zero(mca::MCG_STATUS);
    if let Some(handled) = HANDLED.get(vcpu) {
        handled.fetch_add(1, Ordering::AcqRel);
    }
}
