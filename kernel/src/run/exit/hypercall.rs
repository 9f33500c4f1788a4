//! What a guest asks of the hypervisor by VMCALL; the table is `kernel::guest::hypercall`.

use kernel::guest::hypercall::{Error, Hypercall, MAX_BUFFER};
use kernel::units::Gpa;

use super::privileged;
use super::slow::End;
use crate::guests::vcpu::{Own, Shared};
use crate::machine::guest_copy::{Raise, Unreadable};
use crate::machine::{log, messages};
use crate::run;
use crate::vmx::current::Current;

/// Carries out the call in the guest's registers.
pub fn call(own: &mut Own, vmcs: &Current) -> Result<(), End> {
    if vmcs.privilege_level() != 0 {
        own.registers.rax = Error::Privilege as i64 as u64;
        return Ok(());
    }
    let registers = &own.registers;
    let result = match Hypercall::from_number(registers.rax) {
        Some(Hypercall::Console) => console(own),
        Some(Hypercall::ConsoleBuffer) => console_buffer(own),
        Some(Hypercall::Shutdown) => return Err(End::Shutdown(registers.rdi)),
        Some(
            call @ (Hypercall::RecordNotify
            | Hypercall::RecordRead
            | Hypercall::PageOut
            | Hypercall::PageBack
            | Hypercall::ProcessorOut
            | Hypercall::ProcessorBack),
        ) => privileged::call(call, registers, own.shared),
        #[cfg(feature = "faults")]
        Some(Hypercall::Fault) => run::faults::from_guest(registers, own.shared),
        #[cfg(feature = "faults")]
        Some(Hypercall::FaultTime) => Ok(run::faults::last_raised()),
        _ => Err(Error::Unknown),
    };
    own.registers.rax = result.unwrap_or_else(|error| error as i64 as u64);
    Ok(())
}

fn console(own: &mut Own) -> Result<u64, Error> {
    let length = own.registers.rsi;
    if !(1..=8).contains(&length) {
        return Err(Error::Argument);
    }
    for byte in own
        .registers
        .rdi
        .to_le_bytes()
        .into_iter()
        .take(length as usize)
    {
        own.console.push(byte, |text| print(own.shared, text));
    }
    Ok(0)
}

fn console_buffer(own: &mut Own) -> Result<u64, Error> {
    let (from, length) = (Gpa(own.registers.rdi), own.registers.rsi);
    let mut buffer = [0; MAX_BUFFER];
    let bytes = usize::try_from(length)
        .ok()
        .filter(|&length| length != 0)
        .and_then(|length| buffer.get_mut(..length))
        .ok_or(Error::Argument)?;
    let memory = &own.shared.guest.memory;
    memory
        .read(from, bytes, before_copy())
        .map_err(|Unreadable| Error::Memory)?;
    for &byte in &*bytes {
        own.console.push(byte, |text| print(own.shared, text));
    }
    Ok(0)
}

/// What the injector has for the copy that comes next.
pub(super) fn before_copy() -> Raise {
    #[cfg(feature = "faults")]
    let raise = run::faults::before_copy();
    #[cfg(not(feature = "faults"))]
    let raise = Raise::Nothing;
    raise
}

/// Writes a console line to the log.
pub fn print(vcpu: &Shared, text: &str) {
    run::log_events();
    let _held = log::hold();
    log::now();
    messages::guest_console(vcpu.id.guest.0, vcpu.id.index, text);
}
