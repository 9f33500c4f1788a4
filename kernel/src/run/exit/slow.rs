//! The slow half of a VM exit: everything that needs more than the vCPU's own state.
//!
//! A plain match over the exit reasons; what has no arm stops the guest with a record, never the host.

use kernel::event::Event;
use kernel::guest::interruption::{Interruption, Kind};
use kernel::guest::waits::Waits;
use kernel::mca::{Interrupted, Machine};
use kernel::units::{Gpa, VcpuId};
use kernel::vmce::{self, Delivery, StopReason};
use msr_runtime::{Interface, Refusal, Reset};
use specs::platform::v1::{Held, X2apicTpr};

use super::{hook, hypercall, io};
use crate::exit::reason;
use crate::guests::vcpu::{Activity, Own};
use crate::machine::{log, messages, traps};
use crate::run;
use crate::run::host::HOST;
use crate::vmx::control_registers::{self, Outcome};
use crate::vmx::current::Current;
use crate::vmx::ept::Violation;
use crate::vmx::event::Fault;
use crate::vmx::guest_state;
use crate::vmx::platform;
use crate::vmx::registers::Registers;

/// How a guest ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It asked for it, with this exit code.
    Shutdown(u64),
    /// The hypervisor stops it.
    Stop(StopReason),
}

/// Bit 31 of the exit reason: the entry failed.
pub const ENTRY_FAILED: u32 = 1 << 31;

/// Answers the exit.
#[inline(always)]
pub fn handle(own: &mut Own, mut vmcs: Current) {
    if let Err(end) = answer(own, &mut vmcs) {
        end_guest(own, end);
    }
}

/// The processor refused to enter the guest.
pub fn entry_failed(own: &mut Own, #[allow(unused_mut)] mut vmcs: Current) {
    /// VMRESUME of a VMCS that was never launched (SDM vol. 3, "VM-Instruction Error Numbers").
    const NOT_LAUNCHED: u32 = 5;
    if vmcs.instruction_error() == NOT_LAUNCHED && own.launched != 0 {
        // Its first entry has failed (a machine check in the middle of it, exit reason 41), and the next one has to be the first again.
        own.launched = 0;
        return;
    }
    #[cfg(feature = "faults")]
    if run::faults::entry_failed(own, &mut vmcs) {
        return;
    }
    report_unknown(own, &vmcs, vmcs.instruction_error());
    end_guest(own, End::Stop(StopReason::EntryFailed));
}

