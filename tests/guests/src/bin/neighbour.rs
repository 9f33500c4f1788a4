//! The guest of the scenarios in which vCPUs share processors: every vCPU puts values of its own into whatever the hypervisor has
//! to switch between vCPUs, and looks again and again whether they are still there.
//!
//! Command line: `seed=N`, makes the values this guest's; `ticks=N`, how long to look (time stamp ticks); `halt=1`, the vCPUs
//! but 0 halt instead; `errors=N`, how many machine checks every vCPU must have had in the end (0); `srao=N` and `srar=N`, raises
//! such an error in guest N's page [`PAGE`], once every vCPU looks; `again=1`, starts vCPU 1 a second time, before the error. Of the error:
//! `by=N`, vCPU N raises it (0); `two=N`, there are N more in other banks, of the pages behind; `more=1`, another one follows at
//! once, or `pause=N` ticks later, in guest `then=N` if not in the same, as a local machine check of processor `at=N` if that is given; `local=1`, it is a local machine check, which this guest takes; `beside=N`, processor N has a local machine check of its own in the same moment. `mce=0`, machine checks stay disabled; `keep=1`, the handler leaves
//! MCIP set; `linger=N`, it stays for N ticks after it has cleared it. Once every vCPU has finished with it, and before another one that waits follows: `between=1`, vCPU 1 gets INIT, and starts again
//! when vCPU 0 has had the other one; `between=2`, another machine check takes vCPU 1's context, of an error that needs no action.
#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use guests::exceptions::{self, Frame};
use guests::mca::{self, Register};
use guests::platform::{this_vcpu, vcpus};
use guests::tables::MOST_VCPUS;
use guests::{arguments, hypercall, line, msr, smp};
use kernel::guest::hypercall::{
    FAULT_BROADCAST, FAULT_GUEST_PHYSICAL, FAULT_OTHER_GUEST, Hypercall,
};

guests::main!(run);

/// Exit code: a value was not what this vCPU had put there.
const MIXED_UP: u64 = 1;
/// Exit code: a vCPU or a machine check did not come in time.
const LATE: u64 = 2;

/// How long vCPU 0 waits for the others, in time stamp ticks.
const PATIENCE: u64 = 1_000_000_000;

/// A page that no program uses.
const PAGE: u64 = 6 << 20;
/// No guest: a number that no argument has.
const NOBODY: u64 = 255;

/// What a vCPU's handler saw last, and how often it ran.
struct Seen {
    count: AtomicU64,
    mcg_status: AtomicU64,
    record: [AtomicU64; 3],
}

static SEEN: [Seen; MOST_VCPUS] = [const {
    Seen {
        count: AtomicU64::new(0),
        mcg_status: AtomicU64::new(0),
        record: [const { AtomicU64::new(0) }; 3],
    }
}; MOST_VCPUS];

/// Starts of vCPUs, all together.
static STARTS: AtomicUsize = AtomicUsize::new(0);
/// vCPUs that have found everything right.
static RIGHT: AtomicUsize = AtomicUsize::new(0);
/// The end of looking.
static ENOUGH: AtomicBool = AtomicBool::new(false);
/// Something was wrong.
static WRONG: AtomicBool = AtomicBool::new(false);

fn run() -> u64 {
    exceptions::on_machine_check(machine_check);
    prepare();
    smp::start_others(work);
    if !started(vcpus() - 1) {
        return LATE;
    }
    if arguments::number("again", 0) != 0 {
        smp::init(1);
        raise(0);
        smp::start_up(1);
        if !started(vcpus()) {
            return LATE;
        }
    } else {
        raise(0);
    }
    if !between() {
        return LATE;
    }
    let errors = arguments::number("errors", 0);
    let end = smp::time() + arguments::number("ticks", 10_000_000);
    keep_state(0, || smp::time() < end);
    let all_told = || SEEN[0].count.load(Ordering::Acquire) >= errors;
    if !smp::wait_for(PATIENCE, all_told) {
        line!("late what=machine-check");
        return LATE;
    }
    ENOUGH.store(true, Ordering::Release);
    let halts = arguments::number("halt", 0) != 0;
    let others = if halts { 0 } else { vcpus() - 1 };
    if !smp::wait_for(PATIENCE, || RIGHT.load(Ordering::Acquire) >= others) {
        line!("late what=end right={}", RIGHT.load(Ordering::Acquire));
        return LATE;
    }
    report();
    let wrong = WRONG.load(Ordering::Acquire);
    line!(
        "state kept={} of={}",
        RIGHT.load(Ordering::Acquire) + usize::from(!wrong),
        others + 1
    );
    u64::from(wrong) * MIXED_UP
}

