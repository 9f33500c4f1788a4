//! What a processor does: run its vCPUs, take machine checks, keep house.
//!
//! Ordinary context begins anew at each VM exit, on an empty stack, and ends in [`next`].

pub mod exit;
#[cfg(feature = "faults")]
pub mod faults;
pub mod host;
mod machine_check;

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kernel::event::Event;
use kernel::handover::command_line::Options;
use kernel::mca::{self, Config, Machine};
use kernel::units::Pcpu;
use kernel::vmce;

use crate::entry::vm;
use crate::guests;
use crate::guests::vcpu::{Activity, Vcpu};
use crate::machine::processor::{MAX_PROCESSORS, Processor};
use crate::machine::slots::Slot;
use crate::machine::{log, machine_check as machine_check_msrs, messages, power, traps, tsc};
use crate::vmx::controls::Controls;
use crate::vmx::{capability, operation, vmcs};
use exit::slow;
use host::{ENGINE, HOST};

pub use machine_check::{
    machine_check, machine_check_in_root_mode, nmi_in_guest_mode, nmi_in_root_mode,
};

/// What one processor keeps of its own.
struct Local {
    /// The vCPU that runs here and nowhere else.
    assigned: Slot<Vcpu>,
    /// The same while it runs, has just exited, or is about to be entered. None while the processor rests.
    current: Slot<Vcpu>,
    /// A machine check is being handled here.
    in_machine_check: AtomicBool,
    /// When housekeeping is next due, in time stamp ticks.
    next_housekeeping: AtomicU64,
}

static LOCALS: [Local; MAX_PROCESSORS] = [const {
    Local {
        assigned: Slot::new(),
        current: Slot::new(),
        in_machine_check: AtomicBool::new(false),
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

/// Takes the administrator's choices. Before any guest runs.
pub fn configure(options: &Options) {
    PERIOD.store(options.period, Ordering::Relaxed);
    ENDS.store(!options.mca_only, Ordering::Relaxed);
    ENGINE.configure(Config {
        timeout: options.rendezvous,
        empty_is_fatal: true,
    });
}

/// This processor's part from here on: machine checks, VMX operation, its vCPUs, and then whatever comes.
pub fn begin(controls: Option<&Controls>) -> ! {
    let processor = Processor::current();
    mca::start(&ENGINE, &HOST);
    #[cfg(feature = "faults")]
    faults::try_banks();
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
            vm::prepare(processor, vcpu, controls, 1, slow::power_on).map_err(|_| NotReady)?;
            local(processor).assigned.replace(Some(vcpu));
        }
    }
    Ok(())
}

/// The preemption timer's value for so many time stamp ticks; never 0, which would let the guest execute nothing.
fn timer_value(ticks: u64) -> u64 {
    (ticks >> capability::preemption_timer_shift()).max(1)
}

/// The vCPU that this processor runs, has just left, or is about to enter.
pub fn current_vcpu() -> Option<&'static Vcpu> {
    local(Processor::current()).current.get()
}

/// Does what is next: what others ask, housekeeping, the vCPU, or sleep.
pub fn next() -> ! {
    let processor = Processor::current();
    loop {
        machine_check::answer_requests(processor);
        keep_house(processor);
        if guests::running() == 0 && ENDS.load(Ordering::Relaxed) {
            finish(processor);
        }
        if enter_own(processor) == Entry::NothingToRun {
            rest(processor);
        }
    }
}

/// Why a vCPU was not entered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// This processor has none that could run.
    NothingToRun,
    /// Something came up that goes first.
    LookAgain,
}

/// Enters this processor's vCPU. One that is halted is entered halted: the timer ticks there too.
fn enter_own(processor: &'static Processor) -> Entry {
    let local = local(processor);
    let Some(vcpu) = local.assigned.get().filter(|vcpu| can_run(vcpu)) else {
        return Entry::NothingToRun;
    };
    local.current.replace(Some(vcpu));
    vm::enter(processor, vcpu, |own, vmcs| {
        if !slow::before_entry(own, vmcs) {
            return false;
        }
        // The timer first, then the look: an NMI before the look is seen by it, one after it sets the timer to 0 again.
        let left = local
            .next_housekeeping
            .load(Ordering::Relaxed)
            .saturating_sub(tsc());
        operation::set_timer(timer_value(left));
        processor.requests.load(Ordering::Acquire) == 0 && !vcpu.shared.mailbox.is_pending()
    });
    Entry::LookAgain
}

fn can_run(vcpu: &Vcpu) -> bool {
    !vcpu.shared.guest.has_ended()
        && match vcpu.shared.activity() {
            Activity::Active | Activity::Halted => true,
            Activity::WaitForStartup => vcpu.shared.has_startup(),
            Activity::Ended => false,
        }
}

/// There is nothing to run here until somebody asks for something.
fn rest(processor: &Processor) {
    // An NMI must not think that an entry is near, nor a machine check that a guest is interrupted.
    local(processor).current.replace(None);
    if processor.number == Pcpu(0) {
        // Somebody has to look for commands and keep the log moving.
        core::hint::spin_loop();
    } else {
        traps::sleep(&processor.requests);
    }
}

/// Housekeeping, when it is due: commands, left-over machine checks, the log.
fn keep_house(processor: &Processor) {
    let local = local(processor);
    let now = tsc();
    if now < local.next_housekeeping.load(Ordering::Relaxed) {
        return;
    }
    let next = now.saturating_add(PERIOD.load(Ordering::Relaxed));
    local.next_housekeeping.store(next, Ordering::Relaxed);
    if processor.number == Pcpu(0) {
        #[cfg(feature = "faults")]
        if faults::look() {
            // Those whom it hit come before everything else.
            keep_house_soon();
            return;
        }
        follow_up();
    }
    #[cfg(feature = "faults")]
    faults::settle();
    mca::poll(&ENGINE, &HOST);
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
    local(processor).current.replace(None);
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
