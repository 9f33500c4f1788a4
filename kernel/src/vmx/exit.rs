//! The slow half of a VM exit: everything that needs more than the vCPU's own state.
//!
//! A plain match over the exit reasons; what has no arm stops the guest with a record, never the host.

use kernel::event::Event;
use kernel::guest::hypercall::{Error, Hypercall};
use kernel::mca::{Interrupted, Machine};
use kernel::units::{Gpa, GuestId};
use kernel::vmce::{self, Delivery, StopReason};
use msr_runtime::{Interface, Refusal, Reset};
use specs::platform::v1::Hook;
use x86::vmx::vmcs::{guest, ro};

use super::control_registers::{self, Outcome};
use super::ept::Violation;
use super::event::{self, Fault};
use super::fast::{Rest, reason, skip_instruction};
use super::guest_state;
use super::instructions::{vmread, vmwrite};
use super::vcpu::{Activity, Own, Shared, Startup, Vcpu};
use crate::machine::host::HOST;
use crate::machine::{log, messages, traps};
use crate::run;

/// How an exit ended for the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The guest asked for it, with this exit code.
    Shutdown(u64),
    /// The hypervisor stops it.
    Stop(StopReason),
}

/// Finishes an exit that the fast half could not, and goes on with whatever this processor has to do.
pub extern "C" fn slow_exit(vcpu: *mut Vcpu, rest: u32) -> ! {
    // SAFETY: the exit code hands over the vCPU that was running here; ordinary context, nothing else borrows it.
    let (own, shared) = unsafe { (Vcpu::own(vcpu), Vcpu::shared(vcpu)) };
    if rest == Rest::Exit as u32 {
        // SAFETY: its VMCS is current.
        if let Err(end) = unsafe { handle(own, shared) } {
            end_guest(own, shared, end);
        }
    }
    run::next()
}

/// The processor refused to enter the guest (an error of VMLAUNCH or VMRESUME themselves).
pub extern "C" fn entry_failed() -> ! {
    let vcpu = run::current_vcpu();
    if !vcpu.is_null() {
        // SAFETY: as in `slow_exit`.
        let (own, shared) = unsafe { (Vcpu::own(vcpu), Vcpu::shared(vcpu)) };
        // SAFETY: its VMCS is current.
        unsafe { report_unknown(shared, vmread(ro::VM_INSTRUCTION_ERROR) as u32) };
        end_guest(own, shared, End::Stop(StopReason::EntryFailed));
    }
    run::next()
}

unsafe fn handle(own: &mut Own, shared: &'static Shared) -> Result<(), End> {
    // SAFETY: by the caller, for the whole function.
    unsafe {
        let exit_reason = vmread(ro::EXIT_REASON) as u32;
        // What an exit interrupted in the middle of its delivery is delivered again, unless something else replaces it.
        event::reinject_interrupted();
        match exit_reason & 0xffff {
            reason::EXCEPTION_OR_NMI => return exception_or_nmi(shared, exit_reason),
            // Nothing of ours uses interrupts, and the exit has acknowledged it.
            reason::EXTERNAL_INTERRUPT => {}
            reason::TRIPLE_FAULT => return Err(End::Stop(StopReason::TripleFault)),
            reason::HLT => {
                skip_instruction();
                event::halt();
                own.activity = Activity::Halted;
            }
            // There is nothing to write back that the guest could tell: caches are coherent.
            reason::INVD | reason::WBINVD => skip_instruction(),
            reason::VMCALL => {
                skip_instruction();
                return hypercall(own, shared);
            }
            // VMX is not offered; XSETBV is not without CR4.OSXSAVE.
            19..=27 | 50 | 53 | reason::XSETBV => event::inject_fault(Fault::InvalidOpcode),
            reason::CONTROL_REGISTER => {
                match control_registers::access(
                    &mut own.registers,
                    &mut own.task_priority,
                    &shared.guest.memory,
                ) {
                    Outcome::Done => skip_instruction(),
                    Outcome::Fault(fault) => event::inject_fault(fault),
                    Outcome::Unexpected => return Err(unknown(shared, exit_reason)),
                }
            }
            reason::RDMSR => match read_msr(own, shared) {
                Some(value) => {
                    own.registers.rax = value & 0xffff_ffff;
                    own.registers.rdx = value >> 32;
                    skip_instruction();
                }
                None => event::inject_fault(Fault::GeneralProtection),
            },
            reason::WRMSR => match write_msr(own, shared) {
                true => skip_instruction(),
                false => event::inject_fault(Fault::GeneralProtection),
            },
            reason::ENTRY_MACHINE_CHECK => run::machine_check(Interrupted::Guest(shared.id)),
            reason::EPT_VIOLATION => {
                let address = Gpa(vmread(ro::GUEST_PHYSICAL_ADDR_FULL));
                let stop = match shared.guest.memory.violation(address) {
                    Violation::Mended => return Ok(()),
                    Violation::Retired => StopReason::RetiredPage,
                    Violation::Outside => StopReason::NoMemory,
                };
                let rip = vmread(guest::RIP);
                run::log_events();
                let _held = log::hold();
                log::now();
                messages::bad_access(shared.id.guest.0, shared.id.index, address.0, rip);
                return Err(End::Stop(stop));
            }
            reason::PREEMPTION_TIMER => {}
            _ => return Err(unknown(shared, exit_reason)),
        }
    }
    Ok(())
}

