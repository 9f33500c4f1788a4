//! What a processor does: run its vCPUs, take machine checks, keep house.
//!
//! Ordinary context begins anew at each VM exit, on an empty stack, and ends in [`next`].

#[cfg(feature = "faults")]
pub mod faults;
pub mod queue;

use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

use kernel::event::Event;
use kernel::mca::{self, Interrupted, Verdict};
use kernel::units::Pcpu;
use kernel::vmce;

use crate::guests;
use crate::machine::host::{ENGINE, HOST};
use crate::machine::processor::{Processor, RAISE_MACHINE_CHECK};
use crate::machine::{log, messages, power, traps, tsc};
use crate::vmx::controls::Controls;
use crate::vmx::entry::enter;
use crate::vmx::exit::{self, become_active};
use crate::vmx::vcpu::Vcpu;
use crate::vmx::{capability, guest_state, instructions, vmcs};
use queue::Turn;

/// Housekeeping period in time stamp ticks.
static PERIOD: AtomicU64 = AtomicU64::new(0);

/// Sets the housekeeping period (time stamp ticks). Before any guest runs.
pub fn set_period(ticks: u64) {
    PERIOD.store(ticks, Ordering::Relaxed);
}

/// This processor's part from here on: VMX operation, its vCPUs, and then whatever comes.
pub fn begin(controls: Option<&Controls>) -> ! {
    let processor = Processor::current();
    mca::start(&ENGINE, &HOST);
    if let Some(controls) = controls
        && prepare(processor, controls).is_err()
    {
        crate::fail(crate::Failure::Vmx);
    }
    next()
}

/// Why the processor could not be made ready for its guests.
struct NotReady;

fn prepare(processor: &'static Processor, controls: &Controls) -> Result<(), NotReady> {
    let region = vmcs::region().map_err(|_| NotReady)?;
    vmcs::enter_operation(processor, region).map_err(|_| NotReady)?;
    for guest in guests::all() {
        for vcpu in guest.vcpus() {
            // SAFETY: vCPUs live for ever.
            let shared = unsafe { Vcpu::shared(vcpu) };
            if !ptr::eq(shared.processor, processor) {
                continue;
            }
            // SAFETY: the vCPU is this processor's; nothing has run it.
            unsafe {
                vmcs::prepare(vcpu, controls, guest.msr_bitmap, timer_value())
                    .map_err(|_| NotReady)?;
                let own = Vcpu::own(vcpu);
                guest_state::startup(0);
                if let Some(start) = own.start.take() {
                    guest_state::pvh(start.entry);
                    become_active(own, shared);
                }
            }
            processor
                .queue
                .borrow_mut()
                .add(vcpu)
                .map_err(|_| NotReady)?;
        }
    }
    Ok(())
}

/// The preemption timer's value for one housekeeping period.
fn timer_value() -> u64 {
    PERIOD.load(Ordering::Relaxed) >> capability::preemption_timer_shift()
}

/// The vCPU that runs here; null when none does.
pub fn current_vcpu() -> *mut Vcpu {
    Processor::current().vcpu.load(Ordering::Relaxed)
}

/// Does what is next: what others ask, housekeeping, a vCPU, or sleep.
pub fn next() -> ! {
    let processor = Processor::current();
    loop {
        answer_requests(processor);
        keep_house(processor);
        if guests::running() == 0 {
            finish(processor);
        }
        if let Some(vcpu) = choose(processor) {
            // SAFETY: `choose` made its VMCS current and it ready.
            unsafe { enter(vcpu) };
        }
        // An NMI must know that there is no VMCS to write to, and a machine check that no guest is interrupted.
        processor.vcpu.store(ptr::null_mut(), Ordering::Release);
        if processor.number == Pcpu(0) {
            // Somebody has to look for commands and keep the log moving.
            core::hint::spin_loop();
        } else {
            traps::sleep(&processor.requests);
        }
    }
}

fn answer_requests(processor: &Processor) {
    let requests = processor.requests.swap(0, Ordering::AcqRel);
    if requests & RAISE_MACHINE_CHECK != 0 {
        machine_check(interrupted(processor));
    }
}

/// In whose context this processor is between a VM exit and the next entry.
fn interrupted(processor: &Processor) -> Interrupted {
    let vcpu = processor.vcpu.load(Ordering::Relaxed);
    if vcpu.is_null() {
        return Interrupted::Hypervisor { fix_up: false };
    }
    // SAFETY: vCPUs live for ever.
    Interrupted::Guest(unsafe { Vcpu::shared(vcpu) }.id)
}

