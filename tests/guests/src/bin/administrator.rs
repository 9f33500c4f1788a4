//! The privileged guest of the scenarios, and, without that privilege, those whom it is about. Command line: `task=N`:
//!
//! * 1: asks for an interrupt for each record, says how many wait (`registered waiting=`), and reads `records=N` (1) in all, each when its interrupt
//!   has come, halted until then. `deaf=N`: after the first it takes no interrupts for N time stamp ticks, raises three errors meanwhile, then computes until all have come, and says whether that
//!   was at once. `trap=1`: the first interrupt's delivery touches a page that has the injector raise an SRAR in [`PAGE`]; `trap=2`: that comes in the VM entry that is to deliver it. In the end it says how many interrupts there were. Its own page [`PAGE`] may have an error: it says whether the first #MC came before the first interrupt (`order`). `buffer=1`: with the last record,
//!   the first buffer has an error.
//! * 2: from the time stamp `at=N` on, takes pages of guests 1 and 2 out of use and the one of guest 1 back, and says what the hypervisor answers; that of
//!   wrong arguments too.
//! * 3: writes to [`PAGE`], and reads it from the time stamp `at=N` on.
//! * 5: asks for records, then takes processors out of use, its own (1) first, and says what the hypervisor answers; reads a record there, and
//!   puts it back.
//! * 6: with two vCPUs on one processor: vCPU 1 asks for records and halts with interrupts disabled. A record must neither wake it nor take time from
//!   vCPU 0; an NMI wakes it, and it lets the interrupt in. After INIT no interrupt comes any more. The records are there.
//! * 4: asks for all that only the privileged guest may.
#![no_std]
#![no_main]

use core::arch::asm;
use core::ptr::with_exposed_provenance_mut;
use core::sync::atomic::{AtomicU64, Ordering};

use guests::exceptions::{self, Frame, INTERRUPT};
use guests::tables::{ExceptionStack, Shared, exception_stack_top};
use guests::{arguments, hypercall, line, mca, smp};
use kernel::guest::hypercall::{
    FAULT_BROADCAST, FAULT_GUEST_PHYSICAL, FAULT_ON_ENTRY, FAULT_ON_TOUCH, FAULT_OTHER_GUEST, HOST,
    Hypercall,
};
use kernel::records::{RECORD_BYTES, Record};

guests::main!(run);

/// Exit code: a record, or an answer of the hypervisor, made no sense.
const WRONG: u64 = 1;

/// A page that no program uses.
const PAGE: u64 = 6 << 20;

/// Interrupts and machine checks so far, and at which of both together each came first (0: not yet).
static INTERRUPTS: AtomicU64 = AtomicU64::new(0);
static MACHINE_CHECKS: AtomicU64 = AtomicU64::new(0);
static EVENTS: AtomicU64 = AtomicU64::new(0);
static FIRST_INTERRUPT: AtomicU64 = AtomicU64::new(0);
static FIRST_MACHINE_CHECK: AtomicU64 = AtomicU64::new(0);

#[repr(C, align(4096))]
struct Page([u8; 4096]);

static BUFFERS: Shared<[Page; 2]> = Shared::new([const { Page([0; 4096]) }; 2]);

fn run() -> u64 {
    exceptions::on(INTERRUPT, interrupt);
    exceptions::on_machine_check(machine_check);
    mca::enable();
    match arguments::number("task", 1) {
        1 => read_records(),
        2 => take_pages(),
        3 => touch(),
        5 => take_processors(),
        6 => wake_the_deaf(),
        _ => ask_without_right(),
    }
}

fn interrupt(_: &mut Frame) {
    INTERRUPTS.fetch_add(1, Ordering::AcqRel);
    note_first(&FIRST_INTERRUPT);
}

fn machine_check(_: &mut Frame) {
    MACHINE_CHECKS.fetch_add(1, Ordering::AcqRel);
    note_first(&FIRST_MACHINE_CHECK);
    (0..mca::banks()).for_each(mca::clear);
    mca::write_zero(mca::MCG_STATUS);
}

/// One more of both; `first` keeps the number of the first of its kind.
fn note_first(first: &AtomicU64) {
    let number = EVENTS.fetch_add(1, Ordering::AcqRel) + 1;
    let _ = first.compare_exchange(0, number, Ordering::AcqRel, Ordering::Relaxed);
}

