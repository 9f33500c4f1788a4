//! The injector's hands: commands from the boot module, COM1 and guests; the vector on the processors concerned.

use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};

use kernel::event::Event;
use kernel::faults::{Fault, Overlay, Refused, Schedule, When, parse, raise};
use kernel::guest::hypercall::{
    Error, FAULT_BROADCAST, FAULT_GUEST_PHYSICAL, FAULT_ON_ENTRY, FAULT_ON_TOUCH, FAULT_OTHER_GUEST,
};
use kernel::mca::{Machine, McgStatus};
use kernel::units::{Bank, Gpa, GuestId, PAGE_SIZE, Pcpu, Tsc, VcpuId};

use super::exit::slow;
use super::host::HOST;
use super::machine_check::{interrupted, machine_check as handle};
use super::{PERIOD, SLICE, current_vcpu};
use crate::entry::vm;
use crate::exit::reason;
use crate::guests::Guest;
use crate::guests::vcpu::{Activity, Own, Shared, Vcpu};
use crate::machine::guest_copy::Raise;
use crate::machine::lock::Lock;
use crate::machine::processor::{MAX_PROCESSORS, Processor, RAISE_MACHINE_CHECK};
use crate::machine::{machine_check, tsc};
use crate::vmx::capability;
use crate::vmx::current::Current;
use crate::vmx::ept::Violation;
use crate::vmx::operation;
use crate::vmx::registers::Registers;

static OVERLAYS: [Overlay; MAX_PROCESSORS] = [const { Overlay::new() }; MAX_PROCESSORS];
static LAST_RAISED: AtomicU64 = AtomicU64::new(0);

static SCHEDULE: Lock<Schedule<'static>> = Lock::new(Schedule::empty());