#[inline(always)]
fn answer(own: &mut Own, vmcs: &mut Current) -> Result<(), End> {
    let number = vmcs.exit_reason();
    if number & ENTRY_FAILED == 0 {
        // What the exit interrupted in the middle of its delivery is delivered again, unless something else takes its place. After a
        // failed entry the event is where it was.
        vmcs.reinject_interrupted();
    }
    match number & !ENTRY_FAILED {
        reason::EXCEPTION_OR_NMI => return exception_or_nmi(own, vmcs),
        // Nothing of ours uses interrupts, and the exit has acknowledged it.
        reason::EXTERNAL_INTERRUPT => {}
        // What waits for it is given to the vCPU before the next entry.
        reason::INTERRUPT_WINDOW => vmcs.set_interrupt_window(false),
        reason::TRIPLE_FAULT => return Err(End::Stop(StopReason::TripleFault)),
        reason::HLT => {
            vmcs.skip_instruction();
            if !vmcs.has_pending_debug_exception() {
                vmcs.halt();
                own.mailbox.halts();
                // What has waited behind the instruction before wakes it at once, and nobody will tell of that again.
                if !own
                    .waits
                    .next()
                    .is_some_and(|waiting| vmcs.lets_in(waiting))
                {
                    own.shared.halt(!vmcs.interrupts_enabled());
                }
            }
        }
        // There is nothing to write back that the guest could tell: caches are coherent.
        reason::INVD | reason::WBINVD => vmcs.skip_instruction(),
        reason::VMCALL => {
            vmcs.skip_instruction();
            return hypercall::call(own, vmcs);
        }
        // Not offered: VMX, XSAVE, MONITOR and MWAIT.
        reason::VMCLEAR..=reason::VMXON
        | reason::INVEPT
        | reason::INVVPID
        | reason::XSETBV
        | reason::MWAIT
        | reason::MONITOR => vmcs.inject_fault(Fault::InvalidOpcode),
        // There are no performance counters.
        reason::RDPMC => vmcs.inject_fault(Fault::GeneralProtection),
        reason::IO => match io::access(vmcs.qualification(), &mut own.registers) {
            Ok(()) => vmcs.skip_instruction(),
            Err(io::Unsupported) => return Err(unknown(own, vmcs)),
        },
        reason::CONTROL_REGISTER => {
            let memory = &own.shared.guest.memory;
            let was = own.platform.x2apic_tpr().priority() >> 4;
            let mut task_priority = was;
            match control_registers::access(vmcs, &mut own.registers, &mut task_priority, memory) {
                Outcome::Done => {
                    let tpr = X2apicTpr::new().with_priority(task_priority << 4);
                    if task_priority == was || own.platform.hold(Held::X2apicTpr, tpr.into_bits()) {
                        vmcs.skip_instruction();
                    } else {
                        vmcs.inject_fault(Fault::GeneralProtection);
                    }
                }
                Outcome::Fault(fault) => vmcs.inject_fault(fault),
                Outcome::Unexpected => return Err(unknown(own, vmcs)),
            }
        }
        reason::RDMSR => match read_msr(own, vmcs) {
            Some(value) => {
                own.registers.set_edx_eax(value);
                vmcs.skip_instruction();
            }
            None => vmcs.inject_fault(Fault::GeneralProtection),
        },
        reason::WRMSR => match write_msr(own, vmcs) {
            true => vmcs.skip_instruction(),
            false => vmcs.inject_fault(Fault::GeneralProtection),
        },
        reason::ENTRY_MACHINE_CHECK => {
            let _ = run::machine_check(Interrupted::Guest(own.shared.id));
        }
        reason::EPT_VIOLATION => return memory_access(own, vmcs),
        reason::PREEMPTION_TIMER => {}
        _ => return Err(unknown(own, vmcs)),
    }
    Ok(())
}

fn exception_or_nmi(own: &mut Own, vmcs: &mut Current) -> Result<(), End> {
    const DEBUG: u8 = 1;
    const NMI: u8 = 2;
    const ALIGNMENT: u8 = 17;
    const MACHINE_CHECK: u8 = 18;
    match vmcs.vector() {
        // Whatever it was sent for is looked at before the next entry.
        NMI => {
            traps::unblock_nmi();
            run::nmi_in_guest_mode();
        }
        MACHINE_CHECK => {
            let _ = run::machine_check(Interrupted::Guest(own.shared.id));
        }
        // Taken only so that the guest cannot keep the processor in their delivery for ever.
        DEBUG | ALIGNMENT => vmcs.reflect_exception(),
        _ => return Err(unknown(own, vmcs)),
    }
    Ok(())
}

/// RDMSR of what the fast half did not answer: the platform's registers and hooks. `None` is #GP.
fn read_msr(own: &Own, vmcs: &Current) -> Option<u64> {
    let msr = own.registers.rcx as u32;
    if own.machine_check.read(msr) != Err(Refusal::Unlisted) {
        return None;
    }
    match own.platform.read(msr) {
        Ok(value) => Some(value),
        Err(Refusal::Hook(hook)) => hook::read(hook, vmcs),
        Err(Refusal::Unlisted) => run::extra().has_msr(msr).then_some(0),
        // A pass-through register does not exit.
        Err(Refusal::Fault | Refusal::Pass) => None,
    }
}