unsafe fn exception_or_nmi(shared: &'static Shared, exit_reason: u32) -> Result<(), End> {
    const NMI: u64 = 2;
    const MACHINE_CHECK: u64 = 18;
    // SAFETY: by the caller.
    match unsafe { vmread(ro::VMEXIT_INTERRUPTION_INFO) } & 0xff {
        // Whatever it was sent for is looked at before the next entry.
        NMI => {
            traps::unblock_nmi();
            run::nmi_in_guest_mode();
        }
        MACHINE_CHECK => run::machine_check(Interrupted::Guest(shared.id)),
        // SAFETY: by the caller.
        _ => return Err(unsafe { unknown(shared, exit_reason) }),
    }
    Ok(())
}

/// RDMSR of what the fast half did not answer: the platform's registers and hooks. `None` is #GP.
fn read_msr(own: &Own, shared: &Shared) -> Option<u64> {
    let msr = own.registers.rcx as u32;
    if own.machine_check.read(msr) != Err(Refusal::Unlisted) {
        return None;
    }
    match own.platform.read(msr) {
        Ok(value) => Some(value),
        Err(Refusal::Hook(hook)) => read_hook(hook, shared),
        // A pass-through register does not exit.
        Err(Refusal::Fault | Refusal::Unlisted | Refusal::Pass) => None,
    }
}

/// WRMSR of what the fast half did not take. False is #GP.
fn write_msr(own: &mut Own, shared: &Shared) -> bool {
    let msr = own.registers.rcx as u32;
    let value = own.registers.rdx << 32 | own.registers.rax & 0xffff_ffff;
    let was_in_progress = shared.mailbox.is_in_progress();
    let result = own.machine_check.write(msr, value);
    vmce::after_write(&HOST, shared.id, &own.machine_check, shared.mailbox);
    if was_in_progress && !shared.mailbox.is_in_progress() {
        // The story has been lived to its end: let it be told.
        shared.processor.next_housekeeping.set(0);
    }
    match result {
        Ok(()) => return true,
        Err(Refusal::Unlisted) => {}
        Err(_) => return false,
    }
    match own.platform.write(msr, value) {
        Ok(()) => true,
        Err(Refusal::Hook(hook)) => write_hook(hook, shared),
        Err(Refusal::Fault | Refusal::Unlisted | Refusal::Pass) => false,
    }
}

/// The local APIC as a guest finds it: at its usual place, enabled in x2APIC mode.
const APIC_BASE: u64 = 0xfee0_0000 | 1 << 11 | 1 << 10;
const APIC_BASE_BSP: u64 = 1 << 8;

fn apic_base(shared: &Shared) -> u64 {
    APIC_BASE
        | if shared.id.index == 0 {
            APIC_BASE_BSP
        } else {
            0
        }
}

fn read_hook(hook: Hook, shared: &Shared) -> Option<u64> {
    match hook {
        Hook::ApicBaseRead => Some(apic_base(shared)),
        Hook::X2apicIdRead => Some(shared.id.index.into()),
        Hook::ApicBaseWrite { .. } | Hook::X2apicIcrWrite { .. } => None,
    }
}

fn write_hook(hook: Hook, shared: &Shared) -> bool {
    match hook {
        // The mode is fixed: only what is there already can be written.
        Hook::ApicBaseWrite { value } => value == apic_base(shared),
        Hook::X2apicIcrWrite { value } => interprocessor_interrupt(value, shared),
        Hook::ApicBaseRead | Hook::X2apicIdRead => false,
    }
}

/// The guest's interrupt command register: INIT and SIPI to one vCPU or to all others (SDM vol. 3, 11.6.1). Interrupts to running
/// vCPUs need an interrupt controller, which a guest does not have yet: #GP rather than silence.
fn interprocessor_interrupt(value: u64, sender: &Shared) -> bool {
    const INIT: u64 = 5;
    const STARTUP: u64 = 6;
    const LEVEL_ASSERT: u64 = 1 << 14;
    const ALL_BUT_SELF: u64 = 3;
    let startup = match value >> 8 & 7 {
        INIT if value & LEVEL_ASSERT != 0 => Startup::Init,
        // INIT level de-assert does nothing on today's processors.
        INIT => return true,
        STARTUP => Startup::Sipi(value as u8),
        _ => return false,
    };
    match value >> 18 & 3 {
        0 => {
            if let Some(target) = sender.guest.vcpu((value >> 32) as u32) {
                target.send(startup);
            }
        }
        ALL_BUT_SELF => {
            for index in (0..u32::from(sender.guest.vcpu_count()))
                .filter(|&index| index != u32::from(sender.id.index))
            {
                if let Some(target) = sender.guest.vcpu(index) {
                    target.send(startup);
                }
            }
        }
        _ => return false,
    }
    true
}