/// Takes the commands of a boot module.
pub fn schedule(commands: &'static [u8]) -> Result<(), &'static str> {
    *SCHEDULE.lock() = Schedule::new(commands);
    Ok(())
}

/// Raises what is due of the module. Processor 0, in housekeeping. True if an #MC came of it.
pub fn look() -> bool {
    give_up_waiting();
    let due = SCHEDULE.lock().due(Tsc(tsc()));
    due.is_some_and(carry_out)
}

/// Carries out a line that is a fault command. True if an #MC came of it.
pub fn command(line: &[u8]) -> bool {
    parse(line).transpose().is_some_and(carry_out)
}

/// Raises a fault, or says why not. True if an #MC came of it.
fn carry_out(command: Result<Fault, Refused>) -> bool {
    let result = command.and_then(raise_fault);
    if let Err(reason) = result {
        HOST.emit(Event::FaultRefused { reason });
    }
    result == Ok(Raised::Signalled)
}

/// [`kernel::guest::hypercall::Hypercall::Fault`].
pub fn from_guest(registers: &Registers, caller: &Shared) -> Result<u64, Error> {
    const THIS_PROCESSOR: u64 = 0xffff;
    let flags = registers.rdi >> 8 & 0xff;
    let processor = match registers.rdi >> 16 & 0xffff {
        THIS_PROCESSOR => caller.processor().number,
        number => Pcpu(number as u16),
    };
    let guest = if flags & FAULT_OTHER_GUEST != 0 {
        Some(GuestId((registers.rdi >> 32) as u8))
    } else {
        (flags & FAULT_GUEST_PHYSICAL != 0).then_some(caller.id.guest)
    };
    let fault = Fault {
        when: When::Now,
        processor,
        bank: Bank(registers.rdi as u8),
        status: registers.rsi,
        mcg_status: registers.rdx,
        addr: registers.r10,
        misc: registers.r8,
        guest,
        broadcast: flags & FAULT_BROADCAST != 0,
    };
    if flags & FAULT_ON_TOUCH != 0 {
        let page = Gpa((registers.rdi >> 40) * PAGE_SIZE);
        return lay_trap(caller, page, fault);
    }
    if flags & FAULT_ON_ENTRY != 0 {
        return await_entry(caller, fault);
    }
    raise_fault(fault).map_err(|_| Error::Argument)?;
    Ok(0)
}

/// The fault that waits for a VM entry of this vCPU that is to deliver an event.
static AT_ENTRY: Lock<Option<(VcpuId, Fault)>> = Lock::new(None);

#[cold]
#[inline(never)]
fn await_entry(caller: &Shared, mut fault: Fault) -> Result<u64, Error> {
    let mut place = AT_ENTRY.lock();
    let banks = Processor::current().machine_check.banks();
    let is_own = fault.processor == caller.processor().number && !fault.broadcast;
    let comes = is_own && fault.bank.0 < banks;
    if place.is_some() || !comes || !capability::writes_exit_information() {
        return Err(Error::Argument);
    }
    locate(&mut fault).map_err(|_| Error::Argument)?;
    *place = Some((caller.id, fault));
    Ok(0)
}

/// The next entry of the vCPU is to deliver an event. If a fault waits for that, the entry will fail: by VMLAUNCH of what has been launched.
#[cold]
#[inline(never)]
pub fn before_event(own: &mut Own) {
    let this = own.shared.id;
    if AT_ENTRY.lock().is_some_and(|(vcpu, _)| vcpu == this) {
        own.launched = 0;
    }
}

/// An entry has failed. If that was for a fault, it is answered as if that had come in the middle of it, on this processor, wherever the vCPU was when it was
/// asked for; and this does not return. Else whether the
/// next one will succeed: the fault could not be put, and the vCPU counts as launched again.
#[cold]
#[inline(never)]
pub fn entry_failed(own: &mut Own, vmcs: &mut Current) -> bool {
    /// VMLAUNCH of a VMCS that was launched (SDM vol. 3, "VM-Instruction Error Numbers").
    const LAUNCHED_ALREADY: u32 = 4;
    if vmcs.instruction_error() != LAUNCHED_ALREADY {
        return false;
    }
    let this = own.shared.id;
    let fault = AT_ENTRY.lock().take_if(|(vcpu, _)| *vcpu == this);
    let fault = fault.map(|(_, fault)| Fault {
        processor: Processor::current().number,
        ..fault
    });
    if fault.is_some_and(|fault| put(&fault).is_ok()) {
        vm::fail_entry(own, vmcs, slow::ENTRY_FAILED | reason::ENTRY_MACHINE_CHECK);
    }
    true
}

/// A page whose next touch raises a fault.
struct Trap {
    guest: GuestId,
    page: Gpa,
    fault: Fault,
}

static TRAP: Lock<Option<Trap>> = Lock::new(None);

fn lay_trap(caller: &Shared, page: Gpa, fault: Fault) -> Result<u64, Error> {
    let memory = &caller.guest.memory;
    let mut trap = TRAP.lock();
    if trap.is_some() || memory.violation(page) != Violation::InUse || !memory.hide(page) {
        return Err(Error::Argument);
    }
    let guest = caller.id.guest;
    *trap = Some(Trap { guest, page, fault });
    operation::flush_translations();
    Ok(0)
}

/// A vCPU has touched a page of its guest that is in use and yet was not there.
pub fn touched(own: &mut Own, address: Gpa) {
    let vcpu = own.shared;
    let is_there = |trap: &mut Trap| trap.guest == vcpu.id.guest && trap.page == address.page();
    let Some(trap) = TRAP.lock().take_if(is_there) else {
        return;
    };
    vcpu.guest.memory.show(trap.page);
    if trap.fault.status != 0 {
        _ = carry_out(Ok(Fault {
            processor: vcpu.processor().number,
            ..trap.fault
        }));
        before_event(own);
    }
}

/// Time stamp counter when the last #MC was raised: every other processor that gets it has been told.
pub fn last_raised() -> u64 {
    LAST_RAISED.load(Ordering::Relaxed)
}

/// How a fault came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Raised {
    /// By an #MC.
    Signalled,
    /// It waits: in its bank, or for somebody to meet it.
    Silently,
}

