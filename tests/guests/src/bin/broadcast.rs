//! The guest of the broadcast scenarios: every vCPU computes, and each machine check is handled as an operating system
//! does it: read and clear the banks, meet the other vCPUs, give up the page that the record names, go on.
//!
//! vCPU 0 sums a page of numbers again and again and says where that page is (`page 0x...`). When an error takes the page
//! away, the handler builds the numbers anew in another page and sends the interrupted sum there. Command line:
//! `errors=N`, how many to wait for (1); `patience=N`, how long for each, in time stamp ticks; `hold=1`, wait for any number of them for ever; `touch=1`, in the end vCPU 0 reads
//! the page behind the one that the first error took, and vCPU 1, which sums the page too, the one that was taken; `touch=2`, only the one behind
//! it, whose address it says with the first's.
#![no_std]
#![no_main]

use core::arch::global_asm;
use core::ptr::with_exposed_provenance_mut;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use guests::exceptions::{self, Frame};
use guests::mca::{self, Record, Register};
use guests::platform::{this_vcpu, vcpus};
use guests::tables::{MOST_VCPUS, Shared};
use guests::{arguments, hypercall, line, smp};

guests::main!(run);

/// Exit code: the result of a computation is wrong.
const WRONG: u64 = 1;
/// Exit code: an error or a vCPU did not come in time.
const LATE: u64 = 2;
/// Exit code: a machine check that left nothing to go back to.
const LOST: u64 = 3;

/// How long vCPU 0 waits for an error, in time stamp ticks.
const PATIENCE: u64 = 1_000_000_000;
/// How long handlers wait for each other.
const MEETING: u64 = 100_000_000;

const MOST_BANKS: usize = 32;

/// What a vCPU's handler saw last.
struct Seen {
    count: AtomicU64,
    mcg_status: AtomicU64,
    together: AtomicBool,
    banks: [[AtomicU64; 3]; MOST_BANKS],
}

static SEEN: [Seen; MOST_VCPUS] = [const {
    Seen {
        count: AtomicU64::new(0),
        mcg_status: AtomicU64::new(0),
        together: AtomicBool::new(false),
        banks: [const { [const { AtomicU64::new(0) }; 3] }; MOST_BANKS],
    }
}; MOST_VCPUS];

/// vCPUs that compute.
static READY: AtomicUsize = AtomicUsize::new(0);
/// Handlers that have been entered, all vCPUs together.
static ARRIVED: AtomicU64 = AtomicU64::new(0);
/// The end of the computation.
static ENOUGH: AtomicBool = AtomicBool::new(false);
/// A page for vCPU 1 to touch, or 0.
static TOUCHES: AtomicUsize = AtomicUsize::new(0);
/// vCPUs whose result was right.
static RIGHT: AtomicUsize = AtomicUsize::new(0);

fn run() -> u64 {
    table_build(0);
    exceptions::on_machine_check(machine_check);
    prepare(0);
    smp::start_others(compute);
    if !smp::wait_for(PATIENCE, || READY.load(Ordering::Acquire) == vcpus()) {
        line!("late what=vcpu ready={}", READY.load(Ordering::Acquire));
        return LATE;
    }
    let first = TABLE.load(Ordering::Acquire);
    let beside = arguments::number("touch", 0) == 2;
    let (errors, patience) = match arguments::number("hold", 0) {
        0 => (
            arguments::number("errors", 1),
            arguments::number("patience", PATIENCE),
        ),
        _ => (u64::MAX, u64::MAX),
    };
    for error in 1..=errors {
        if beside {
            line!("page {:#x} beside {:#x}", first, first + PAGE_BYTES);
        } else {
            line!("page {:#x}", TABLE.load(Ordering::Acquire));
        }
        let is_here = || SEEN[0].count.load(Ordering::Acquire) >= error;
        if !sum_until(patience, is_here) {
            return WRONG;
        }
        let everyone = || {
            SEEN[..vcpus()]
                .iter()
                .all(|seen| seen.count.load(Ordering::Acquire) >= error)
        };
        if SEEN[0].count.load(Ordering::Acquire) < error || !smp::wait_for(MEETING, everyone) {
            line!("late what=machine-check error={error}");
            return LATE;
        }
        report();
    }
    if arguments::number("touch", 0) != 0 {
        touch(first + PAGE_BYTES);
        if !beside {
            TOUCHES.store(first, Ordering::Release);
            smp::wait_for(MEETING, || TOUCHES.load(Ordering::Acquire) == 0);
        }
    }
    finish()
}