/// Finds the vCPU that is to run, makes its VMCS current and gives it what waits for it. One that is halted is entered halted when
/// no other can run: the timer ticks there too.
fn choose(processor: &'static Processor) -> Option<*mut Vcpu> {
    let expired = processor.next_housekeeping.get().saturating_sub(tsc()) == 0;
    let mut queue = processor.queue.borrow_mut();
    for turn in [Turn::Active, Turn::Halted] {
        for vcpu in queue.in_turn(expired) {
            // SAFETY: ordinary context of its processor; nothing else borrows it.
            let (own, shared) = unsafe { (Vcpu::own(vcpu), Vcpu::shared(vcpu)) };
            if shared.guest.has_ended() || !turn.takes(own.activity, shared) {
                continue;
            }
            if processor.vcpu.swap(vcpu, Ordering::AcqRel) != vcpu {
                // SAFETY: its VMCS was prepared on this processor.
                if unsafe { instructions::vmptrld(own.vmcs) }.is_err() {
                    continue;
                }
            }
            // SAFETY: its VMCS is current.
            if unsafe { exit::before_entry(own, shared) } {
                queue.runs(vcpu);
                return Some(vcpu);
            }
        }
    }
    None
}

/// Housekeeping, when it is due: commands, polling, left-over machine checks, the log.
fn keep_house(processor: &Processor) {
    let now = tsc();
    if now < processor.next_housekeeping.get() {
        return;
    }
    processor
        .next_housekeeping
        .set(now.saturating_add(PERIOD.load(Ordering::Relaxed)));
    if !processor.vcpu.load(Ordering::Relaxed).is_null() {
        // SAFETY: with a vCPU here its VMCS is current.
        unsafe { exit::restart_timer(timer_value()) };
    }
    if processor.number == Pcpu(0) {
        #[cfg(feature = "faults")]
        if faults::look() {
            processor.next_housekeeping.set(0);
            return;
        }
        for guest in guests::all().filter(|guest| !guest.has_ended()) {
            if vmce::follow_up(guest.mailboxes) {
                for vcpu in guest.vcpus() {
                    // SAFETY: vCPUs live for ever.
                    unsafe { Vcpu::shared(vcpu) }.processor.request(0);
                }
            }
        }
    }
    log_events();
}

/// The last guest has ended: the log is completed, and the machine goes off.
fn finish(processor: &Processor) -> ! {
    if processor.number != Pcpu(0) {
        loop {
            traps::sleep(&processor.requests);
            answer_requests(processor);
        }
    }
    log_events();
    use kernel::mca::Machine;
    HOST.emit(Event::MachineOff {});
    log_events();
    power::off()
}

/// Writes to the log what all processors have kept.
pub fn log_events() {
    let _held = log::hold();
    for processor in Processor::all() {
        while let Some(stamped) = processor.ring.take(processor.number) {
            messages::write(&stamped);
        }
        let lost = processor.ring.take_lost();
        if lost != 0 {
            messages::write_lost(processor.number, tsc(), lost);
        }
    }
}

/// A machine check that came in this context.
pub fn machine_check(interrupted: Interrupted) {
    match mca::handle(&ENGINE, &HOST, interrupted) {
        Verdict::Resume => {}
        // No copy is marked yet: none says that it is.
        Verdict::FixUp => {}
        Verdict::Fatal { resets, .. } => {
            if resets {
                power::reset();
            }
            crate::machine::halt();
        }
    }
}

/// #MC in root mode.
pub fn machine_check_in_root_mode() {
    machine_check(Interrupted::Hypervisor { fix_up: false });
    leave_guest_soon();
}

/// An NMI in root mode: whatever it was sent for is looked at before the next entry, or right after an entry that was already
/// past the look.
pub fn nmi_in_root_mode() {
    let processor = Processor::current();
    mca::catch_up(&ENGINE, &HOST);
    if processor.vcpu.load(Ordering::Acquire).is_null() {
        // Asleep, or starting: nothing interrupted holds anything that a machine check needs.
        if processor
            .requests
            .fetch_and(!RAISE_MACHINE_CHECK, Ordering::AcqRel)
            & RAISE_MACHINE_CHECK
            != 0
        {
            traps::raise_machine_check();
        }
    } else {
        leave_guest_soon();
    }
}

/// An NMI that ended a guest's run; what was asked is answered by [`next`].
pub fn nmi_in_guest_mode() {
    mca::catch_up(&ENGINE, &HOST);
}

/// Makes the next VM entry exit before the guest's next instruction.
fn leave_guest_soon() {
    let processor = Processor::current();
    if !processor.vcpu.load(Ordering::Acquire).is_null() {
        // SAFETY: with a vCPU here its VMCS is current. Or another is about to be: then it exits once for nothing.
        unsafe { exit::restart_timer(0) };
    }
}
