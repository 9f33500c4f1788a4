//! What the privileged guest alone may ask for: records of errors, pages and processors out of use and back.

use kernel::command::Place;
use kernel::guest::hypercall::{Error, FIRST_VECTOR, HOST, Hypercall};
use kernel::mca::Machine;
use kernel::units::{Gpa, GuestId, Hpa, Pcpu};

use super::hypercall::before_copy;
use crate::guests::vcpu::Shared;
use crate::run::host::HOST as MACHINE;
use crate::run::{pages, processors, records};
use crate::vmx::registers::Registers;

/// Carries out such a call of that vCPU. Out of line: no other hypercall is to save registers for it.
#[inline(never)]
pub fn call(call: Hypercall, registers: &Registers, caller: &'static Shared) -> Result<u64, Error> {
    if !caller.guest.is_privileged {
        return Err(Error::Privilege);
    }
    let [first, second] = [registers.rdi, registers.rsi];
    match call {
        Hypercall::RecordNotify => return Ok(records::register(caller, vector(first)?)),
        Hypercall::RecordRead => {
            let is_there = records::read(&caller.guest.memory, Gpa(first), second, before_copy)?;
            return Ok(is_there.into());
        }
        Hypercall::PageOut => MACHINE.emit(pages::out(place(first, second)?)?),
        Hypercall::PageBack => MACHINE.emit(pages::back(place(first, second)?)?),
        Hypercall::ProcessorOut => MACHINE.emit(processors::out(processor(first)?)?),
        Hypercall::ProcessorBack => MACHINE.emit(processors::back(processor(first)?)?),
        _ => return Err(Error::Unknown),
    }
    Ok(0)
}

/// A vector for interrupts, or 0 for none.
fn vector(number: u64) -> Result<u8, Error> {
    match u8::try_from(number) {
        Ok(vector) if vector == 0 || number >= FIRST_VECTOR => Ok(vector),
        _ => Err(Error::Argument),
    }
}

fn processor(number: u64) -> Result<Pcpu, Error> {
    u16::try_from(number)
        .map(Pcpu)
        .map_err(|_| Error::NoProcessor)
}

fn place(guest: u64, address: u64) -> Result<Place, Error> {
    match guest {
        HOST => Ok(Place::Host(Hpa(address).page())),
        number => {
            let guest = u8::try_from(number).map_err(|_| Error::NoPage)?;
            Ok(Place::Guest(GuestId(guest), Gpa(address).page()))
        }
    }
}