fn call(number: Hypercall, first: u64, second: u64) -> i64 {
    hypercall::call(number, [first, second, 0, 0, 0]) as i64
}

/// Task 1.
fn read_records() -> u64 {
    let waiting = call(Hypercall::RecordNotify, INTERRUPT as u64, 0);
    line!(
        "registered waiting={waiting} page={PAGE:#x} buffer={:#x}",
        buffer(0)
    );
    let records = arguments::number("records", 1);
    let (mut read, mut deaf) = (0, arguments::number("deaf", 0));
    let waiting = waiting as u64;
    match arguments::number("trap", 0) {
        0 => {}
        1 => trap_interrupt(),
        _ => trap_entry(),
    }
    while read < records {
        if read >= waiting {
            halt_until(read - waiting + 1);
        }
        if arguments::number("buffer", 0) != 0 && read + 1 == records {
            lose_buffer();
        }
        if !read_record(1) {
            return WRONG;
        }
        read += 1;
        if deaf != 0 {
            stay_deaf(deaf);
            compute_until(records - waiting);
            deaf = 0;
        }
    }
    // More would come now.
    let end = smp::time() + 3_000_000;
    while smp::time() < end {
        allow_interrupts();
    }
    let load = |value: &AtomicU64| value.load(Ordering::Acquire);
    line!("interrupts={} left={}", load(&INTERRUPTS), take_record(1));
    let (interrupt, machine_check) = (load(&FIRST_INTERRUPT), load(&FIRST_MACHINE_CHECK));
    line!(
        "order machine-checks={} before-interrupt={}",
        load(&MACHINE_CHECKS),
        u8::from(machine_check < interrupt)
    );
    0
}

/// Halts until there have been so many interrupts.
fn halt_until(interrupts: u64) {
    while INTERRUPTS.load(Ordering::Acquire) < interrupts {
        // SAFETY: interrupts have a handler; none comes between the look and HLT, for STI holds it up so long.
        unsafe { asm!("sti", "hlt", "cli") }
    }
}

/// Computes until there have been so many interrupts, and says whether that was before the hypervisor had another reason to look.
fn compute_until(interrupts: u64) {
    /// Housekeeping comes after a million.
    const AT_ONCE: u64 = 100_000;
    let start = smp::time();
    while INTERRUPTS.load(Ordering::Acquire) < interrupts && smp::time() - start < 20 * AT_ONCE {
        allow_interrupts();
    }
    let at_once = smp::time() - start < AT_ONCE;
    line!("interrupts at-once={}", u8::from(at_once));
}

/// The next touch of the stack of interrupts has the injector raise an error in [`PAGE`] that requires action.
fn trap_interrupt() {
    const PAGE_BYTES: u64 = 4096;
    let stack = exception_stack_top(0, ExceptionStack::Other) as u64 - 8;
    trap(FAULT_ON_TOUCH, stack / PAGE_BYTES);
}

/// The VM entry that is to deliver the next interrupt meets such an error.
fn trap_entry() {
    trap(FAULT_ON_ENTRY, 0);
}

fn trap(flag: u64, page: u64) {
    let flags = FAULT_GUEST_PHYSICAL | flag;
    let what = 1 | flags << 8 | 0xffff << 16 | page << 40;
    let answer = hypercall::call(
        Hypercall::Fault,
        [what, 0xbd80_0000_0000_0134, 7, PAGE, 0x8c],
    );
    assert!(answer == 0, "no trap: {answer:#x}");
    line!("trapped");
}

fn allow_interrupts() {
    // SAFETY: interrupts have a handler.
    unsafe { asm!("sti", "nop", "nop", "cli") }
}

/// Raises an error: bank, flags and guest, processor; MCi_STATUS, MCG_STATUS, MCi_ADDR, MCi_MISC.
fn raise(place: [u64; 3], what: [u64; 4]) {
    let [bank, flags, processor] = place;
    let [status, mcg_status, address, misc] = what;
    let answer = hypercall::call(
        Hypercall::Fault,
        [
            bank | flags | processor << 16,
            status,
            mcg_status,
            address,
            misc,
        ],
    );
    assert!(answer == 0, "the fault was refused: {answer:#x}");
}

