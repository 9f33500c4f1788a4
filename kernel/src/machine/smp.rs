//! Bring-up of the other processors: one at a time, by INIT and SIPI (SDM vol. 3, 9.4.4).

use core::sync::atomic::{AtomicU64, Ordering};

use kernel::units::{Hpa, PAGE_SIZE};
use x86::io::outb;

use super::apic::{self, Ipi};
use super::processor::{MAX_PROCESSORS, Processor};

/// Stack of the processor that is being started; read by the entry code.
pub static NEXT_STACK: AtomicU64 = AtomicU64::new(0);

/// Starts every processor in `apic_ids` but the running one. One that does not come within about a second is left out, named to
/// `missing`: on a busy host an emulator may not get to it earlier.
///
/// `start_up` is code for real mode that can run at any page: it ends in [`claim`]. It is put at `page`, which is below 1 MiB and
/// nobody's.
pub fn start_others(
    page: Hpa,
    start_up: &[u8],
    apic_ids: impl Iterator<Item = u32>,
    mut missing: impl FnMut(u32),
) {
    copy_start_up(page, start_up);
    let own = Processor::current().apic_id;
    for id in apic_ids.filter(|&id| id != own) {
        if usize::from(Processor::count()) == MAX_PROCESSORS || !start(id, page) {
            missing(id);
        }
    }
}

fn start(apic_id: u32, page: Hpa) -> bool {
    let Ok(block) = Processor::create() else {
        return false;
    };
    let number = block.number;
    NEXT_STACK.store(block.stack_top(), Ordering::Release);
    STARTING.store(block.base(), Ordering::Release);
    apic::send(apic_id, Ipi::Init);
    wait_microseconds(10_000, || false);
    for patience in [50_000, 1_000_000] {
        apic::send(apic_id, Ipi::Startup((page.0 / PAGE_SIZE) as u8));
        if wait_microseconds(patience, || Processor::get(number).is_some()) {
            return true;
        }
    }
    // It may yet come: then it must find that nobody waits for it.
    STARTING.swap(0, Ordering::AcqRel) == 0
        && wait_microseconds(50_000, || Processor::get(number).is_some())
}

static STARTING: AtomicU64 = AtomicU64::new(0);

/// The block that was made for the processor that has just come up; none for one that came too late.
pub fn claim() -> Option<&'static mut Processor> {
    let block = STARTING.swap(0, Ordering::AcqRel) as *mut Processor;
    // SAFETY: `start` stored the address of a block that lives for ever and that it does not touch again, or 0; the swap gives it to
    // one caller.
    unsafe { block.as_mut() }
}

fn copy_start_up(page: Hpa, start_up: &[u8]) {
    let length = start_up.len().min(PAGE_SIZE as usize);
    // SAFETY: the memory map says that the page is RAM which firmware leaves to the system, and nothing of ours lies there.
    unsafe { core::ptr::copy_nonoverlapping(start_up.as_ptr(), page.0 as *mut u8, length) };
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
        // An emulator that runs one processor at a time goes to the next here.
        core::hint::spin_loop();
    }
    done()
}