fn hypercall(own: &mut Own, shared: &'static Shared) -> Result<(), End> {
    let registers = &mut own.registers;
    let result = match Hypercall::from_number(registers.rax) {
        Some(Hypercall::Console) => match registers.rsi {
            length @ 1..=8 => {
                for byte in registers
                    .rdi
                    .to_le_bytes()
                    .into_iter()
                    .take(length as usize)
                {
                    own.console.push(byte, |text| print(shared, text));
                }
                Ok(0)
            }
            _ => Err(Error::Argument),
        },
        Some(Hypercall::Shutdown) => return Err(End::Shutdown(registers.rdi)),
        #[cfg(feature = "faults")]
        Some(Hypercall::Fault) => run::faults::from_guest(registers, shared),
        #[cfg(feature = "faults")]
        Some(Hypercall::FaultTime) => Ok(run::faults::last_raised()),
        _ => Err(Error::Unknown),
    };
    own.registers.rax = result.unwrap_or_else(|error| error as i64 as u64);
    Ok(())
}

fn print(shared: &Shared, text: &str) {
    run::log_events();
    let _held = log::hold();
    log::now();
    messages::guest_console(shared.id.guest.0, shared.id.index, text);
}

/// Makes the current vCPU ready for VM entry: what waits for it is given to it. False if it must not run now.
///
/// # Safety
/// Its VMCS is current; ordinary context.
pub unsafe fn before_entry(own: &mut Own, shared: &'static Shared) -> bool {
    if shared.has_startup() {
        // SAFETY: by the caller.
        unsafe { start_up(own, shared) };
    }
    if own.activity == Activity::WaitForStartup {
        return false;
    }
    if shared.mailbox.is_pending() {
        // SAFETY: by the caller.
        let mce_enabled = unsafe { control_registers::guest_machine_check_enabled() };
        match vmce::deliver(
            &HOST,
            shared.id,
            &mut own.machine_check,
            shared.mailbox,
            mce_enabled,
        ) {
            Delivery::Nothing => {}
            Delivery::Inject => {
                own.activity = Activity::Active;
                // SAFETY: by the caller.
                unsafe { event::inject_machine_check() };
            }
            Delivery::Shutdown => end_guest(own, shared, End::Stop(StopReason::MceDisabled)),
            Delivery::Stop(reason) => end_guest(own, shared, End::Stop(reason)),
        }
    }
    !shared.guest.has_ended()
}

unsafe fn start_up(own: &mut Own, shared: &'static Shared) {
    let (init, sipi) = shared.take_startup();
    if init {
        own.machine_check.reset(Reset::Init);
        own.platform.reset(Reset::Init);
        shared.mailbox.park();
        own.activity = Activity::WaitForStartup;
    }
    if let (Activity::WaitForStartup, Some(vector)) = (own.activity, sipi) {
        own.registers = Default::default();
        // SAFETY: by the caller.
        unsafe { guest_state::startup(vector) };
        become_active(own, shared);
    }
}

/// A vCPU begins to run.
pub fn become_active(own: &mut Own, shared: &'static Shared) {
    own.activity = Activity::Active;
    shared.mailbox.start();
    run::log_events();
    let _held = log::hold();
    log::now();
    messages::vcpu_up(shared.id.guest.0, shared.id.index);
}

fn end_guest(own: &mut Own, shared: &'static Shared, end: End) {
    own.activity = Activity::Ended;
    if !own.console.is_empty() {
        own.console.end(|text| print(shared, text));
    }
    if !shared.guest.end() {
        return;
    }
    let (guest, vcpu): (GuestId, u8) = (shared.id.guest, shared.id.index);
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

unsafe fn unknown(shared: &Shared, exit_reason: u32) -> End {
    // SAFETY: by the caller.
    unsafe { report_unknown(shared, exit_reason) };
    End::Stop(if exit_reason >> 31 != 0 {
        StopReason::EntryFailed
    } else {
        StopReason::UnknownExit
    })
}

unsafe fn report_unknown(shared: &Shared, number: u32) {
    // SAFETY: by the caller.
    let (qualification, rip) = unsafe { (vmread(ro::EXIT_QUALIFICATION), vmread(guest::RIP)) };
    run::log_events();
    let _held = log::hold();
    log::now();
    messages::unknown_exit(
        shared.id.guest.0,
        shared.id.index,
        number,
        qualification,
        rip,
    );
}

/// Starts the current VMCS's timer anew.
///
/// # Safety
/// A VMCS is current; ordinary context.
pub unsafe fn restart_timer(period: u64) {
    // SAFETY: by the caller.
    unsafe { vmwrite(guest::VMX_PREEMPTION_TIMER_VALUE, period) };
}