/// Raises a corrected error in a bank of that processor, for a poll to find.
fn raise_corrected(bank: u64, processor: u64) {
    raise(
        [bank, 0, processor],
        [0x9c00_0040_0000_0090, 0, 0x765_4000, 0x86],
    );
}

/// Runs for a while without taking interrupts, with three errors in it, and says how many came all the same.
fn stay_deaf(ticks: u64) {
    let before = INTERRUPTS.load(Ordering::Acquire);
    // The other guest has finished with its first error by then.
    wait_until(smp::time() + ticks / 4);
    let in_guest_1 = (FAULT_BROADCAST | FAULT_OTHER_GUEST) << 8 | 1 << 32;
    raise(
        [1, in_guest_1, 1],
        [0xbd00_0000_0000_017a, 5, PAGE + 4096, 0x8c],
    );
    raise_corrected(3, 1);
    raise([0, 0, 0], [0xac00_0000_0000_0136, 0, 0x765_5000, 0x86]);
    let end = smp::time() + ticks;
    while smp::time() < end {
        core::hint::spin_loop();
    }
    let came = INTERRUPTS.load(Ordering::Acquire) - before;
    line!("deaf interrupts={came}");
}

/// Has a record written where it cannot be: it stays.
fn lose_buffer() {
    let before = MACHINE_CHECKS.load(Ordering::Acquire);
    let result = take_record(0);
    let met = MACHINE_CHECKS.load(Ordering::Acquire) - before;
    line!("lost buffer result={result} machine-checks={met}");
    let outside = call(Hypercall::RecordRead, 1 << 40, RECORD_BYTES as u64);
    line!("outside result={outside}");
}

fn buffer(index: usize) -> u64 {
    (BUFFERS.get() as usize + index * size_of::<Page>()) as u64
}

/// Has the next record written to that buffer.
fn take_record(index: usize) -> i64 {
    call(Hypercall::RecordRead, buffer(index), RECORD_BYTES as u64)
}

/// Reads a record and says what is in it; false if there is none.
fn read_record(index: usize) -> bool {
    let result = take_record(index);
    let bytes = with_exposed_provenance_mut::<[u8; RECORD_BYTES]>(buffer(index) as usize);
    // SAFETY: the buffer is this program's, and the hypervisor has written to it.
    let bytes = unsafe { bytes.read_volatile() };
    let Some(record) = Record::from_bytes(&bytes).filter(|_| result == 1) else {
        line!("no record result={result}");
        return false;
    };
    let Record {
        number,
        at,
        status,
        address,
        misc,
        mcg_status,
        count,
        processor,
        bank,
        kind,
        class,
    } = record;
    line!(
        "record number={number} kind={} class={} processor={} bank={} status={status:#x} addr={address:#x} misc={misc:#x} mcg_status={mcg_status:#x} count={count} at={}",
        kind as u8,
        class.word(),
        processor.0,
        bank.0,
        at.0
    );
    true
}

/// Task 2.
fn take_pages() -> u64 {
    wait_until(arguments::number("at", 0));
    let answers = [
        ("out", Hypercall::PageOut, 1, PAGE),
        ("out again", Hypercall::PageOut, 1, PAGE + 8),
        ("back", Hypercall::PageBack, 1, PAGE),
        ("back again", Hypercall::PageBack, 1, PAGE),
        ("out lost", Hypercall::PageOut, 2, PAGE),
        ("out free", Hypercall::PageOut, HOST, 0x9000),
        ("back free", Hypercall::PageBack, HOST, 0x9000),
        ("out hypervisor", Hypercall::PageOut, HOST, 0x10_0000),
        ("out firmware", Hypercall::PageOut, HOST, 0xfee0_0000),
        ("out outside", Hypercall::PageOut, 1, 1 << 40),
        ("out nobody", Hypercall::PageOut, 60, PAGE),
        ("out number", Hypercall::PageOut, 256, PAGE),
        ("vector exception", Hypercall::RecordNotify, 31, 0),
        ("vector great", Hypercall::RecordNotify, 256, 0),
        ("room", Hypercall::RecordRead, buffer(0), 63),
        ("no record", Hypercall::RecordRead, buffer(0), 64),
        ("vector none", Hypercall::RecordNotify, 0, 0),
    ];
    for (name, number, first, second) in answers {
        line!("{name}: {}", call(number, first, second));
    }
    0
}

