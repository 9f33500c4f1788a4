//! The administrator's commands, from COM1: pages and processors out of use and back, and, with the injector, faults.

use arrayvec::ArrayVec;
use kernel::command::{MAX_LINE, PageCommand, ProcessorCommand, parse, parse_processor};
use kernel::event::Event;
use kernel::faults::Refused;
use kernel::mca::Machine;

use super::host::HOST;
use super::{pages, processors};
use crate::machine::lock::Lock;
use crate::machine::serial_input;

/// The line that is being received; one byte more than a command may have, so that too long a one is seen.
static LINE: Lock<ArrayVec<u8, { MAX_LINE + 1 }>> = Lock::new(ArrayVec::new_const());

/// Carries out a command that has come on COM1. Processor 0, in housekeeping. True if an #MC came of it.
pub fn look() -> bool {
    let mut line = LINE.lock();
    let mut raised = false;
    serial_input::read(|byte| {
        if byte != b'\n' {
            _ = line.try_push(byte);
            return true;
        }
        let is_command = line.iter().any(|byte| !byte.is_ascii_whitespace());
        if is_command {
            raised = carry_out(&line);
        }
        line.clear();
        // The rest waits its turn: what this one did is seen to first.
        !is_command
    });
    raised
}

fn carry_out(line: &[u8]) -> bool {
    match parse(line) {
        Ok(None) => return about_processors(line).unwrap_or_else(|| other(line)),
        Ok(Some(PageCommand::List)) => pages::list(),
        Ok(Some(PageCommand::Out(place))) => tell(pages::out(place)),
        Ok(Some(PageCommand::Back(place))) => tell(pages::back(place)),
        Err(reason) => tell(Err(reason)),
    }
    false
}

fn tell(done: Result<Event, Refused>) {
    HOST.emit(done.unwrap_or_else(|reason| Event::PageRefused { reason }));
}

/// None if it is no command about processors.
fn about_processors(line: &[u8]) -> Option<bool> {
    let done = match parse_processor(line) {
        Ok(None) => return None,
        Ok(Some(ProcessorCommand::List)) => {
            processors::list();
            return Some(false);
        }
        Ok(Some(ProcessorCommand::Out(number))) => processors::out(number),
        Ok(Some(ProcessorCommand::Back(number))) => processors::back(number),
        Err(reason) => Err(reason),
    };
    HOST.emit(done.unwrap_or_else(|reason| Event::ProcessorRefused { reason }));
    Some(false)
}

#[cfg(feature = "faults")]
fn other(line: &[u8]) -> bool {
    super::faults::command(line)
}

#[cfg(not(feature = "faults"))]
fn other(line: &[u8]) -> bool {
    if !line.trim_ascii().starts_with(b"#") {
        let reason = Refused::UnknownCommand;
        HOST.emit(Event::FaultRefused { reason });
    }
    false
}
