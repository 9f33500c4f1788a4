//! The other vCPUs: started by INIT and SIPI through the x2APIC, as on hardware.

use core::arch::asm;
use core::hint::spin_loop;
use core::mem::transmute;
use core::ptr::{copy_nonoverlapping, with_exposed_provenance_mut};
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::start::{TRAMPOLINE, trampoline, trampoline_end};
use crate::{msr, platform};

/// Interrupt command register of the x2APIC (SDM volume 3, 11.12.9): destination in bits 63:32.
const INTERRUPT_COMMAND: u32 = 0x830;
const INIT: u64 = 0x4500;
const START_UP: u64 = 0x4600;
const NMI: u64 = 0x4400;

/// What the others run, or 0.
static WORK: AtomicUsize = AtomicUsize::new(0);

/// Starts every other vCPU: each calls `work` with its index and then halts for ever. Their APIC identifiers are
/// their indices.
///
/// # Panics
/// When the interrupt command register faults.
pub fn start_others(work: fn(usize)) {
    WORK.store(work as usize, Ordering::Release);
    let (start, end) = (&raw const trampoline, &raw const trampoline_end);
    // SAFETY: the trampoline's page is free memory below 1 MiB that nobody else uses.
    unsafe {
        let size = end.offset_from_unsigned(start);
        copy_nonoverlapping(start, with_exposed_provenance_mut(TRAMPOLINE), size);
    }
    for vcpu in 1..platform::vcpus() {
        init(vcpu);
        start_up(vcpu);
    }
}

/// Has another vCPU wait for its start, whatever it was doing.
///
/// # Panics
/// When the interrupt command register faults.
pub fn init(vcpu: usize) {
    send(vcpu, INIT);
}

/// Sends another vCPU an NMI.
///
/// # Panics
/// When the interrupt command register faults.
pub fn nmi(vcpu: usize) {
    send(vcpu, NMI);
}

/// Starts a vCPU that waits, with the work of [`start_others`].
///
/// # Panics
/// When the interrupt command register faults.
pub fn start_up(vcpu: usize) {
    start_up_at(vcpu, TRAMPOLINE);
}

/// Starts a vCPU that waits, in real mode at that address: a multiple of 4 KiB below 1 MiB.
///
/// # Panics
/// When the interrupt command register faults.
pub fn start_up_at(vcpu: usize, address: usize) {
    send(vcpu, START_UP | (address >> 12) as u64);
}

fn send(vcpu: usize, command: u64) {
    // SAFETY: it starts or stops another vCPU, which has a stack of its own, and changes nothing of this one.
    let sent = unsafe { msr::write(INTERRUPT_COMMAND, (vcpu as u64) << 32 | command) };
    sent.expect("the interrupt command register takes INIT, SIPI and NMI");
}

/// Waits until `done`, for at most `limit` ticks of the time stamp counter; false when the time was up.
pub fn wait_for(limit: u64, done: impl Fn() -> bool) -> bool {
    let start = time();
    while !done() {
        if time() - start > limit {
            return false;
        }
        spin_loop();
    }
    true
}

/// The time stamp counter.
pub fn time() -> u64 {
    // SAFETY: every processor with long mode has it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// What a vCPU other than 0 does once it is in Rust.
pub(crate) fn run() -> ! {
    let work = WORK.load(Ordering::Acquire);
    assert!(work != 0, "a vCPU was started before there was work");
    // SAFETY: only `start_others` stores there, and a function of this type.
    let work = unsafe { transmute::<usize, fn(usize)>(work) };
    work(platform::this_vcpu());
    halt()
}

/// Halts for ever; a machine check is still taken.
pub fn halt() -> ! {
    loop {
        // SAFETY: interrupts stay off, and exceptions return here.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) }
    }
}