/// Does what the command line asks for between two machine checks; false if something did not come in time.
fn between() -> bool {
    let what = arguments::number("between", 0);
    let has_had = |errors: u64| move |seen: &Seen| seen.count.load(Ordering::Acquire) >= errors;
    if what == 0 {
        return true;
    }
    if !smp::wait_for(PATIENCE, || SEEN[..vcpus()].iter().all(has_had(1))) {
        line!("late what=first-machine-check");
        return false;
    }
    if what == 1 {
        smp::init(1);
        let is_told = smp::wait_for(PATIENCE, || has_had(2)(&SEEN[0]));
        smp::start_up(1);
        return is_told && started(vcpus());
    }
    // MCG_STATUS of processor 1, for the #MC of processor 0: EIPV alone.
    fault(1, 1 << 16, [0, 2]);
    fault(2, FAULT_BROADCAST << 8, [0xb000_0000_0000_0405, 5]);
    true
}

/// Puts an error without an address into a bank, with these flags and that processor: MCi_STATUS and MCG_STATUS.
fn fault(bank: u64, place: u64, [status, mcg_status]: [u64; 2]) {
    let answer = hypercall::call(Hypercall::Fault, [bank | place, status, mcg_status, 0, 0]);
    assert!(answer == 0, "the fault was refused: {answer:#x}");
}

/// Waits until vCPUs have been started that many times.
fn started(times: usize) -> bool {
    let done = smp::wait_for(PATIENCE, || STARTS.load(Ordering::Acquire) == times);
    if !done {
        line!("late what=vcpu starts={}", STARTS.load(Ordering::Acquire));
    }
    done
}

/// What a vCPU but 0 does.
fn work(vcpu: usize) {
    prepare();
    STARTS.fetch_add(1, Ordering::AcqRel);
    raise(vcpu);
    if arguments::number("halt", 0) != 0 {
        return;
    }
    if keep_state(vcpu, || !ENOUGH.load(Ordering::Acquire)) {
        RIGHT.fetch_add(1, Ordering::AcqRel);
    }
}

/// Enables what the command line asks for.
fn prepare() {
    const MCG_EXT_CTL: u32 = 0x4d0;
    const LMCE_EN: u64 = 1;
    if arguments::number("mce", 1) != 0 {
        mca::enable();
    }
    if arguments::number("local", 0) != 0 || arguments::number("beside", NOBODY) != NOBODY {
        // SAFETY: it changes who gets a machine check.
        unsafe { msr::write(MCG_EXT_CTL, LMCE_EN) }.expect("the guest was promised LMCE");
    }
}

