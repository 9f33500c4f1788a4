//! Has the hypervisor read a page of its own again and again, until that fails; says where the page is, what the call returned and
//! what its machine-check handler saw.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering};

use guests::exceptions::{self, Frame};
use guests::mca::{self, Record};
use guests::{hypercall, line, smp};
use kernel::guest::hypercall::Hypercall;

guests::main!(run);

/// Exit code: no copy failed in time.
const LATE: u64 = 2;
/// How long it tries, in time stamp ticks.
const PATIENCE: u64 = 1_000_000_000;

/// A carriage return, which the console leaves out: so many copies would fill the log.
#[repr(C, align(4096))]
struct Page([u8; 4096]);

static BUFFER: Page = Page([b'\r'; 4096]);
static OTHER: Page = {
    let mut page = [0; 4096];
    let text = b"still here\n";
    let mut at = 0;
    while at < text.len() {
        page[at] = text[at];
        at += 1;
    }
    Page(page)
};

static MCG_STATUS: AtomicU64 = AtomicU64::new(0);
static STATUS: AtomicU64 = AtomicU64::new(0);
static ADDRESS: AtomicU64 = AtomicU64::new(0);
static MISC: AtomicU64 = AtomicU64::new(0);

fn run() -> u64 {
    exceptions::on_machine_check(machine_check);
    mca::enable();
    let page = (&raw const BUFFER).addr() as u64;
    line!("page {page:#x}");
    let start = smp::time();
    let result = loop {
        let result = console(page, 16);
        if result != 0 {
            break result;
        }
        if smp::time() - start > PATIENCE {
            return LATE;
        }
    };
    line!("copy result={result}");
    let [mcg_status, status, address, misc] =
        [&MCG_STATUS, &STATUS, &ADDRESS, &MISC].map(|value| value.load(Ordering::Acquire));
    line!("mc mcg_status={mcg_status:#x} status={status:#x} addr={address:#x} misc={misc:#x}");
    // The page is out of use: the hypervisor does not touch it for anybody.
    line!("again result={}", console(page, 16));
    line!("outside result={}", console(1 << 40, 16));
    console((&raw const OTHER).addr() as u64, 11);
    0
}

fn console(from: u64, length: u64) -> i64 {
    hypercall::call(Hypercall::ConsoleBuffer, [from, length, 0, 0, 0]) as i64
}

fn machine_check(_: &mut Frame) {
    MCG_STATUS.store(mca::read(mca::MCG_STATUS), Ordering::Release);
    for bank in 0..mca::banks() {
        let Record {
            status,
            address,
            misc,
        } = mca::record(bank);
        if status & mca::VALID != 0 {
            STATUS.store(status, Ordering::Release);
            ADDRESS.store(address, Ordering::Release);
            MISC.store(misc, Ordering::Release);
        }
        mca::clear(bank);
    }
    mca::write_zero(mca::MCG_STATUS);
}
