//! The guest of `cargo boot bench`: counts time stamp ticks around single instructions, and from the moment an error is
//! raised to the first instruction of its machine-check handler.
//!
//! A line for each: `bench NAME MINIMUM MEDIAN WORST`, in ticks, with the ticks of the empty measurement taken off.
//! Command line: `errors=N`, how many errors to raise (100, at most 128; 0 for images without the injector); `brief=1`, nothing
//! else is measured; `split=1`, each error is the first in its 2 MiB; `others=N`, how many guests with `other=1` there are besides, numbered
//! from 1: they halt, or with `busy=1` compute, until an error of their own, raised in the end.
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::ptr::with_exposed_provenance_mut;
use core::sync::atomic::{AtomicUsize, Ordering};

use guests::exceptions::machine_check_gate;
use guests::mca::{self, MCG_CAP, MCG_STATUS, Register};
use guests::platform::vcpus;
use guests::tables::{ExceptionStack, Shared, exception_stack_top};
use guests::{arguments, hypercall, line, msr, smp};
use kernel::guest::hypercall::{
    FAULT_BROADCAST, FAULT_GUEST_PHYSICAL, FAULT_OTHER_GUEST, Hypercall,
};

guests::main!(run);

/// Exit code: a fault was refused, or its machine check did not come.
const NO_MACHINE_CHECK: u64 = 1;

const COUNT: usize = 1000;

const MC1_STATUS: u32 = mca::address(1, Register::Status);

/// Ticks of one instruction with ECX = `$ecx` and EAX = EDX = 0, and of what is around it.
macro_rules! ticks {
    ($ecx:expr, $($instruction:literal)?) => {{
        let ticks: u32;
        // SAFETY: CPUID, RDMSR and WRMSR of 0 to machine-check registers change no memory; RBX is put back.
        unsafe {
            asm!(
                "push rbx",
                "rdtsc",
                "mov r8d, eax",
                "xor eax, eax",
                "xor edx, edx",
                $($instruction,)?
                "rdtsc",
                "sub eax, r8d",
                "pop rbx",
                inout("ecx") $ecx => _,
                out("eax") ticks,
                out("edx") _,
                out("r8") _,
            );
        }
        ticks
    }};
}

/// Smallest, middle and largest.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Summary {
    median: u32,
    worst: u32,
    minimum: u32,
}

impl Summary {
    fn of(samples: &mut [u32]) -> Self {
        samples.sort_unstable();
        let last = samples.len() - 1;
        Self {
            minimum: samples[0],
            median: samples[samples.len() / 2],
            worst: samples[last],
        }
    }

    fn print(self, name: &str) {
        line!(
            "bench {name} {} {} {}",
            self.minimum,
            self.median,
            self.worst
        );
    }
}

fn run() -> u64 {
    if arguments::number("other", 0) != 0 {
        return other(arguments::number("busy", 0) != 0);
    }
    let others = arguments::number("others", 0);
    // Each comes to its turn, and to its HLT.
    smp::wait_for(others * SLICES, || false);
    let mut samples = [0; COUNT];
    if arguments::number("brief", 0) == 0 {
        accesses(&mut samples);
    }
    let exit = match arguments::number("errors", ERRORS as u64) as usize {
        0 => 0,
        errors => machine_checks(&mut samples[..errors.min(ERRORS)]),
    };
    for guest in 1..=others {
        raise(OTHERS_PAGE, FAULT_OTHER_GUEST << 8 | guest << 32);
    }
    exit
}

/// Some of the hypervisor's time slices (`slice=100000`), in ticks.
const SLICES: u64 = 300_000;

/// A page that no program uses.
const OTHERS_PAGE: u64 = 6 << 20;

/// Halts or computes until a machine check.
fn other(busy: bool) -> u64 {
    machine_check_gate(handler());
    mca::enable();
    if busy {
        // SAFETY: the handler changes RAX, RCX and RDX alone.
        unsafe {
            asm!("2: pause", "cmp eax, {handled}", "jne 2b", handled = const HANDLED, inout("rax") 0_u64 => _, out("rcx") _, out("rdx") _);
        }
    } else {
        // SAFETY: as above.
        unsafe { asm!("hlt", out("rax") _, out("rcx") _, out("rdx") _) };
    }
    0
}

