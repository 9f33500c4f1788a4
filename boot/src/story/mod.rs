//! What a run's events tell, as rows and spans: who did what from when to when. [`trace`] and [`svg`] draw it.
//!
//! The kernel marks no beginnings and ends for this: every span lies between the time stamps of events that it logs anyway.

mod svg;
mod telling;
mod trace;

use crate::log::Event;
use telling::Telling;

pub use svg::{shape, svg};
pub use trace::trace;

/// Whose time a row shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// A processor.
    Processor(u64),
    /// A guest.
    Guest(u64),
    /// A vCPU of a guest.
    Vcpu(u64, u64),
}

/// What goes on in a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doing {
    /// A guest exists.
    Guest,
    /// From #MC to the end of the handling.
    MachineCheck,
    /// Waiting for the other processors to come.
    Gate,
    /// Reading, grading and claiming the banks.
    Rounds,
    /// Pages out of use, and who is hit.
    Recovery,
    /// Waiting for the one that recovers.
    Wait,
    /// Flushing translations, leaving together.
    Leave,
    /// The machine cannot go on.
    Fatal,
    /// Giving the vCPU its #MC.
    Injection,
    /// The vCPU stands still between the error and its #MC, or its end.
    Held,
    /// The guest's own handler.
    Handler,
}

impl Doing {
    /// Everything, in the order in which it happens.
    pub const ALL: [Self; 11] = [
        Self::Guest,
        Self::MachineCheck,
        Self::Gate,
        Self::Rounds,
        Self::Recovery,
        Self::Wait,
        Self::Leave,
        Self::Fatal,
        Self::Injection,
        Self::Held,
        Self::Handler,
    ];

    /// One word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::MachineCheck => "#MC",
            Self::Gate => "gate",
            Self::Rounds => "rounds",
            Self::Recovery => "recovery",
            Self::Wait => "wait",
            Self::Leave => "leave",
            Self::Fatal => "fatal",
            Self::Injection => "inject",
            Self::Held => "held",
            Self::Handler => "handler",
        }
    }

    /// What it means.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Guest => "the guest exists",
            Self::MachineCheck => "from #MC to the end of its handling",
            Self::Gate => "barrier, until all processors have come",
            Self::Rounds => "both rounds: reads, grades and claims its banks",
            Self::Recovery => "takes pages out of use, decides who is hit",
            Self::Wait => "until another one has recovered",
            Self::Leave => "flushes translations; barrier, all leave together",
            Self::Fatal => "stands still, or writes the log, until the machine boots again",
            Self::Injection => "writes the vCPU's bank, injects its #MC",
            Self::Held => "runs no instruction, from the error to its #MC or its end",
            Self::Handler => "the guest's own handler, until it clears MCIP",
        }
    }
}

/// Something that took time, in time stamp ticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Whose.
    pub row: Row,
    /// What.
    pub doing: Doing,
    /// From when.
    pub start: u64,
    /// To when.
    pub end: u64,
}

/// Something that happened at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Where.
    pub row: Row,
    /// When.
    pub at: u64,
    /// The event.
    pub event: Event,
}

/// A run.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// Names of the guests by number.
    pub guests: Vec<String>,
    /// Every row that something happened in, in order.
    pub rows: Vec<Row>,
    /// Spans, by row and then by time.
    pub spans: Vec<Span>,
    /// Marks, by time.
    pub marks: Vec<Mark>,
}

impl Story {
    /// What these events tell, in any order. A clock that begins anew after a reset goes on from where it was.
    pub fn of(events: &[Event], guests: &[String]) -> Self {
        let mut events = continuous(events);
        events.sort_by_key(|event| event.t);
        let (mut spans, marks) = Telling::of(&events);
        spans.sort_by_key(|span| (span.row, span.start, std::cmp::Reverse(span.end)));
        let mut rows: Vec<_> = spans.iter().map(|span| span.row).collect();
        rows.extend(marks.iter().map(|mark| mark.row));
        rows.sort_unstable();
        rows.dedup();
        Self {
            guests: guests.to_vec(),
            rows,
            spans,
            marks,
        }
    }

    /// A row's name.
    pub fn name(&self, row: Row) -> String {
        let guest = |number: u64| {
            let name = usize::try_from(number)
                .ok()
                .and_then(|n| self.guests.get(n));
            name.cloned().unwrap_or_else(|| format!("guest {number}"))
        };
        match row {
            Row::Processor(number) => format!("cpu{number}"),
            Row::Guest(number) => guest(number),
            Row::Vcpu(number, vcpu) => format!("{} vCPU {vcpu}", guest(number)),
        }
    }
}

/// The events that have a time, on one clock.
fn continuous(events: &[Event]) -> Vec<Event> {
    let (mut boot, mut offset, mut last) = (0, 0, 0);
    let mut out = Vec::new();
    for event in events {
        let Some(t) = event.t else { continue };
        if event.boot != boot {
            boot = event.boot;
            offset = if t < last { last } else { 0 };
        }
        last = last.max(t + offset);
        out.push(Event {
            t: Some(t + offset),
            ..event.clone()
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Level;

    /// `TIME kind key=value ...`, a line each.
    pub(super) fn story(text: &str) -> Story {
        let events: Vec<_> = text
            .lines()
            .map(|line| line.trim().split_once(' ').unwrap())
            .map(|(t, text)| Event::parse(text, t.parse().ok(), Level::Info))
            .collect();
        Story::of(&events, &["g0".to_owned()])
    }

    pub(super) const RUN: &str = "10 guest.up cpu=0 guest=0 name=g0 vcpus=1 memory=2 interface=a@1
        100 fault.raised cpu=0 target=1 bank=1 status=0x1 mcg_status=0x5 addr=0 misc=0
        110 mc.entered cpu=0 context=guest guest=0 vcpu=0 mcg_status=0x5
        120 mc.entered cpu=1 context=hypervisor mcg_status=0x5
        130 mc.rendezvous cpu=1 expected=2 arrived=2 ticks=20
        150 mc.worst cpu=1 class=srao owner=1
        160 page.retired cpu=1 hpa=0x1000 owner=guest guest=0 gpa=0x2000
        170 vmce.posted cpu=1 guest=0 vcpu=0 outcome=record
        180 mc.resumed cpu=1
        185 mc.resumed cpu=0
        190 vmce.injected cpu=0 guest=0 vcpu=0 mcg_status=0x5 record=no
        250 vmce.handled cpu=0 guest=0 vcpu=0
        300 guest.shutdown cpu=0 guest=0 code=0";

    #[test]
    fn a_clock_that_begins_anew_goes_on() {
        let event = |t, boot| Event {
            boot,
            ..Event::parse("mc.late cpu=0", Some(t), Level::Info)
        };
        let times = |events: &[Event]| -> Vec<_> {
            continuous(events).iter().filter_map(|e| e.t).collect()
        };
        assert_eq!(
            times(&[event(5, 1), event(9, 1), event(2, 2), event(3, 2)]),
            [5, 9, 11, 12]
        );
        assert_eq!(times(&[event(5, 1), event(9, 2)]), [5, 9]);
    }
}