/// Raises the errors that the command line asks for, if that vCPU is to do it.
fn raise(vcpu: usize) {
    if arguments::number("by", 0) != vcpu as u64 {
        return;
    }
    const SRAO: (u64, u64) = (0xbd00_0000_0000_00cf, 5);
    const SRAR: (u64, u64) = (0xbd80_0000_0000_0134, 7);
    const THIS_PROCESSOR: u64 = 0xffff << 16;
    const MISC: u64 = 0x8c;
    const LMCE_S: u64 = 1 << 3;
    const PAGE_BYTES: u64 = 4096;
    /// What is more than one processor has goes to processors 1, 2 and so on.
    const BANKS: u64 = 16;
    for (name, (status, mcg_status)) in [("srao", SRAO), ("srar", SRAR)] {
        let guest = arguments::number(name, NOBODY);
        if guest == NOBODY {
            continue;
        }
        let is_local = arguments::number("local", 0) != 0;
        let (broadcast, local) = if is_local {
            (0, LMCE_S)
        } else {
            (FAULT_BROADCAST, 0)
        };
        let put_in = |guest: u64, processor: u64, bank: u64, mcg_status: u64, page: u64| {
            let to_all = if mcg_status & LMCE_S == 0 {
                broadcast
            } else {
                0
            };
            let flags = (to_all | FAULT_OTHER_GUEST) << 8;
            let where_to = bank | flags | processor | guest << 32;
            let what = [where_to, status, mcg_status, PAGE + page * PAGE_BYTES, MISC];
            let answer = hypercall::call(Hypercall::Fault, what);
            assert!(answer == 0, "the fault was refused: {answer:#x}");
        };
        let put_at = |processor, bank, mcg_status, page| {
            put_in(guest, processor, bank, mcg_status, page);
        };
        let put = |bank, mcg_status, page| put_at(THIS_PROCESSOR, bank, mcg_status, page);
        for more in 1..=arguments::number("two", 0) {
            // Without MCIP it raises nothing, and is found with the other one, which is in bank 1.
            match more {
                1 => put(0, 0, more),
                2..BANKS => put(more, 0, more),
                _ => put_at((more / BANKS) << 16, more % BANKS, 0, more),
            }
        }
        let beside = arguments::number("beside", NOBODY);
        if beside != NOBODY {
            // This guest's own page, which the vCPU on that processor meets.
            let place = 2 | FAULT_GUEST_PHYSICAL << 8 | beside << 16;
            let what = [place, SRAR.0, SRAR.1 | LMCE_S, PAGE + 3 * PAGE_BYTES, MISC];
            let answer = hypercall::call(Hypercall::Fault, what);
            assert!(answer == 0, "the fault was refused: {answer:#x}");
        }
        put(1, mcg_status | local, 0);
        if arguments::number("more", 0) != 0 {
            let end = smp::time() + arguments::number("pause", 0);
            while smp::time() < end {}
            let guest = arguments::number("then", guest);
            let (place, local) = match arguments::number("at", NOBODY) {
                NOBODY => (THIS_PROCESSOR, local),
                processor => (processor << 16, LMCE_S),
            };
            put_in(guest, place, 1, mcg_status | local, 2);
        }
    }
}

/// Says what each vCPU's handler saw.
fn report() {
    for (vcpu, seen) in SEEN[..vcpus()].iter().enumerate() {
        let load = |value: &AtomicU64| value.load(Ordering::Acquire);
        let [status, address, misc] = seen.record.each_ref().map(load);
        line!(
            "mc vcpu={vcpu} count={} mcg_status={:#x} status={status:#x} addr={address:#x} misc={misc:#x}",
            load(&seen.count),
            load(&seen.mcg_status)
        );
    }
}

/// The machine-check handler: notes, clears, goes on.
fn machine_check(_frame: &mut Frame) {
    let seen = &SEEN[this_vcpu()];
    seen.mcg_status
        .store(mca::read(mca::MCG_STATUS), Ordering::Release);
    for (place, register) in
        seen.record
            .iter()
            .zip([Register::Status, Register::Address, Register::Misc])
    {
        place.store(mca::read(mca::address(1, register)), Ordering::Release);
    }
    mca::clear(1);
    if arguments::number("keep", 0) == 0 {
        mca::write_zero(mca::MCG_STATUS);
    }
    let returns = smp::time() + arguments::number("linger", 0);
    while smp::time() < returns {
        core::hint::spin_loop();
    }
    seen.count.fetch_add(1, Ordering::AcqRel);
}

/// Registers of SYSCALL and SWAPGS: their numbers and the bits in which values differ. No program here uses either.
const MSRS: [(u32, u64); 5] = [
    (0xc000_0081, 0xffff_ffff_0000_0000),
    (0xc000_0082, 0xffff_ffff),
    (0xc000_0083, 0xffff_ffff),
    (0xc000_0084, 0xff),
    (0xc000_0102, 0xffff_ffff),
];

