//! Whether each fault of a scenario was raised.

use std::fmt;

use crate::log::Event;
use crate::scenario::{Address, Amount, Fault, When};

/// A fault that was not raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotRaised {
    /// The line of the scenario file.
    pub line: usize,
    /// Why.
    pub why: String,
}

impl fmt::Display for NotRaised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, why } = self;
        write!(f, "the fault at line {line} was never raised: {why}")
    }
}

/// Each fault of the scenario must have been raised. `sent` says which were handed over for a console line.
///
/// # Errors
/// The first that was not.
pub fn all_raised(faults: &[Fault], sent: &[bool], events: &[Event]) -> Result<(), NotRaised> {
    let Some(first) = waiting(faults, sent, events).first().copied() else {
        return Ok(());
    };
    let why = match &faults[first].when {
        When::At(time) => format!("its time {time} never came"),
        When::After { console, .. } if !sent[first] => {
            format!("no console line matched `{console}`")
        }
        When::After { .. } if events.iter().any(|event| event.kind == "records.lost") => {
            "the machine was told to, but says nothing of it (records were lost)".to_owned()
        }
        When::After { .. } => "the machine was told to, and ended before it did".to_owned(),
    };
    Err(NotRaised {
        line: faults[first].line,
        why,
    })
}

/// The line of the fault that a `fault.refused` at the end of `events` is about: what was handed over is answered in its order.
pub fn refused(faults: &[Fault], sent: &[bool], events: &[Event]) -> Option<usize> {
    let waiting = waiting(faults, sent, events);
    let handed_over = waiting.iter().find(|index| sent[**index]);
    let timed = || {
        waiting
            .iter()
            .find(|index| matches!(faults[**index].when, When::At(_)))
    };
    let index = handed_over.or_else(timed)?;
    Some(faults[*index].line)
}

/// The faults for which no `fault.raised` came.
fn waiting(faults: &[Fault], sent: &[bool], events: &[Event]) -> Vec<usize> {
    let mut waiting: Vec<_> = (0..faults.len()).collect();
    for event in events.iter().filter(|event| event.kind == "fault.raised") {
        let answers = |index: &usize| {
            let timed = matches!(faults[*index].when, When::At(_));
            (timed || sent[*index]) && fits(&faults[*index], event)
        };
        if let Some(place) = waiting.iter().position(answers) {
            waiting.remove(place);
        }
    }
    waiting
}

/// Whether the event is of that fault. Where its address is, if that was captured or is a guest's, only the run knows.
fn fits(fault: &Fault, event: &Event) -> bool {
    let fields = [
        ("target", fault.processor),
        ("bank", fault.bank),
        ("status", fault.status),
        ("mcg_status", fault.mcg_status),
        ("misc", fault.misc),
    ];
    let address = match fault.address {
        Address::None => Some(0),
        Address::Host(Amount::Number(address)) => Some(address),
        Address::Host(Amount::Captured(_)) | Address::Guest(..) => None,
    };
    let is = |(name, value): (&str, u64)| event.number(name) == Some(value);
    fields.into_iter().all(is) && address.is_none_or(|address| is(("addr", address)))
}
