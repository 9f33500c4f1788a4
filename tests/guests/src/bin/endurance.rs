//! Has errors raised one after the other, each broadcast and each in memory of its own, and counts what arrives: on every vCPU a
//! machine check for each error that is for it, on vCPU 0 its record. Command line: `errors=N` (10000); `seed=N`, errors of all kinds, drawn by
//! that number (else SRAO alone); `fatal=T`, behind the last a fatal one comes on processor 1, unless the time stamp counter has passed T: in the first
//! boot of a machine, not in the second.
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
    enable_local();
    smp::start_others(wait);
    let others = vcpus() - 1;
    if !smp::wait_for(PATIENCE, || WAITING.load(Ordering::Acquire) == others) {
        line!("late what=vcpu");
        return LATE;
    }
    let errors = arguments::number("errors", 10_000);
    let mut seed = arguments::number("seed", 0);
    let mut counts = [0_u64; KINDS.len()];
    let mut due = 0;
    for error in 1..=errors {
        let page = PAGES.get() as u64 + (error % VICTIMS as u64) * PAGE_BYTES as u64;
        VICTIM.store(page, Ordering::Release);
        let kind = if seed == 0 { 0 } else { draw(&mut seed) };
        counts[kind] += 1;
        let answer = KINDS[kind].raise(page);
        due += u64::from(!KINDS[kind].is_local());
        let everyone = || {
            let handled = |vcpu: usize| HANDLED[vcpu].load(Ordering::Acquire);
            handled(0) >= error && (1..vcpus()).all(|vcpu| handled(vcpu) >= due)
        };
        if answer != 0 || !smp::wait_for(PATIENCE, everyone) {
            line!("late what=machine-check error={error} answer={answer:#x}");
            return LATE;
        }
    }
    if smp::time() < arguments::number("fatal", 0) {
        const CORRUPT: [u64; 2] = [0xbe00_0000_0000_0135, 5];
        let place = 2 | FAULT_BROADCAST << 8 | 1 << 16;
        hypercall::call(Hypercall::Fault, [place, CORRUPT[0], CORRUPT[1], 0, 0]);
    }
    let records = RECORDS.load(Ordering::Acquire);
    line!("errors={errors} records={records}");
    if seed != 0 {
        let [scrub, consumed, local, beside] = counts;
        line!("scrub={scrub} consumed={consumed} local={local} beside={beside}");
        line!("broadcast={due}");
    }
    for (vcpu, handled) in HANDLED[..vcpus()].iter().enumerate() {
        line!("vcpu={vcpu} handled={}", handled.load(Ordering::Acquire));
    }
    0
}

/// What another vCPU does.
fn wait(_vcpu: usize) {
    mca::enable();
    enable_local();
    WAITING.fetch_add(1, Ordering::AcqRel);
    loop {
        core::hint::spin_loop();
    }
}

/// A kind of error, in bank 1 of the processor that vCPU 0 runs on.
struct Kind {
    status: u64,
    mcg_status: u64,
    /// There is a corrected error in bank 2 already.
    beside_corrected: bool,
}

const SCRUBBED: u64 = 0xbd00_0000_0000_00cf;
const LOADED: u64 = 0xbd80_0000_0000_0134;
const LMCE_S: u64 = 1 << 3;

const KINDS: [Kind; 4] = [
    Kind::new(SCRUBBED, 5),
    Kind::new(LOADED, 7),
    Kind::new(LOADED, 7 | LMCE_S),
    Kind {
        beside_corrected: true,
        ..Kind::new(SCRUBBED, 5)
    },
];

impl Kind {
    const fn new(status: u64, mcg_status: u64) -> Self {
        Self {
            status,
            mcg_status,
            beside_corrected: false,
        }
    }

    /// No other vCPU is told.
    const fn is_local(&self) -> bool {
        self.mcg_status & LMCE_S != 0
    }

    fn raise(&self, page: u64) -> u64 {
        const THIS_PROCESSOR: u64 = 0xffff << 16;
        const CORRECTED: u64 = 0x9c00_0000_0000_009f;
        const MISC: u64 = 0x8c;
        let place =
            |bank: u64, flags: u64| bank | (flags | FAULT_GUEST_PHYSICAL) << 8 | THIS_PROCESSOR;
        let call = |place, status, mcg_status| {
            hypercall::call(Hypercall::Fault, [place, status, mcg_status, page, MISC])
        };
        if self.beside_corrected {
            let answer = call(place(2, 0), CORRECTED, 0);
            if answer != 0 {
                return answer;
            }
        }
        let flags = if self.is_local() { 0 } else { FAULT_BROADCAST };
        call(place(1, flags), self.status, self.mcg_status)
    }
}

/// The next kind. The generator is Knuth's MMIX one.
fn draw(seed: &mut u64) -> usize {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) as usize % KINDS.len()
}

/// Allows local machine checks to a guest that was promised them.
fn enable_local() {
    const MCG_LMCE_P: u64 = 1 << 27;
    const MCG_EXT_CTL: u32 = 0x4d0;
    const LMCE_EN: u64 = 1;
    if mca::read(mca::MCG_CAP) & MCG_LMCE_P != 0 {
        // SAFETY: it says who is told of a local error; whoever it is has a handler.
        unsafe { guests::msr::write(MCG_EXT_CTL, LMCE_EN) }.expect("the guest was promised LMCE");
    }
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