/// Replaces a guest-physical address by the host's.
#[inline(always)]
fn locate(fault: &mut Fault) -> Result<(), Refused> {
    if let Some(guest) = fault.guest.take() {
        let guest = Guest::get(guest).ok_or(Refused::NoGuestMemory)?;
        fault.addr = guest
            .memory
            .host_address(Gpa(fault.addr))
            .ok_or(Refused::NoGuestMemory)?
            .0;
    }
    Ok(())
}

fn raise_fault(mut fault: Fault) -> Result<Raised, Refused> {
    let command = fault;
    locate(&mut fault)?;
    let this = Processor::current();
    if fault.bank.0 >= this.machine_check.banks() {
        return Err(Refused::NoBank);
    }
    match fault.when {
        When::NextCopy => {
            *ARMED.lock() = Some(fault);
            return Ok(Raised::Silently);
        }
        When::InGuest(guest) => {
            await_consumer(guest, command)?;
            return Ok(Raised::Silently);
        }
        When::Now | When::At(_) => {}
    }
    put(&fault)?;
    if !McgStatus::from(fault.mcg_status).mcip() {
        // No #MC announces it: polling finds it.
        return Ok(Raised::Silently);
    }
    signal_others(&fault);
    if fault.broadcast || fault.processor == this.number {
        // This processor is between a VM exit and the next entry, or idle: it takes its own at once. No copy is going on.
        let _ = handle(interrupted(this));
    }
    Ok(Raised::Signalled)
}

/// A fault that waits until its processor runs a vCPU of this guest: on a processor of several guests the next one to come by would else
/// meet an error that was meant for another.
struct Awaiting {
    guest: GuestId,
    fault: Fault,
    /// For how long, in time stamp ticks of any processor.
    until: u64,
}

static AWAITING: Lock<Option<Awaiting>> = Lock::new(None);
/// Its processor, or [`NOBODY`].
static AWAITED_ON: AtomicU16 = AtomicU16::new(NOBODY);
const NOBODY: u16 = u16::MAX;

/// So many vCPUs can have their turns on the processor before the wait is given up.
const TURNS: u64 = 32;

fn await_consumer(guest: GuestId, fault: Fault) -> Result<(), Refused> {
    let runs_there = |vcpu: &Vcpu| vcpu.shared.processor().number == fault.processor && runs(vcpu);
    if !Guest::get(guest).is_some_and(|guest| guest.vcpus().any(runs_there)) {
        return Err(Refused::NoConsumer);
    }
    let mut awaiting = AWAITING.lock();
    if awaiting.is_some() {
        return Err(Refused::AnotherWaits);
    }
    let turn = SLICE
        .load(Ordering::Relaxed)
        .saturating_add(PERIOD.load(Ordering::Relaxed));
    let until = tsc().saturating_add(TURNS.saturating_mul(turn));
    *awaiting = Some(Awaiting {
        guest,
        fault,
        until,
    });
    AWAITED_ON.store(fault.processor.0, Ordering::Release);
    Ok(())
}

/// A vCPU can meet an error: it runs code of its guest, or has halted there.
fn runs(vcpu: &Vcpu) -> bool {
    let activity = vcpu.shared.activity();
    !vcpu.shared.guest.has_ended() && matches!(activity, Activity::Active | Activity::Halted)
}

/// Raises the fault that waits for the guest that this processor has just left. Between a VM exit and the next entry.
#[inline]
pub fn meet(processor: &Processor) {
    if AWAITED_ON.load(Ordering::Acquire) == processor.number.0 {
        meet_here(processor);
    }
}

#[cold]
fn meet_here(processor: &Processor) {
    let Some(vcpu) = current_vcpu().filter(|vcpu| runs(vcpu)) else {
        return;
    };
    let guest = vcpu.shared.id.guest;
    if let Some(fault) =
        take_awaiting(|it| it.guest == guest && it.fault.processor == processor.number)
    {
        carry_out(Ok(Fault {
            when: When::Now,
            ..fault
        }));
    }
}

/// Nobody of the guest has come to run there in time.
fn give_up_waiting() {
    if AWAITED_ON.load(Ordering::Relaxed) != NOBODY
        && take_awaiting(|it| tsc() >= it.until).is_some()
    {
        let reason = Refused::NoConsumer;
        HOST.emit(Event::FaultRefused { reason });
    }
}

