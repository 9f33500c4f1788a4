//! The idle loop of every system, `sti; hlt`, with an NMI that comes in the shadow of STI, while another vCPU wants the processor.
//!
//! The NMI is sent while NMIs are blocked, by the handler of an earlier one, which returns to STI; the page of HLT is hidden, so that the next
//! exit is in the shadow.

use core::arch::global_asm;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use guests::exceptions::{self, Frame};
use guests::{line, smp};

use super::exit_on_touch;

const NMI: usize = 2;

/// How long the other vCPU computes, in time stamp ticks.
const COMPUTES: u64 = 20_000_000;
static COMPUTING: AtomicBool = AtomicBool::new(false);

/// Where NMIs came: before STI, and behind HLT.
static SEEN: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Says how many NMIs came, whether each was where it should, and whether the other vCPU was still computing after the last.
pub fn run() {
    exceptions::on(NMI, nmi);
    smp::start_others(compute);
    while !COMPUTING.load(Ordering::Acquire) {
        spin_loop();
    }
    let (sti, hlt, end) = (
        (&raw const state_idle_sti).addr(),
        (&raw const state_idle_hlt).addr(),
        (&raw const state_idle_end).addr(),
    );
    exit_on_touch(hlt as u64);
    state_idle();
    let in_time = COMPUTING.load(Ordering::Acquire);
    let expected = [sti, end].map(|at| at as u64);
    let right = SEEN.iter().zip(expected);
    let right = right.filter(|(seen, at)| seen.load(Ordering::Acquire) == *at);
    line!(
        "idle nmis={} right={} in-time={}",
        COUNT.load(Ordering::Acquire),
        right.count(),
        u8::from(in_time)
    );
}

fn compute(_vcpu: usize) {
    let end = smp::time() + COMPUTES;
    COMPUTING.store(true, Ordering::Release);
    while smp::time() < end {
        spin_loop();
    }
    COMPUTING.store(false, Ordering::Release);
}

fn nmi(frame: &mut Frame) {
    let index = COUNT.fetch_add(1, Ordering::AcqRel);
    if let Some(place) = SEEN.get(index) {
        place.store(frame.rip, Ordering::Release);
    }
    if index == 0 {
        state_idle_send();
    }
}

global_asm!(
    ".pushsection .text.idle, \"ax\"",
    "state_idle_send:", // an NMI to itself, by the x2APIC
    "mov ecx, 0x830",
    "mov eax, 0x4400",
    "xor edx, edx",
    "wrmsr",
    "ret",
    ".balign 4096",
    ".skip 4096 - (state_idle_hlt - state_idle)",
    "state_idle:",
    "mov ecx, 0x830",
    "mov eax, 0x4400",
    "xor edx, edx",
    "wrmsr",
    "state_idle_sti:",
    "sti",
    "state_idle_hlt:", // the first of its page
    "hlt",
    "state_idle_end:",
    "cli",
    "ret",
    ".balign 4096",
    ".popsection",
);

unsafe extern "C" {
    safe fn state_idle();
    safe fn state_idle_send();
    static state_idle_sti: u8;
    static state_idle_hlt: u8;
    static state_idle_end: u8;
}