/// Puts this vCPU's values everywhere and looks at them as long as `go_on` says; false if one was another's.
fn keep_state(vcpu: usize, go_on: impl Fn() -> bool) -> bool {
    let own = (arguments::number("seed", 0) << 8 | vcpu as u64) + 1;
    let value = |place: u64| (own << 8 | place) * 0x0101_0101_0101;
    for (place, (number, bits)) in (0..).zip(MSRS) {
        // SAFETY: nothing here executes SYSCALL or SWAPGS.
        unsafe { msr::write(number, value(place) & bits) }.expect("a guest has SYSCALL");
    }
    debug_registers_write(&value);
    while go_on() {
        for (place, (number, bits)) in (0..).zip(MSRS) {
            check("msr", number.into(), msr::read(number), value(place) & bits);
        }
        for (place, found) in debug_registers().into_iter().enumerate() {
            let wanted = debug_value(&value, place);
            check("register", place as u64, Some(found), wanted);
        }
        let lanes = vector_registers_after_a_while(value(30));
        for (place, found) in lanes.into_iter().enumerate() {
            check(
                "vector",
                place as u64,
                Some(found),
                value(30) + place as u64,
            );
        }
    }
    !WRONG.load(Ordering::Acquire)
}

fn check(what: &str, number: u64, found: Option<u64>, wanted: u64) {
    if found != Some(wanted) && !WRONG.swap(true, Ordering::AcqRel) {
        let vcpu = this_vcpu();
        line!("mixed up vcpu={vcpu} {what}={number:#x} found={found:x?} wanted={wanted:#x}");
    }
}

/// Values of DR0 to DR3, DR6 and CR2, by their places. DR7 enables none of the breakpoints.
fn debug_value(value: &impl Fn(u64) -> u64, place: usize) -> u64 {
    const DR6: usize = 4;
    match place {
        // The breakpoint bits can be set; the others are fixed.
        DR6 => 0xffff_0ff0 | value(0) >> 8 & 0xf,
        _ => value(10 + place as u64) & 0xffff_ffff,
    }
}

fn debug_registers_write(value: &impl Fn(u64) -> u64) {
    let [a, b, c, d, e, f] = [0, 1, 2, 3, 4, 5].map(|place| debug_value(value, place));
    // SAFETY: no breakpoint is enabled, and no page fault is expected.
    unsafe {
        asm!(
            "mov dr0, {}", "mov dr1, {}", "mov dr2, {}", "mov dr3, {}", "mov dr6, {}", "mov cr2, {}",
            in(reg) a, in(reg) b, in(reg) c, in(reg) d, in(reg) e, in(reg) f, options(nostack, nomem)
        );
    }
}

fn debug_registers() -> [u64; 6] {
    let [mut a, mut b, mut c, mut d, mut e, mut f] = [0; 6];
    // SAFETY: reading them has no effect.
    unsafe {
        asm!(
            "mov {}, dr0", "mov {}, dr1", "mov {}, dr2", "mov {}, dr3", "mov {}, dr6", "mov {}, cr2",
            out(reg) a, out(reg) b, out(reg) c, out(reg) d, out(reg) e, out(reg) f, options(nostack, nomem)
        );
    }
    [a, b, c, d, e, f]
}

/// The low halves of XMM0 and XMM15 and MXCSR's rounding, a while after `first`, `first` + 1 and round-to-zero were put there:
/// the last is given as `first` + 2 where it is still so.
fn vector_registers_after_a_while(first: u64) -> [u64; 3] {
    const TO_ZERO: u32 = 0x7f80;
    static DEFAULT: u32 = 0x1f80;
    let (low, high): (u64, u64);
    let mut control = TO_ZERO;
    // SAFETY: MXCSR is put back.
    unsafe {
        asm!(
            "ldmxcsr [{control}]",
            "movq xmm0, {first}",
            "lea {scratch}, [{first} + 1]",
            "movq xmm15, {scratch}",
            "mov {scratch:e}, 20000",
            "2: dec {scratch:e}",
            "jnz 2b",
            "movq {low}, xmm0",
            "movq {high}, xmm15",
            "stmxcsr [{control}]",
            "ldmxcsr [{default}]",
            control = in(reg) &raw mut control,
            default = in(reg) &raw const DEFAULT,
            first = in(reg) first,
            scratch = out(reg) _,
            low = out(reg) low,
            high = out(reg) high,
            out("xmm0") _,
            out("xmm15") _,
            options(nostack),
        );
    }
    [
        low,
        high,
        if control == TO_ZERO {
            first + 2
        } else {
            control.into()
        },
    ]
}