/// Task 3.
fn touch() -> u64 {
    let word = with_exposed_provenance_mut::<u64>(PAGE as usize);
    // SAFETY: memory of this guest, nobody's object.
    unsafe { word.write_volatile(7) };
    wait_until(arguments::number("at", 0));
    line!("touches");
    // SAFETY: as above.
    line!("touched word={}", unsafe { word.read_volatile() });
    0
}

/// Task 4.
fn ask_without_right() -> u64 {
    for (name, number) in [
        ("notify", Hypercall::RecordNotify),
        ("read", Hypercall::RecordRead),
        ("out", Hypercall::PageOut),
        ("back", Hypercall::PageBack),
        ("processor out", Hypercall::ProcessorOut),
        ("processor back", Hypercall::ProcessorBack),
    ] {
        line!("{name}: {}", call(number, 40, PAGE));
    }
    0
}

/// Task 5.
fn take_processors() -> u64 {
    line!(
        "registered waiting={}",
        call(Hypercall::RecordNotify, INTERRUPT as u64, 0)
    );
    let out = [
        ("out", 1),
        ("out again", 1),
        ("out last", 0),
        ("out nobody", 60),
        ("out number", 0x1_0001),
    ];
    for (name, number) in out {
        line!("{name}: {}", call(Hypercall::ProcessorOut, number, 0));
    }
    line!("moved");
    halt_until(1);
    if !read_record(0) {
        return WRONG;
    }
    for (name, number) in [("back", 1), ("back again", 1), ("back nobody", 60)] {
        line!("{name}: {}", call(Hypercall::ProcessorBack, number, 0));
    }
    0
}

const NMI: usize = 2;
/// How far vCPU 1 has come in [`halt_deaf`].
static STEPS: AtomicU64 = AtomicU64::new(0);

/// Task 6.
fn wake_the_deaf() -> u64 {
    const PATIENCE: u64 = 100_000_000;
    exceptions::on(NMI, |_| {});
    smp::start_others(halt_deaf);
    let steps = |count: u64| smp::wait_for(PATIENCE, || STEPS.load(Ordering::Acquire) == count);
    if !steps(1) {
        return WRONG;
    }
    let before = compute();
    raise_corrected(3, 0);
    // Until the record is there.
    let there = smp::time() + 5_000_000;
    wait_until(there);
    let meanwhile = compute();
    let interrupts = INTERRUPTS.load(Ordering::Acquire);
    line!(
        "halted interrupts={interrupts} asleep={} undisturbed={}",
        u8::from(STEPS.load(Ordering::Acquire) == 1),
        u8::from(meanwhile > before - before / 8)
    );
    smp::nmi(1);
    let woken = steps(2) && smp::wait_for(PATIENCE, || INTERRUPTS.load(Ordering::Acquire) == 1);
    line!("woken={}", u8::from(woken));
    if !read_record(0) {
        return WRONG;
    }
    smp::init(1);
    raise_corrected(2, 0);
    let there = smp::time() + 5_000_000;
    wait_until(there);
    smp::start_up(1);
    if !steps(3) {
        return WRONG;
    }
    wait_until(smp::time() + 2_000_000);
    line!("interrupts={}", INTERRUPTS.load(Ordering::Acquire));
    if read_record(0) { 0 } else { WRONG }
}

fn halt_deaf(_vcpu: usize) {
    if STEPS.load(Ordering::Acquire) == 0 {
        let waiting = call(Hypercall::RecordNotify, INTERRUPT as u64, 0);
        assert!(waiting == 0, "no record yet");
        STEPS.store(1, Ordering::Release);
        // SAFETY: an NMI ends it.
        unsafe { asm!("hlt") }
    }
    STEPS.fetch_add(1, Ordering::AcqRel);
    loop {
        allow_interrupts();
    }
}

/// How often it looks at the time, in so many ticks.
fn compute() -> u64 {
    let end = smp::time() + 4_000_000;
    let mut looks = 0;
    while smp::time() < end {
        looks += 1;
    }
    looks
}

fn wait_until(time: u64) {
    while smp::time() < time {
        core::hint::spin_loop();
    }
}
