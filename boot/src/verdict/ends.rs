//! Whether each guest ended by itself.

use super::{Unmet, holds};
use crate::log::{Event, Value};
use crate::scenario::{Captures, Expect, Order, Scenario};

/// Events after which a guest, or all of them, cannot end by themselves.
const STOPS: [&str; 6] = [
    "guest.stopped",
    "guest.unknown-exit",
    "guest.bad-access",
    "machine.unsupported",
    "boot.refused",
    "mc.fatal",
];

/// Each guest must have shut down by itself, unless the scenario expects something that stops it.
///
/// # Errors
/// The first that has not.
pub fn all_ended(scenario: &Scenario, events: &[Event], captures: &Captures) -> Result<(), Unmet> {
    for (guest, about) in scenario.guests.iter().enumerate() {
        let number = Value::Decimal(guest as u64);
        let own = |event: &&Event| event.number("guest") == number.number();
        let mut own = events.iter().filter(own);
        let covered = scenario
            .expects
            .iter()
            .any(|expect| covers(expect, &number, captures));
        if covered || own.clone().any(|event| event.kind == "guest.shutdown") {
            continue;
        }
        let stop = own.rfind(|event| STOPS.contains(&event.kind.as_str()));
        return Err(Unmet::end(&about.name, stop));
    }
    Ok(())
}

/// Whether this expectation is about something that stops the guest.
fn covers(expect: &Expect, guest: &Value, captures: &Captures) -> bool {
    let names_another = expect
        .fields
        .iter()
        .any(|(field, want)| field == "guest" && !holds(want, Some(guest), captures));
    expect.order != Order::Absent && STOPS.contains(&expect.event.as_str()) && !names_another
}