/// Reads a word of a page and says so, before and after.
fn touch(page: usize) {
    line!("touches {page:#x}");
    // SAFETY: memory of this guest, nobody's object.
    let word = unsafe { with_exposed_provenance_mut::<u64>(page).read_volatile() };
    line!("touched {page:#x} word={word:#x}");
}

/// Makes a vCPU ready for machine checks and says what it sees of the machine-check architecture.
fn prepare(vcpu: usize) {
    mca::enable();
    line!(
        "vcpu={vcpu} mcg_cap={:#x} mcg_status={:#x}",
        mca::read(mca::MCG_CAP),
        mca::read(mca::MCG_STATUS)
    );
    for bank in 0..mca::banks().min(MOST_BANKS) {
        let Record {
            status,
            address,
            misc,
        } = mca::record(bank);
        let control = mca::read(mca::address(bank, Register::Control));
        line!(
            "vcpu={vcpu} bank={bank} ctl={control:#x} status={status:#x} addr={address:#x} misc={misc:#x}"
        );
    }
    READY.fetch_add(1, Ordering::AcqRel);
}

/// What the other vCPUs do: add up the natural numbers until told to stop, then compare with the formula.
fn compute(vcpu: usize) {
    let sums_too = vcpu == 1 && arguments::number("touch", 0) == 1;
    if sums_too {
        // Its processor knows where the page is when the error comes.
        table_sum(&TABLE);
    }
    prepare(vcpu);
    let (mut number, mut sum) = (0u64, 0u64);
    while !ENOUGH.load(Ordering::Acquire) {
        let page = TOUCHES.load(Ordering::Acquire);
        if sums_too && page != 0 {
            touch(page);
            TOUCHES.store(0, Ordering::Release);
        } else if sums_too {
            table_sum(&TABLE);
        }
        number += 1;
        sum = sum.wrapping_add(number);
    }
    let right = u128::from(number) * u128::from(number + 1) / 2;
    if sum == right as u64 {
        RIGHT.fetch_add(1, Ordering::AcqRel);
    }
}

/// vCPU 0's computation until `done`; false when a sum was wrong. Gives up after so many ticks.
fn sum_until(patience: u64, done: impl Fn() -> bool) -> bool {
    let start = smp::time();
    while !done() && smp::time() - start < patience {
        if !sum_is_right() {
            return false;
        }
    }
    sum_is_right()
}

fn sum_is_right() -> bool {
    let sum = table_sum(&TABLE);
    let right = sum == (0..WORDS).map(word).sum::<u64>();
    if !right {
        line!("wrong vcpu=0 sum={sum:#x}");
    }
    right
}

/// Says what each vCPU's handler saw.
fn report() {
    for (vcpu, seen) in SEEN[..vcpus()].iter().enumerate() {
        let load = |value: &AtomicU64| value.load(Ordering::Acquire);
        let together = u8::from(seen.together.load(Ordering::Acquire));
        line!(
            "mc vcpu={vcpu} count={} mcg_status={:#x} together={together}",
            load(&seen.count),
            load(&seen.mcg_status)
        );
        for (bank, values) in seen.banks[..mca::banks().min(MOST_BANKS)]
            .iter()
            .enumerate()
        {
            let [status, address, misc] = values.each_ref().map(load);
            line!("mc vcpu={vcpu} bank={bank} status={status:#x} addr={address:#x} misc={misc:#x}");
        }
    }
}

/// Ends the computation of the others and compares.
fn finish() -> u64 {
    ENOUGH.store(true, Ordering::Release);
    let others = vcpus() - 1;
    smp::wait_for(MEETING, || RIGHT.load(Ordering::Acquire) == others);
    let right = RIGHT.load(Ordering::Acquire) + usize::from(sum_is_right());
    line!("sums right={right} of={}", vcpus());
    if right == vcpus() { 0 } else { WRONG }
}