/// WRMSR of what the fast half did not take. False is #GP.
fn write_msr(own: &mut Own, vmcs: &mut Current) -> bool {
    let (msr, value) = (own.registers.rcx as u32, own.registers.edx_eax());
    let result = own.machine_check.write(msr, value);
    if vmce::after_write(&HOST, own.shared.id, &own.machine_check, own.mailbox) {
        run::handler_finished();
    }
    match result {
        Ok(()) => return true,
        Err(Refusal::Unlisted) => {}
        Err(_) => return false,
    }
    match own.platform.write(msr, value) {
        Ok(()) => true,
        Err(Refusal::Hook(hook)) => hook::write(hook, own, vmcs),
        Err(Refusal::Unlisted) => run::extra().has_msr(msr),
        Err(Refusal::Fault | Refusal::Pass) => false,
    }
}

fn memory_access(own: &mut Own, vmcs: &Current) -> Result<(), End> {
    let address = Gpa(vmcs.guest_physical_address());
    let stop = match own.shared.guest.memory.violation(address) {
        Violation::InUse => {
            #[cfg(feature = "faults")]
            run::faults::touched(own, address);
            return Ok(());
        }
        Violation::Retired => StopReason::RetiredPage,
        Violation::Outside => StopReason::NoMemory,
    };
    run::log_events();
    let _held = log::hold();
    log::now();
    let id = own.shared.id;
    messages::bad_access(id.guest.0, id.index, address.0, vmcs.rip());
    Err(End::Stop(stop))
}

/// Makes a vCPU ready for VM entry: what waits for it is given to it. False if it must not run now.
pub fn before_entry(own: &mut Own, vmcs: &mut Current) -> bool {
    let shared = own.shared;
    if shared.has_startup() {
        start_up(own, vmcs);
    }
    if shared.activity() == Activity::WaitForStartup {
        return false;
    }
    if shared.mailbox.is_pending() {
        let mce_enabled = vmcs.guest_machine_check_enabled();
        match vmce::deliver(
            &HOST,
            shared.id,
            &mut own.machine_check,
            shared.mailbox,
            mce_enabled,
        ) {
            Delivery::Nothing => {}
            Delivery::Inject => {
                shared.set_activity(Activity::Active);
                if let Some(event) = vmcs.inject_machine_check() {
                    give_way(own, event);
                }
            }
            Delivery::Shutdown => end_guest(own, End::Stop(StopReason::MceDisabled)),
            Delivery::Stop(reason) => end_guest(own, End::Stop(reason)),
        }
    }
    let has_events = shared.has_events();
    if has_events && shared.take_nmi() {
        own.waits.add_nmi();
    }
    if let Some(waiting) = own.waits.next()
        && vmcs.inject_waiting(waiting)
    {
        shared.set_activity(Activity::Active);
        own.waits.taken();
        #[cfg(feature = "faults")]
        run::faults::before_event(own);
    }
    if has_events {
        interrupt(own, vmcs);
    }
    !shared.guest.has_ended()
}

/// An event that was about to be delivered waits.
#[cold]
fn give_way(own: &mut Own, event: Interruption) {
    match event.kind() {
        Kind::External => run::records::give_back_interrupt(own.shared),
        _ => own.waits.give_way(event),
    }
}

/// Gives the vCPU one of the interrupts that are due, if it takes one now. Otherwise, and if more are due, it exits as soon as it does.
#[cold]
fn interrupt(own: &mut Own, vmcs: &mut Current) {
    let shared = own.shared;
    if shared.has_interrupt() && vmcs.inject_interrupt(|| run::records::take_interrupt(shared)) {
        shared.set_activity(Activity::Active);
        #[cfg(feature = "faults")]
        run::faults::before_event(own);
    }
    if shared.has_interrupt() {
        vmcs.set_interrupt_window(true);
    }
}

