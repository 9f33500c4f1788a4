//! Whether a run did what its scenario says.

mod ends;
mod faults;
mod meet;
mod unmet;

pub use ends::all_ended;
pub use faults::{NotRaised, all_raised, refused};
pub use unmet::Unmet;

use crate::log::{Event, Value};
use crate::scenario::{Captures, Expect, Order, Scenario, Want};

/// Judges a run by its events, in any order; the first expectation that was not met.
///
/// # Errors
/// That expectation, and what came nearest to it.
pub fn judge(
    scenario: &Scenario,
    mut events: Vec<Event>,
    captures: &Captures,
) -> Result<(), Unmet> {
    sort(&mut events);
    in_turn(&scenario.expects, &events, captures)?;
    anywhere(&scenario.expects, &events, captures)?;
    for expect in with_order(&scenario.expects, &Order::Absent) {
        if let Some(event) = events.iter().find(|event| matches(expect, event, captures)) {
            return Err(Unmet::present(expect, event, captures));
        }
    }
    for (guest, code) in &scenario.exit {
        exit(*guest, *code, scenario, &events)?;
    }
    Ok(())
}

/// By boot and time. Processors' rings reach the log one after the other; an event without a time stays where it is.
fn sort(events: &mut Vec<Event>) {
    let mut now = (0, 0);
    let mut timed: Vec<_> = events
        .drain(..)
        .map(|event| {
            now = (event.boot, event.t.unwrap_or(now.1));
            (now, event)
        })
        .collect();
    timed.sort_by_key(|(t, _)| *t);
    events.extend(timed.into_iter().map(|(_, event)| event));
}

/// Stages one after the other; a stage is one expectation, or neighbours of the same group.
fn in_turn(expects: &[Expect], events: &[Event], captures: &Captures) -> Result<(), Unmet> {
    let ordered: Vec<_> = expects
        .iter()
        .filter(|expect| matches!(expect.order, Order::InTurn | Order::Group(_)))
        .collect();
    let mut from = 0;
    for stage in ordered.chunk_by(|a, b| a.order == b.order && matches!(a.order, Order::Group(_))) {
        let rest = &events[from..];
        match meet::all(stage.len(), rest.len(), |e, at| {
            matches(stage[e], &rest[at], captures)
        }) {
            Ok(used) => from += used,
            Err(first) => return Err(Unmet::missing(stage[first], events, from, captures)),
        }
    }
    Ok(())
}

fn anywhere(expects: &[Expect], events: &[Event], captures: &Captures) -> Result<(), Unmet> {
    let free = with_order(expects, &Order::Anywhere);
    let met = meet::all(free.len(), events.len(), |e, at| {
        matches(free[e], &events[at], captures)
    });
    met.map(drop)
        .map_err(|first| Unmet::missing(free[first], events, 0, captures))
}

fn with_order<'e>(expects: &'e [Expect], order: &Order) -> Vec<&'e Expect> {
    expects
        .iter()
        .filter(|expect| expect.order == *order)
        .collect()
}

fn exit(guest: usize, code: u64, scenario: &Scenario, events: &[Event]) -> Result<(), Unmet> {
    let name = scenario.guests.get(guest).map_or("?", |guest| &guest.name);
    let ended = events.iter().find(|event| {
        event.kind == "guest.shutdown" && event.number("guest") == Some(guest as u64)
    });
    match ended {
        Some(event) if event.number("code") == Some(code) => Ok(()),
        Some(event) => Err(Unmet::exit(name, code, Some(event), scenario)),
        None => Err(Unmet::exit(name, code, None, scenario)),
    }
}

fn matches(expect: &Expect, event: &Event, captures: &Captures) -> bool {
    expect.event == event.kind && mismatches(expect, event, captures).is_empty()
}

/// The fields that are not as wanted.
fn mismatches<'e>(
    expect: &'e Expect,
    event: &Event,
    captures: &Captures,
) -> Vec<&'e (String, Want)> {
    let wrong = |(field, want): &&(String, Want)| !holds(want, event.get(field), captures);
    expect.fields.iter().filter(wrong).collect()
}

fn holds(want: &Want, value: Option<&Value>, captures: &Captures) -> bool {
    let Some(value) = value else { return false };
    match want {
        Want::Is(wanted) => wanted.same(value),
        Want::Captured(text) => captures.fill(text).is_some_and(|wanted| wanted.same(value)),
        Want::Within(range) => value.number().is_some_and(|number| range.contains(&number)),
        Want::Matches(regex) => regex.is_match(&value.to_string()),
    }
}

#[cfg(test)]
mod tests;
