//! Bring-up of the other processors: one at a time, by INIT and SIPI (SDM vol. 3, 9.4.4).

use core::sync::atomic::{AtomicU64, Ordering};

use kernel::units::Hpa;
use x86::io::outb;

use super::apic::{self, Ipi};
use super::processor::{MAX_PROCESSORS, Processor};
use crate::entry::TRAMPOLINE;

/// Stack of the processor that is being started; read by the entry code.
pub static NEXT_STACK: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    static trampoline_start: [u8; 0];
    static trampoline_end: [u8; 0];
}

/// Starts every processor in `apic_ids` but the running one. One that does not come within a tenth of a second is left out,
/// named to `missing`.
pub fn start_others(apic_ids: impl Iterator<Item = u32>, mut missing: impl FnMut(u32)) {
    copy_trampoline();
    let own = Processor::current().apic_id;
    for id in apic_ids.filter(|&id| id != own) {
        if usize::from(Processor::count()) == MAX_PROCESSORS || !start(id) {
            missing(id);
        }
    }
}

fn start(apic_id: u32) -> bool {
    let Ok(stack) = Processor::create() else {
        return false;
    };
    let number = stack.number;
    NEXT_STACK.store(stack.stack_top(), Ordering::Release);
    STARTING.store(stack.base(), Ordering::Release);
    apic::send(apic_id, Ipi::Init);
    wait_microseconds(10_000, || false);
    for _ in 0..2 {
        apic::send(apic_id, Ipi::Startup((TRAMPOLINE >> 12) as u8));
        if wait_microseconds(50_000, || Processor::get(number).is_some()) {
            return true;
        }
    }
    // It may yet come: then it must find that nobody waits for it.
    STARTING.swap(0, Ordering::AcqRel) == 0
        && wait_microseconds(50_000, || Processor::get(number).is_some())
}

static STARTING: AtomicU64 = AtomicU64::new(0);

/// The block that was made for the processor that has just come up; none for one that came too late.
pub fn claim() -> Option<&'static Processor> {
    let block = STARTING.swap(0, Ordering::AcqRel) as *const Processor;
    // SAFETY: `start` stored the address of a block that lives for ever, or 0.
    unsafe { block.as_ref() }
}

fn copy_trampoline() {
    let start = (&raw const trampoline_start).cast::<u8>();
    let end = &raw const trampoline_end as usize;
    let length = end - start as usize;
    // SAFETY: the page is conventional memory that firmware leaves to the system (it is below 640 KiB and above the BIOS data
    // area), in use by nothing of ours.
    unsafe { core::ptr::copy_nonoverlapping(start, Hpa(TRAMPOLINE.into()).0 as *mut u8, length) };
}

/// Waits until `done` or about so many microseconds have passed: a write to port 0x80 takes about one on real machines; emulators
/// count it as one instruction.
fn wait_microseconds(microseconds: u32, done: impl Fn() -> bool) -> bool {
    for _ in 0..microseconds {
        if done() {
            return true;
        }
        // SAFETY: the port of POST codes has no effect on the machine.
        unsafe { outb(0x80, 0) };
    }
    done()
}
