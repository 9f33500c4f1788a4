//! What a processor does: run its vCPUs, take machine checks, keep house.
//!
//! Ordinary context begins anew at each VM exit, on an empty stack, and ends in [`next`].

mod commands;
pub mod exit;
#[cfg(feature = "faults")]
pub mod faults;
pub mod host;
mod machine_check;
mod pages;
pub mod processors;
pub mod records;
mod turns;

use core::iter::repeat_with;
use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};

use kernel::event::{Event, Stamped};
use kernel::handover::command_line::Options;
use kernel::last_words;
use kernel::mca::{self, Config, Machine};
use kernel::units::Pcpu;
use kernel::vmce;
use msr_runtime::Extra;

use crate::entry::vm;
use crate::guests;
use crate::guests::vcpu::Vcpu;
use crate::machine::processor::{MAX_PROCESSORS, Processor};
use crate::machine::slots::Slot;
use crate::machine::{log, memory, messages, power, traps, tsc};
use crate::vmx::controls::Controls;
use crate::vmx::{capability, vmcs};
use exit::slow;
use host::{ENGINE, HOST};
use turns::Turns;

pub use machine_check::{
    machine_check, machine_check_in_root_mode, nmi_in_guest_mode, nmi_in_root_mode,
};

/// What one processor keeps of its own.
struct Local {
    /// The vCPUs that are here.
    turns: Turns,
    /// The one that runs, has just exited, or is about to be entered. None while the processor rests.
    current: Slot<Vcpu>,
    /// A machine check is being handled here.
    in_machine_check: AtomicBool,
    /// When housekeeping is next due, in time stamp ticks.
    next_housekeeping: AtomicU64,
    /// It sleeps: nothing makes it keep house but another one.
    rests: AtomicBool,
    /// When the current vCPU was entered, in time stamp ticks, if a handler of its was still to leave its stack; else 0.
    handler_entered: AtomicU64,
}

static LOCALS: [Local; MAX_PROCESSORS] = [const {
    Local {
        turns: Turns::new(),
        current: Slot::new(),
        in_machine_check: AtomicBool::new(false),
        next_housekeeping: AtomicU64::new(0),
        rests: AtomicBool::new(false),
        handler_entered: AtomicU64::new(0),
    }
}; MAX_PROCESSORS];

fn local(processor: &Processor) -> &'static Local {
    &LOCALS[usize::from(processor.number.0) % MAX_PROCESSORS]
}

/// Housekeeping period in time stamp ticks.
static PERIOD: AtomicU64 = AtomicU64::new(0);
/// How long a vCPU runs while others wait for its processor, in time stamp ticks.
static SLICE: AtomicU64 = AtomicU64::new(0);
/// Of how many periods those processors keep house in one that have nothing to run: each is woken for it.
const PERIODS_OF_REST: u64 = 16;
/// Periods so far.
static PERIODS: AtomicU64 = AtomicU64::new(0);
/// Housekeeping leaves records in their rings.
static LOG_LATE: AtomicBool = AtomicBool::new(false);
/// Processors that have looked at what their banks hold from before the reset.
static STARTED: AtomicU16 = AtomicU16::new(0);
/// How long processors wait for each other before guests run, in time stamp ticks: some tenths of a second. One that takes longer comes when it comes.
const BRING_UP: u64 = 1_000_000_000;
/// The machine goes off when the last guest has ended. Not where there is none to wait for (`mca=only`).
static ENDS: AtomicBool = AtomicBool::new(true);

/// What the administrator has named for guests from newer hosts.
static EXTRA: memory::Once<Extra> = memory::Once::new();

/// What the administrator has named for guests from newer hosts: nothing, if they said nothing.
pub fn extra() -> &'static Extra {
    EXTRA.get().unwrap_or(&Extra::NONE)
}

/// Takes the administrator's choices. Before any guest runs.
pub fn configure(options: &Options) {
    PERIOD.store(options.period, Ordering::Relaxed);
    SLICE.store(options.slice, Ordering::Relaxed);
    LOG_LATE.store(options.log_late, Ordering::Relaxed);
    ENDS.store(!options.mca_only, Ordering::Relaxed);
    EXTRA.set(options.extra);
    ENGINE.configure(Config {
        timeout: options.rendezvous,
        empty_is_fatal: options.empty_is_fatal,
        corrected_limit: options.corrected_limit,
    });
}