/// For how many ticks the vCPU may run before it is asked again whether it takes an event that waits. None if there is none. Behind
/// another event it waits for no instruction of the guest.
pub fn ask_again(own: &Own, vmcs: &Current) -> Option<u64> {
    const BLOCKED: u64 = 1000;
    own.waits.next()?;
    Some(if vmcs.delivers() { 0 } else { BLOCKED })
}

/// INIT and SIPI (SDM vol. 3, 9.4.4): done in software, since hardware's INIT exit cannot be acknowledged everywhere.
fn start_up(own: &mut Own, vmcs: &mut Current) {
    let (init, sipi) = own.shared.take_startup();
    if init {
        own.machine_check.reset(Reset::Init);
        own.mailbox.after_init(&own.machine_check);
        if let Err(excluded) = platform::take(vmcs, &mut own.platform) {
            HOST.emit(excluded.event(own.shared.id));
        }
        own.platform.reset(Reset::Init);
        platform::load(vmcs, &own.platform);
        if own.mailbox.park() {
            let VcpuId { guest, index: vcpu } = own.shared.id;
            let outcome = vmce::Outcome::Reset;
            HOST.emit(Event::Posted {
                guest,
                vcpu,
                outcome,
            });
        }
        own.waits = Waits::NOTHING;
        run::records::forget(own.shared);
        own.shared.set_activity(Activity::WaitForStartup);
    }
    if let (Activity::WaitForStartup, Some(vector)) = (own.shared.activity(), sipi) {
        // What was sent before is gone, as in hardware.
        own.shared.take_nmi();
        own.registers = Registers::after_init();
        guest_state::startup(vmcs, vector);
        become_active(own);
    }
}

/// Fills in the state in which a vCPU first starts, or waits.
pub fn power_on(own: &mut Own, vmcs: &mut Current) {
    platform::load_vmcs(vmcs, &own.platform);
    guest_state::startup(vmcs, 0);
    if let Some(start) = own.start.take() {
        guest_state::pvh(vmcs, start.entry);
        own.registers.rbx = start.information.0;
        become_active(own);
    }
}

/// A vCPU begins to run.
fn become_active(own: &mut Own) {
    own.shared.set_activity(Activity::Active);
    own.mailbox.start();
    run::log_events();
    let _held = log::hold();
    log::now();
    messages::vcpu_up(own.shared.id.guest.0, own.shared.id.index);
}

fn end_guest(own: &mut Own, end: End) {
    let shared = own.shared;
    shared.set_activity(Activity::Ended);
    if !own.console.is_empty() {
        own.console.end(|text| hypercall::print(shared, text));
    }
    let (guest, vcpu) = (shared.id.guest, shared.id.index);
    let lost = |vcpu| {
        let outcome = vmce::Outcome::Ended;
        HOST.emit(Event::Posted {
            guest,
            vcpu,
            outcome,
        });
    };
    if !shared.guest.end(lost) {
        return;
    }
    HOST.emit(match end {
        End::Shutdown(code) => Event::GuestShutdown { guest, code },
        End::Stop(reason) => Event::GuestStopped {
            guest,
            vcpu,
            reason,
        },
    });
    run::log_events();
    let exits = own.exits.iter().map(|&count| u64::from(count)).sum();
    let _held = log::hold();
    log::now();
    messages::vcpu_exits(guest.0, vcpu, exits);
}

fn unknown(own: &Own, vmcs: &Current) -> End {
    let number = vmcs.exit_reason();
    report_unknown(own, vmcs, number);
    End::Stop(if number & ENTRY_FAILED != 0 {
        StopReason::EntryFailed
    } else {
        StopReason::UnknownExit
    })
}

fn report_unknown(own: &Own, vmcs: &Current, number: u32) {
    run::log_events();
    let _held = log::hold();
    log::now();
    let id = own.shared.id;
    messages::unknown_exit(
        id.guest.0,
        id.index,
        number,
        vmcs.qualification(),
        vmcs.rip(),
    );
}
