//! What a processor does: run its vCPUs, take machine checks, keep house.
//!
//! Ordinary context begins anew at each VM exit, on an empty stack, and ends in [`next`].

#[cfg(feature = "faults")]
pub mod faults;
pub mod host;
mod machine_check;
mod queue;

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kernel::event::Event;
use kernel::mca::{self, Machine};
use kernel::units::Pcpu;
use kernel::vmce;

use crate::entry::vm;
use crate::guests;
use crate::guests::exit;
use crate::guests::vcpu::Vcpu;
use crate::machine::lock::Lock;
use crate::machine::processor::{MAX_PROCESSORS, Processor};
use crate::machine::slots::Slot;
use crate::machine::{log, machine_check as machine_check_msrs, messages, power, traps, tsc};
use crate::vmx::controls::Controls;
use crate::vmx::{capability, operation, vmcs};
use host::{ENGINE, HOST};
use queue::{Queue, Turn};

pub use machine_check::{
    machine_check, machine_check_in_root_mode, nmi_in_guest_mode, nmi_in_root_mode,
};

/// What one processor keeps of its own.
struct Local {
    /// The vCPUs that run here.
    queue: Lock<Queue>,
    /// The one whose VMCS is current: it runs, has just exited, or is about to be entered. None while the processor sleeps.
    vcpu: Slot<Vcpu>,
    /// When housekeeping is next due, in time stamp ticks.
    next_housekeeping: AtomicU64,
}

static LOCALS: [Local; MAX_PROCESSORS] = [const {
    Local {
        queue: Lock::new(Queue::new()),
        vcpu: Slot::new(),
        next_housekeeping: AtomicU64::new(0),
    }
}; MAX_PROCESSORS];

fn local(processor: &Processor) -> &'static Local {
    &LOCALS[usize::from(processor.number.0) % MAX_PROCESSORS]
}

/// Housekeeping period in time stamp ticks.
static PERIOD: AtomicU64 = AtomicU64::new(0);
/// The machine goes off when the last guest has ended. Not where there is none to wait for (`mca=only`).
static ENDS: AtomicBool = AtomicBool::new(true);

/// Sets the housekeeping period (time stamp ticks). Before any guest runs.
pub fn set_period(ticks: u64) {
    PERIOD.store(ticks, Ordering::Relaxed);
}

/// The machine stays on without guests. Before anything runs.
pub fn stay_on() {
    ENDS.store(false, Ordering::Relaxed);
}

/// This processor's part from here on: machine checks, VMX operation, its vCPUs, and then whatever comes.
pub fn begin(controls: Option<&Controls>) -> ! {
    let processor = Processor::current();
    mca::start(&ENGINE, &HOST);
    machine_check_msrs::enable_exception();
    if let Some(controls) = controls
        && prepare(processor, controls).is_err()
    {
        crate::fail(crate::Failure::Vmx);
    }
    next()
}

/// The processor could not be made ready for its guests.
struct NotReady;

fn prepare(processor: &'static Processor, controls: &Controls) -> Result<(), NotReady> {
    capability::enable().map_err(|_| NotReady)?;
    let region = vmcs::region().map_err(|_| NotReady)?;
    vmcs::enter_operation(processor, region).map_err(|_| NotReady)?;
    for vcpu in guests::all().flat_map(|guest| guest.vcpus()) {
        if vcpu.shared.processor.number == processor.number {
            vm::prepare(processor, vcpu, controls, timer_value(), exit::power_on)
                .map_err(|_| NotReady)?;
            local(processor)
                .queue
                .lock()
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

/// The vCPU that this processor runs, has just left, or is about to enter.
pub fn current_vcpu() -> Option<&'static Vcpu> {
    local(Processor::current()).vcpu.get()
}

/// Does what is next: what others ask, housekeeping, a vCPU, or sleep.
pub fn next() -> ! {
    let processor = Processor::current();
    let local = local(processor);
    loop {
        machine_check::answer_requests(processor);
        keep_house(processor);
        if guests::running() == 0 && ENDS.load(Ordering::Relaxed) {
            finish(processor);
        }
        enter_next(processor);
        // Nothing to run. An NMI must not think that an entry is near, nor a machine check that a guest is interrupted.
        local.vcpu.replace(None);
        if processor.number == Pcpu(0) {
            // Somebody has to look for commands and keep the log moving.
            core::hint::spin_loop();
        } else {
            traps::sleep(&processor.requests);
        }
    }
}

/// Enters the vCPU whose turn it is. One that is halted is entered halted when no other can run: the timer ticks there too.
/// Returns if there is none.
fn enter_next(processor: &'static Processor) {
    let local = local(processor);
    let time_is_over = tsc() >= local.next_housekeeping.load(Ordering::Relaxed);
    for turn in [Turn::Active, Turn::Halted] {
        for step in 0.. {
            let Some(vcpu) = local.queue.lock().in_turn(step, time_is_over) else {
                break;
            };
            if vcpu.shared.guest.has_ended() || !turn.takes(vcpu.shared) {
                continue;
            }
            local.vcpu.replace(Some(vcpu));
            vm::enter(processor, vcpu, |own, vmcs| {
                let ready = exit::before_entry(own, vmcs);
                if ready {
                    local.queue.lock().runs(vcpu);
                }
                ready
            });
        }
    }
}

/// Housekeeping, when it is due: commands, left-over machine checks, the log.
fn keep_house(processor: &Processor) {
    let local = local(processor);
    let now = tsc();
    if now < local.next_housekeeping.load(Ordering::Relaxed) {
        return;
    }
    local.next_housekeeping.store(
        now.saturating_add(PERIOD.load(Ordering::Relaxed)),
        Ordering::Relaxed,
    );
    operation::set_timer(timer_value());
    if processor.number == Pcpu(0) {
        #[cfg(feature = "faults")]
        if faults::look() {
            // Those whom it hit come before everything else.
            keep_house_soon();
            return;
        }
        follow_up();
    }
    log_events();
}

/// Housekeeping is due before the next VM entry.
pub fn keep_house_soon() {
    local(Processor::current())
        .next_housekeeping
        .store(0, Ordering::Relaxed);
}

/// Lets machine checks follow that waited for their guest.
fn follow_up() {
    for guest in guests::all().filter(|guest| !guest.has_ended()) {
        if vmce::follow_up(guest.mailboxes) {
            guest
                .vcpus()
                .for_each(|vcpu| vcpu.shared.processor.request(0));
        }
    }
}

/// The last guest has ended: the log is completed, and the machine goes off.
fn finish(processor: &Processor) -> ! {
    local(processor).vcpu.replace(None);
    while processor.number != Pcpu(0) {
        traps::sleep(&processor.requests);
        machine_check::answer_requests(processor);
    }
    log_events();
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