/// This processor's part from here on: machine checks, VMX operation, its vCPUs, and then whatever comes.
pub fn begin(controls: Option<&Controls>) -> ! {
    let processor = Processor::current();
    // First: it allows local machine checks where firmware has left that to us, and the engine then enables them.
    if controls.is_some() && capability::enable().is_err() {
        crate::fail(crate::Failure::Vmx);
    }
    mca::start(&ENGINE, &HOST);
    #[cfg(feature = "faults")]
    faults::try_banks();
    // Each looks at what its banks hold from before the reset while nobody handles anything in them; then all are expected.
    STARTED.fetch_add(1, Ordering::AcqRel);
    await_all(|| STARTED.load(Ordering::Acquire));
    mca::join(&ENGINE, &HOST);
    if let Some(controls) = controls
        && prepare(processor, controls).is_err()
    {
        crate::fail(crate::Failure::Vmx);
    }
    // Guests run when every bank has somebody who handles its errors.
    await_all(|| mca::online(&ENGINE));
    next()
}

/// Waits until a step of the bring-up has been taken by as many processors as there are; not without end.
fn await_all(count: impl Fn() -> u16) {
    let since = tsc();
    while count() < Processor::count() && tsc().saturating_sub(since) < BRING_UP {
        core::hint::spin_loop();
    }
}

/// The processor could not be made ready for its guests.
struct NotReady;

fn prepare(processor: &'static Processor, controls: &Controls) -> Result<(), NotReady> {
    let region = vmcs::region().map_err(|_| NotReady)?;
    vmcs::enter_operation(processor, region).map_err(|_| NotReady)?;
    let own = || {
        guests::all()
            .flat_map(|guest| guest.vcpus())
            .filter(|vcpu| vcpu.shared.home.number == processor.number)
    };
    for vcpu in own() {
        vm::prepare(processor, vcpu, controls, 1, slow::power_on).map_err(|_| NotReady)?;
    }
    // Any vCPU of the machine may come to run here.
    let all = guests::all().map(|guest| usize::from(guest.vcpu_count()));
    let places = memory::place_each(all.sum(), repeat_with(Slot::new)).map_err(|_| NotReady)?;
    local(processor).turns.fill(places, own());
    Ok(())
}

/// The preemption timer's value for so many time stamp ticks; never 0, which would let the guest execute nothing.
fn timer_value(ticks: u64) -> u64 {
    (ticks >> capability::preemption_timer_shift()).max(1)
}

/// Something has come for a vCPU of that processor, in ordinary context: it is looked at before the next entry there.
fn look_at(processor: &Processor) {
    if processor.number == Processor::current().number {
        local(processor).turns.look_round();
    } else {
        processor.request(0);
    }
}

/// The vCPU that this processor runs, has just left, or is about to enter.
pub fn current_vcpu() -> Option<&'static Vcpu> {
    local(Processor::current()).current.get()
}

/// Does what is next: what others ask, housekeeping, a vCPU, or sleep.
pub fn next() -> ! {
    let processor = Processor::current();
    let local = local(processor);
    machine_check::answer_requests(processor);
    deliver_at_once(processor, local);
    count_run(local);
    look_round(processor, local)
}

/// Does one thing after the other.
#[inline(never)]
fn look_round(processor: &'static Processor, local: &'static Local) -> ! {
    loop {
        machine_check::answer_requests(processor);
        deliver_at_once(processor, local);
        #[cfg(feature = "faults")]
        faults::meet(processor);
        if !local.turns.has_urgent() {
            keep_house(processor);
        }
        if guests::running() == 0 && ENDS.load(Ordering::Relaxed) {
            finish(processor);
        }
        // Where all are halted, one is entered halted: the timer ticks there too.
        let slice = SLICE.load(Ordering::Relaxed);
        match local.turns.next(tsc(), slice) {
            Some(vcpu) => {
                local.current.replace(Some(vcpu));
                let is_leaving = vcpu.shared.mailbox.is_leaving();
                let entered = if is_leaving { tsc() } else { 0 };
                local.handler_entered.store(entered, Ordering::Relaxed);
                enter(processor, local, vcpu, 0);
                local.handler_entered.store(0, Ordering::Relaxed);
            }
            None => rest(processor),
        }
    }
}