/// The machine-check handler.
fn machine_check(frame: &mut Frame) {
    const RIPV: u64 = 1 << 0;
    const LMCE_S: u64 = 1 << 3;
    let vcpu = this_vcpu();
    let seen = &SEEN[vcpu];
    let mcg_status = mca::read(mca::MCG_STATUS);
    seen.mcg_status.store(mcg_status, Ordering::Release);
    for (bank, place) in seen.banks.iter().enumerate().take(mca::banks()) {
        let record = mca::record(bank);
        place[0].store(record.status, Ordering::Release);
        place[1].store(record.address, Ordering::Release);
        place[2].store(record.misc, Ordering::Release);
        mca::clear(bank);
        give_up_page(record);
    }
    let together = mcg_status & LMCE_S == 0 && meet(seen.count.load(Ordering::Acquire) + 1);
    seen.together.store(together, Ordering::Release);
    if mcg_status & RIPV == 0 {
        guests::console::line_now(format_args!("lost vcpu={vcpu} mcg_status={mcg_status:#x}"));
        hypercall::shutdown(LOST);
    }
    go_on_with_new_page(frame);
    mca::write_zero(mca::MCG_STATUS);
    seen.count.fetch_add(1, Ordering::AcqRel);
}

/// Waits until every vCPU is in its handler for the `turn`th time; false when they do not all come.
fn meet(turn: u64) -> bool {
    ARRIVED.fetch_add(1, Ordering::AcqRel);
    let all = turn * vcpus() as u64;
    smp::wait_for(MEETING, || ARRIVED.load(Ordering::Acquire) >= all)
}

/// Builds the table anew when the record names the page that it is in.
fn give_up_page(record: Record) {
    const ADDRV: u64 = 1 << 58;
    let page = record.address as usize & !(PAGE_BYTES - 1);
    if record.status & mca::VALID != 0
        && record.status & ADDRV != 0
        && page == TABLE.load(Ordering::Acquire)
    {
        let next = (page - PAGES.get() as usize) / PAGE_BYTES + 1;
        assert!(next < SPARE_PAGES, "no page is left");
        table_build(next);
    }
}

/// Sends an interrupted sum to where the table is now; what it has added so far stays right.
fn go_on_with_new_page(frame: &mut Frame) {
    let code = (&raw const table_sum_start).addr()..(&raw const table_sum_end).addr();
    if code.contains(&(frame.rip as usize)) {
        frame.rdi = TABLE.load(Ordering::Acquire) as u64;
    }
}

const PAGE_BYTES: usize = 4096;
const WORDS: u64 = PAGE_BYTES as u64 / 8;
const SPARE_PAGES: usize = 64;

#[repr(C, align(4096))]
struct Pages([u8; PAGE_BYTES * SPARE_PAGES]);

static PAGES: Shared<Pages> = Shared::new(Pages([0; PAGE_BYTES * SPARE_PAGES]));

/// Address of the page with the numbers.
static TABLE: AtomicUsize = AtomicUsize::new(0);

/// The number at a place of the table.
fn word(index: u64) -> u64 {
    index * index + 7
}

/// Writes the numbers to a page and makes it the table.
fn table_build(page: usize) {
    let address = PAGES.get() as usize + page * PAGE_BYTES;
    let words = with_exposed_provenance_mut::<u64>(address);
    for index in 0..WORDS {
        // SAFETY: the page is one of ours; only its sum reads it, in assembly.
        unsafe {
            words
                .wrapping_add(index as usize)
                .write_volatile(word(index))
        }
    }
    TABLE.store(address, Ordering::Release);
}

// RDI is the page at every instruction from one label to the other, so that a handler can move the sum to another page.
global_asm!(
    ".pushsection .text.table, \"ax\"",
    "table_sum:",
    "mov rdi, [rdi]",
    "table_sum_start:",
    "xor eax, eax",
    "mov ecx, {words}",
    "2:",
    "add rax, [rdi + 8 * rcx - 8]",
    "dec rcx",
    "jnz 2b",
    "table_sum_end:",
    "ret",
    ".popsection",
    words = const WORDS,
);

unsafe extern "C" {
    /// Sum of the page whose address `table` holds.
    safe fn table_sum(table: &AtomicUsize) -> u64;
    static table_sum_start: u8;
    static table_sum_end: u8;
}