/// Counts single accesses.
fn accesses(samples: &mut [u32; COUNT]) {
    let mut measure = |ticks: &dyn Fn() -> u32| {
        samples.iter_mut().for_each(|sample| *sample = ticks());
        Summary::of(samples)
    };
    let empty = measure(&|| ticks!(0,)).minimum;
    let mut measure = |ticks: &dyn Fn() -> u32| measure(&|| ticks().saturating_sub(empty));

    measure(&|| ticks!(MCG_CAP, "rdmsr")).print("rdmsr-mcg-cap");
    measure(&|| ticks!(MC1_STATUS, "rdmsr")).print("rdmsr-mc1-status");
    let registers = interface().map(|register| (measure(&|| ticks!(register, "rdmsr")), register));
    let (slowest, register) = registers.max().expect("MCG_CAP is always there");
    slowest.print("rdmsr-slowest");
    line!("slowest {register:#x}");
    measure(&|| ticks!(MC1_STATUS, "wrmsr")).print("wrmsr-mc1-status-0");
    measure(&|| ticks!(0, "cpuid")).print("cpuid-0");
}

/// Every register of the interface that this guest can read.
fn interface() -> impl Iterator<Item = u32> {
    let banks = mca::banks() as u32;
    (MCG_CAP..=0x17b)
        .chain(0x280..0x280 + banks)
        .chain(0x400..0x400 + 4 * banks)
        .chain([0x4d0, 0x3a])
        .filter(|register| msr::read(*register).is_some())
}

/// Most errors: each takes a page of its own, which the hypervisor then puts out of use.
const ERRORS: usize = 128;
const PAGE_BYTES: usize = 4096;

#[repr(C, align(4096))]
struct Victims([u8; ERRORS * PAGE_BYTES]);

static VICTIMS: Shared<Victims> = Shared::new(Victims([0; ERRORS * PAGE_BYTES]));

/// What one EPT entry maps before a page in it goes out of use, and the first such memory that no program uses.
const SPLIT_BYTES: u64 = 2 << 20;
const SPLIT_FROM: u64 = 8 << 20;

/// Other vCPUs that wait for machine checks.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// How long the others may take to start and to be hit, in ticks.
const PATIENCE: u64 = 100_000_000;

/// Raises an error for each sample: ticks from the moment it is raised to the first instruction of the handler, on vCPU
/// 0 and on the vCPU that is last.
fn machine_checks(first: &mut [u32]) -> u64 {
    machine_check_gate(handler());
    mca::enable();
    smp::start_others(wait);
    let others = vcpus() - 1;
    if !smp::wait_for(PATIENCE, || WAITING.load(Ordering::Acquire) == others) {
        line!("late what=vcpu ready={}", WAITING.load(Ordering::Acquire));
        return NO_MACHINE_CHECK;
    }
    let split = arguments::number("split", 0) != 0;
    let mut last = [0; ERRORS];
    let last = &mut last[..first.len()];
    for (error, (first, last)) in first.iter_mut().zip(last.iter_mut()).enumerate() {
        (0..vcpus()).for_each(forget);
        let page = if split {
            SPLIT_FROM + error as u64 * SPLIT_BYTES
        } else {
            VICTIMS.get() as u64 + (error * PAGE_BYTES) as u64
        };
        let answer = raise(page, FAULT_GUEST_PHYSICAL << 8);
        let everyone = || (0..vcpus()).all(has_finished);
        if answer != HANDLED || !smp::wait_for(PATIENCE, everyone) {
            line!("late what=machine-check error={error} answer={answer:#x}");
            return NO_MACHINE_CHECK;
        }
        let raised = hypercall::call(Hypercall::FaultTime, [0; 5]);
        let ticks = |vcpu| u32::try_from(entered(vcpu).saturating_sub(raised)).unwrap_or(u32::MAX);
        *last = (0..vcpus()).map(&ticks).max().unwrap_or(0);
        *first = ticks(0);
    }
    // The first one of all is the first in its 2 MiB.
    Summary::of(&mut [last[0]]).print("machine-check-first");
    Summary::of(first).print("machine-check");
    if others > 0 {
        Summary::of(last).print("machine-check-last-vcpu");
    }
    0
}