/// Tells the vCPU that has just exited for how long it ran, if a handler of its was still to leave its stack.
fn count_run(local: &Local) {
    let entered = local.handler_entered.load(Ordering::Relaxed);
    if entered != 0 {
        local.handler_entered.store(0, Ordering::Relaxed);
        if let Some(vcpu) = local.current.get() {
            vcpu.shared.mailbox.ran(tsc().saturating_sub(entered));
        }
    }
}

/// A handler of the current vCPU has just cleared MCIP: the story has been lived to its end, let it be told. How long the vCPU has run so far does
/// not count for that handler's way out.
pub fn handler_finished() {
    let local = local(Processor::current());
    local.handler_entered.store(0, Ordering::Relaxed);
    local.next_housekeeping.store(0, Ordering::Relaxed);
}

/// Enters the vCPU that is here if a machine check waits for it: that comes before all else. Returns if none does, or something came
/// up that goes before even that.
#[inline(always)]
fn deliver_at_once(processor: &'static Processor, local: &'static Local) {
    if let Some(vcpu) = local.current.get().filter(|vcpu| turns::is_urgent(vcpu)) {
        // Not even housekeeping comes between the machine check and its handler.
        const HANDLERS_START: u64 = 1000;
        local.turns.keep(tsc(), SLICE.load(Ordering::Relaxed));
        enter(processor, local, vcpu, HANDLERS_START);
    }
}

/// Enters a vCPU, for `least` time stamp ticks if nothing exits. Returns if something came up that goes first.
fn enter(processor: &'static Processor, local: &'static Local, vcpu: &'static Vcpu, least: u64) {
    vm::enter(processor, vcpu, |own, vmcs| {
        if !slow::before_entry(own, vmcs) {
            return false;
        }
        // The timer first, then the look: an NMI before the look is seen by it, one after it sets the timer to 0 again.
        let housekeeping = local.next_housekeeping.load(Ordering::Relaxed);
        let until = housekeeping.min(local.turns.deadline());
        let ticks = until.saturating_sub(tsc()).max(least);
        vmcs.set_timer(match slow::ask_again(own, vmcs) {
            // Delivers the event, executes nothing, and exits.
            Some(0) => 0,
            Some(most) => timer_value(ticks.min(most)),
            None => timer_value(ticks),
        });
        processor.requests.load(Ordering::Acquire) == 0 && !vcpu.shared.mailbox.is_pending()
    });
}

/// There is nothing to run here until somebody asks for something.
fn rest(processor: &Processor) {
    // An NMI must not think that an entry is near, nor a machine check that a guest is interrupted.
    local(processor).current.replace(None);
    if processor.number == Pcpu(0) {
        // Somebody has to look for commands and keep the log moving.
        core::hint::spin_loop();
    } else if processor.requests.load(Ordering::Acquire) == 0 && !mca::at_work(&ENGINE, &HOST) {
        // It has missed a rendezvous that still goes on, and stays awake until it is expected again.
        core::hint::spin_loop();
    } else {
        let rests = &local(processor).rests;
        rests.store(true, Ordering::Release);
        traps::sleep(&processor.requests);
        rests.store(false, Ordering::Release);
    }
}

/// Processors that have nothing to run have banks too.
fn wake_those_at_rest() {
    if !PERIODS
        .fetch_add(1, Ordering::Relaxed)
        .is_multiple_of(PERIODS_OF_REST)
    {
        return;
    }
    let at_rest = |processor: &&'static Processor| local(processor).rests.load(Ordering::Acquire);
    for processor in Processor::all().filter(at_rest) {
        // Due at once: it slept through the others.
        local(processor)
            .next_housekeeping
            .store(0, Ordering::Relaxed);
        processor.request(0);
    }
}