fn take_awaiting(is_it: impl Fn(&Awaiting) -> bool) -> Option<Fault> {
    let mut awaiting = AWAITING.lock();
    let taken = awaiting.take_if(|it| is_it(it))?;
    AWAITED_ON.store(NOBODY, Ordering::Release);
    Some(taken.fault)
}

/// The fault that waits for the next copy of a guest's memory.
static ARMED: Lock<Option<Fault>> = Lock::new(None);

/// This processor is about to copy a guest's memory: whether a fault waits for that, whose registers are then set.
pub fn before_copy() -> Raise {
    let this = Processor::current().number;
    let armed = ARMED.lock().take_if(|fault| fault.processor == this);
    match armed {
        Some(fault) if put(&fault).is_ok() => {
            signal_others(&fault);
            Raise::MachineCheck
        }
        _ => Raise::Nothing,
    }
}

/// Sets the registers of all whom a fault concerns.
fn put(fault: &Fault) -> Result<(), Refused> {
    let overlays = OVERLAYS
        .get(..usize::from(Processor::count()))
        .unwrap_or(&[]);
    let raised = raise(fault, overlays)?;
    settle();
    HOST.emit(raised);
    Ok(())
}

/// Has the other processors whom a fault concerns take their #MC.
fn signal_others(fault: &Fault) {
    let this = Processor::current().number;
    for processor in Processor::all() {
        if processor.number != this && (fault.broadcast || processor.number == fault.processor) {
            processor.request(RAISE_MACHINE_CHECK);
        }
    }
    LAST_RAISED.store(tsc(), Ordering::Relaxed);
}

/// The banks of every processor so far take what is put into them.
static BANKS_TAKE_ERRORS: AtomicBool = AtomicBool::new(true);

/// Finds out whether this processor's banks take an error by WRMSR: an emulator's may, hardware's fault. Ordinary context, the
/// banks clear.
pub fn try_banks() {
    let this = Processor::current();
    let capabilities = this.machine_check;
    if capabilities.banks() == 0 {
        return;
    }
    let status = Bank(0).status();
    // Without VAL it means nothing.
    if machine_check::try_write(capabilities, status, 1) {
        machine_check::write(capabilities, status, 0);
        let count = 4 * u32::from(capabilities.banks());
        this.bank_msrs.store(count, Ordering::SeqCst);
    } else {
        BANKS_TAKE_ERRORS.store(false, Ordering::SeqCst);
    }
    if !BANKS_TAKE_ERRORS.load(Ordering::SeqCst) {
        // From now on the overlays stand before every processor's.
        Processor::all().for_each(|processor| processor.bank_msrs.store(0, Ordering::SeqCst));
    }
}

/// Moves what was put into this processor's overlay to its banks, if they take it. In any context; before a vector is raised here
/// and before a poll.
pub fn settle() {
    if let Some(overlay) = overlay()
        && BANKS_TAKE_ERRORS.load(Ordering::Relaxed)
    {
        let capabilities = Processor::current().machine_check;
        overlay.settle(
            |msr| machine_check::read(capabilities, msr),
            |msr, value| machine_check::write(capabilities, msr, value),
        );
    }
}

/// RDMSR as the injector has it.
#[inline]
pub fn read_overlay(msr: u32) -> Option<u64> {
    unsettled()?.read(msr)
}

/// WRMSR as the injector takes it.
#[inline]
pub fn write_overlay(msr: u32, value: u64) -> bool {
    unsettled().is_some_and(|overlay| overlay.write(msr, value))
}

/// What stands for this processor's banks, if those do not take errors themselves.
#[inline]
fn unsettled() -> Option<&'static Overlay> {
    if BANKS_TAKE_ERRORS.load(Ordering::Relaxed) {
        None
    } else {
        overlay()
    }
}

fn overlay() -> Option<&'static Overlay> {
    OVERLAYS.get(usize::from(Processor::current().number.0))
}
