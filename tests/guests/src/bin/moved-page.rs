//! Every vCPU counts in a word of its own of one page, and looks each time whether memory holds what it wrote last: the host moves the
//! page to another place meanwhile, and nothing may be lost. A machine check about another page ends it. vCPU 0 says where both are:
//! `page 0x... end 0x...`.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use guests::exceptions::{self, Frame};
use guests::platform::vcpus;
use guests::tables::MOST_VCPUS;
use guests::{line, mca, smp};

guests::main!(run);

/// Exit code: memory did not hold what was written.
const WRONG: u64 = 1;
/// Exit code: the machine check or a vCPU did not come in time.
const LATE: u64 = 2;

/// How long vCPU 0 waits for the end, in time stamp ticks.
const PATIENCE: u64 = 1_000_000_000;

#[repr(C, align(4096))]
struct Page([AtomicU64; 512]);

static COUNTED: Page = Page([const { AtomicU64::new(0) }; 512]);
static END: Page = Page([const { AtomicU64::new(0) }; 512]);

static READY: AtomicUsize = AtomicUsize::new(0);
static DONE: AtomicBool = AtomicBool::new(false);
/// vCPUs that have counted to their end, all right.
static RIGHT: AtomicUsize = AtomicUsize::new(0);
/// What each vCPU counted to.
static COUNTS: [AtomicU64; MOST_VCPUS] = [const { AtomicU64::new(0) }; MOST_VCPUS];

fn run() -> u64 {
    exceptions::on_machine_check(machine_check);
    smp::start_others(count);
    let others = vcpus() - 1;
    if !smp::wait_for(PATIENCE, || READY.load(Ordering::Acquire) == others) {
        return LATE;
    }
    line!(
        "page {:#x} end {:#x}",
        (&raw const COUNTED).addr(),
        (&raw const END).addr()
    );
    count(0);
    let in_time = DONE.swap(true, Ordering::AcqRel);
    let all = || RIGHT.load(Ordering::Acquire) == vcpus();
    let right = smp::wait_for(PATIENCE, all)
        && (0..vcpus()).all(|vcpu| {
            let count = COUNTS[vcpu].load(Ordering::Acquire);
            count != 0 && COUNTED.0[vcpu].load(Ordering::Acquire) == count
        });
    line!("right={} of={}", RIGHT.load(Ordering::Acquire), vcpus());
    match (in_time, right) {
        (false, _) => LATE,
        (true, false) => WRONG,
        (true, true) => 0,
    }
}

fn count(vcpu: usize) {
    mca::enable();
    READY.fetch_add(1, Ordering::AcqRel);
    let word = &COUNTED.0[vcpu];
    let (start, mut count) = (smp::time(), 0);
    while !DONE.load(Ordering::Acquire) && smp::time() - start < PATIENCE {
        if word.load(Ordering::Acquire) != count {
            line!("wrong vcpu={vcpu} count={count}");
            return;
        }
        count += 1;
        word.store(count, Ordering::Release);
    }
    COUNTS[vcpu].store(count, Ordering::Release);
    RIGHT.fetch_add(1, Ordering::AcqRel);
}

fn machine_check(_: &mut Frame) {
    (0..mca::banks()).for_each(mca::clear);
    DONE.store(true, Ordering::Release);
    mca::write_zero(mca::MCG_STATUS);
}