/// What another vCPU does: nothing, in registers that the handler may change.
fn wait(_vcpu: usize) {
    mca::enable();
    WAITING.fetch_add(1, Ordering::AcqRel);
    // SAFETY: it never ends; the handler changes RAX, RCX and RDX alone, which hold nothing.
    unsafe { asm!("2: pause", "jmp 2b", options(noreturn, nomem, nostack)) }
}

/// Has an SRAO memory-scrub error raised on this processor's bank 1, with the machine check on every processor. `whose` says in RDI
/// whose the address is.
fn raise(address: u64, whose: u64) -> u64 {
    const THIS_PROCESSOR: u64 = 0xffff << 16;
    const STATUS: u64 = 0xbd00_0000_0000_00cf;
    const MCG_STATUS_VALUE: u64 = 5;
    const MISC: u64 = 0x8c;
    let answer;
    // SAFETY: the machine check's handler changes RAX, RCX and RDX alone; a hypercall of the table RAX alone.
    unsafe {
        asm!(
            "vmcall",
            inlateout("rax") Hypercall::Fault as u64 => answer,
            in("rdi") 1 | FAULT_BROADCAST << 8 | THIS_PROCESSOR | whose,
            in("rsi") STATUS,
            inlateout("rdx") MCG_STATUS_VALUE => _,
            in("r10") address,
            in("r8") MISC,
            out("rcx") _,
        );
    }
    answer
}

/// What RAX is after the handler.
const HANDLED: u64 = 0x4d43;

/// Bytes that the processor pushes for a machine check.
const PUSHED: usize = 40;

// The time of the first instruction goes below what the processor pushed on this vCPU's machine-check stack, and below that, once MCIP is clear,
// that the next one may come.
global_asm!(
    ".pushsection .text.handler, \"ax\"",
    "machine_check_handler:",
    "rdtsc",
    "shl rdx, 32",
    "or rax, rdx",
    "mov [rsp - 8], rax",
    "xor eax, eax",
    "xor edx, edx",
    "mov ecx, {status}",
    "wrmsr",
    "mov ecx, {mcg_status}",
    "wrmsr",
    "mov eax, {handled}",
    "mov [rsp - 16], rax",
    "iretq",
    ".popsection",
    status = const MC1_STATUS,
    mcg_status = const MCG_STATUS,
    handled = const HANDLED,
);

unsafe extern "C" {
    static machine_check_handler: u8;
}

fn handler() -> usize {
    (&raw const machine_check_handler).addr()
}

/// What the handler leaves behind: that it has finished, and when it was entered.
fn traces(vcpu: usize) -> *mut [u64; 2] {
    let top = exception_stack_top(vcpu, ExceptionStack::MachineCheck);
    with_exposed_provenance_mut(top - PUSHED - size_of::<[u64; 2]>())
}

/// When that vCPU's handler was entered, or 0.
fn entered(vcpu: usize) -> u64 {
    // SAFETY: the place is in that vCPU's machine-check stack, which only the handler above uses.
    let [_, entered] = unsafe { traces(vcpu).read_volatile() };
    entered
}

/// That vCPU's handler has cleared MCIP.
fn has_finished(vcpu: usize) -> bool {
    // SAFETY: as above.
    let [finished, _] = unsafe { traces(vcpu).read_volatile() };
    finished == HANDLED
}

/// Forgets both.
fn forget(vcpu: usize) {
    // SAFETY: as above; no machine check is under way.
    unsafe { traces(vcpu).write_volatile([0; 2]) }
}