/// Housekeeping, when it is due: commands, left-over machine checks, the log.
fn keep_house(processor: &Processor) {
    let local = local(processor);
    let now = tsc();
    if now < local.next_housekeeping.load(Ordering::Relaxed) {
        return;
    }
    let period = PERIOD.load(Ordering::Relaxed);
    let next = now.saturating_add(period);
    local.next_housekeeping.store(next, Ordering::Relaxed);
    if processor.number == Pcpu(0) {
        #[cfg(feature = "faults")]
        let raised = faults::look() || commands::look();
        #[cfg(not(feature = "faults"))]
        let raised = commands::look();
        if raised {
            // Those whom it hit come before everything else.
            keep_house_soon();
            return;
        }
        follow_up();
        wake_those_at_rest();
    }
    #[cfg(feature = "faults")]
    faults::settle();
    mca::poll(&ENGINE, &HOST);
    if !LOG_LATE.load(Ordering::Relaxed) {
        log_events();
    }
    // However long the log took, guests run for a period before it is their turn to wait again, unless somebody has asked for more.
    let after = tsc().saturating_add(period);
    let _ =
        local
            .next_housekeeping
            .compare_exchange(next, after, Ordering::Relaxed, Ordering::Relaxed);
}

/// Housekeeping is due before the next VM entry.
fn keep_house_soon() {
    keep_house_at(0);
}

/// Housekeeping is due then, or earlier.
fn keep_house_at(time: u64) {
    local(Processor::current())
        .next_housekeeping
        .fetch_min(time, Ordering::Relaxed);
}

/// Lets machine checks follow that waited for their guest.
fn follow_up() {
    for guest in guests::all().filter(|guest| !guest.has_ended()) {
        if vmce::follow_up(guest.mailboxes) {
            guest.vcpus().for_each(|vcpu| vcpu.shared.request());
        }
    }
}

/// The last guest has ended: the log is completed, and the machine goes off.
fn finish(processor: &'static Processor) -> ! {
    local(processor).current.replace(None);
    while processor.number != Pcpu(0) {
        traps::sleep(&processor.requests);
        machine_check::answer_requests(processor);
    }
    log_until(|| false);
    HOST.emit(Event::MachineOff {});
    log_until(|| false);
    power::off()
}

/// Writes to the log what all processors have kept; but for what is left when something comes up here that goes before, while this processor writes
/// or while it waits for another one that does: that waits for the next time.
pub fn log_events() {
    let processor = Processor::current();
    let turns = &local(processor).turns;
    log_until(|| processor.requests.load(Ordering::Relaxed) != 0 || turns.has_urgent());
}

fn log_until(has_come_up: impl Fn() -> bool) {
    let Some(mut held) = log::hold_unless(&has_come_up) else {
        return;
    };
    for processor in Processor::all() {
        while !has_come_up() && processor.ring.hand_over(processor.number, tell) {
            if held.is_wanted() {
                // Whoever has a line of its own to write waits for one event, and not for all.
                drop(held);
                match log::hold_unless(&has_come_up) {
                    Some(again) => held = again,
                    None => return,
                }
            }
        }
        let lost = log_lost(processor);
        if lost != 0 {
            records::lose(lost);
        }
    }
}

/// Writes an event to the log, and keeps the record that it may be for the privileged guest.
fn tell(stamped: &Stamped) {
    records::hear(stamped);
    messages::write(stamped);
}

/// Writes what all processors have kept at the end of all, where what a processor was about to keep when it was halted holds up nothing behind it. This one resets the
/// machine. Each processor has a share of what is written at most, for its newest ones; `step` is called after each.
pub fn log_last_events(step: impl Fn()) {
    let _held = log::hold();
    let shares = last_words::shares(Processor::count(), Processor::current().number);
    for (number, share) in shares {
        let Some(processor) = Processor::get(number) else {
            continue;
        };
        processor.ring.keep_newest(share);
        loop {
            while processor.ring.hand_over(processor.number, messages::write) {
                step();
            }
            let _ = log_lost(processor);
            if !processor.ring.give_up_unwritten() {
                break;
            }
        }
    }
}

/// Returns how many there were.
fn log_lost(processor: &Processor) -> u64 {
    let lost = processor.ring.take_lost();
    if lost != 0 {
        messages::write_lost(processor.number, tsc(), lost);
    }
    lost
}
