//! What a run's events tell, as rows and spans: who did what from when to when. [`trace`] and [`svg`] draw it.
//!
//! The kernel marks no beginnings and ends for this: every span lies between the time stamps of events that it logs anyway.

mod svg;
mod trace;

use std::collections::BTreeMap;

use crate::log::Event;

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
    /// Giving the vCPU its #MC.
    Injection,
    /// The vCPU stands still between the error and its #MC.
    Held,
    /// The guest's own handler.
    Handler,
}

impl Doing {
    /// Everything, in the order in which it happens.
    pub const ALL: [Self; 10] = [
        Self::Guest,
        Self::MachineCheck,
        Self::Gate,
        Self::Rounds,
        Self::Recovery,
        Self::Wait,
        Self::Leave,
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
            Self::Wait => "barrier, until one has recovered",
            Self::Leave => "flushes translations; barrier, all leave together",
            Self::Injection => "writes the vCPU's bank, injects its #MC",
            Self::Held => "runs no instruction between the error and its #MC",
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
        let mut telling = Telling::default();
        for event in &events {
            telling.hear(event);
        }
        telling.end(events.last().and_then(|event| event.t).unwrap_or(0));
        let Telling {
            mut spans, marks, ..
        } = telling;
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

/// A machine check of a processor that goes on.
#[derive(Clone, Copy, Debug)]
struct Entered {
    at: u64,
    vcpu: Option<(u64, u64)>,
}

#[derive(Default)]
struct Telling {
    spans: Vec<Span>,
    marks: Vec<Mark>,
    entered: BTreeMap<u64, Entered>,
    /// Since when each vCPU that is to get an #MC stands still.
    held: BTreeMap<(u64, u64), u64>,
    injected: BTreeMap<(u64, u64), u64>,
    /// When each processor left its last machine check, until it enters a vCPU or the next one.
    resumed: BTreeMap<u64, u64>,
    up: BTreeMap<u64, u64>,
    /// The last rendezvous, the last choice of who recovers (and who), the end of that recovery.
    met: Option<u64>,
    chosen: Option<(u64, u64)>,
    recovered: Option<u64>,
}

impl Telling {
    fn hear(&mut self, event: &Event) {
        let at = event.t.unwrap_or(0);
        let number = |field| event.number(field);
        let cpu = number("cpu").unwrap_or(0);
        let guest = number("guest");
        let vcpu = guest.zip(number("vcpu"));
        match event.kind.as_str() {
            "guest.up" => _ = guest.map(|guest| self.up.insert(guest, at)),
            "mc.entered" => {
                if self.entered.is_empty() {
                    (self.met, self.chosen, self.recovered) = (None, None, None);
                }
                self.entered.insert(cpu, Entered { at, vcpu });
                self.resumed.remove(&cpu);
                if let Some(vcpu) = vcpu {
                    self.held.insert(vcpu, at);
                }
            }
            "mc.rendezvous" => self.met = Some(at),
            "mc.worst" => self.chosen = Some((at, cpu)),
            "mc.hit" | "page.retired" | "vmce.posted" => self.recovered = Some(at),
            "mc.resumed" | "mc.fatal" => self.leave(cpu, at),
            "vmce.injected" => {
                if let Some(vcpu) = vcpu {
                    let resumed = self.resumed.remove(&cpu);
                    if let Some(since) = self.held.remove(&vcpu) {
                        self.span(Row::Vcpu(vcpu.0, vcpu.1), Doing::Held, since, at);
                        // Of one that was not running others' turns lie between.
                        let resumed = resumed.unwrap_or(at);
                        self.span(Row::Processor(cpu), Doing::Injection, resumed, at);
                    }
                    self.injected.insert(vcpu, at);
                }
            }
            "vmce.handled" => {
                if let Some(vcpu) = vcpu
                    && let Some(since) = self.injected.remove(&vcpu)
                {
                    self.span(Row::Vcpu(vcpu.0, vcpu.1), Doing::Handler, since, at);
                }
            }
            "guest.shutdown" | "guest.stopped" => self.gone(guest, at),
            _ => {}
        }
        // Whose mark it is: the engine's events are the processor's, what a vCPU does is its own.
        let row = match (event.kind.as_str(), guest, vcpu) {
            (kind, Some(guest), _) if kind.starts_with("page.") || kind == "mc.hit" => {
                Row::Guest(guest)
            }
            (kind, _, _) if kind.starts_with("mc.") || kind.starts_with("fault.") => {
                Row::Processor(number("target").unwrap_or(cpu))
            }
            (_, _, Some((guest, vcpu))) => Row::Vcpu(guest, vcpu),
            (_, Some(guest), None) => Row::Guest(guest),
            (_, None, _) => Row::Processor(cpu),
        };
        self.marks.push(Mark {
            row,
            at,
            event: event.clone(),
        });
    }

    fn span(&mut self, row: Row, doing: Doing, start: u64, end: u64) {
        if end > start {
            self.spans.push(Span {
                row,
                doing,
                start,
                end,
            });
        }
    }

    /// A processor is out of its machine check: what it did in it.
    fn leave(&mut self, cpu: u64, end: u64) {
        let Some(Entered { at, vcpu }) = self.entered.remove(&cpu) else {
            return;
        };
        self.resumed.insert(cpu, end);
        let row = Row::Processor(cpu);
        self.span(row, Doing::MachineCheck, at, end);
        let within = |time: Option<u64>, from: u64| time.map_or(from, |time| time.clamp(from, end));
        let met = within(self.met, at);
        self.span(row, Doing::Gate, at, met);
        match self.chosen {
            Some((chosen, owner)) => {
                let chosen = within(Some(chosen), met);
                let recovered = within(self.recovered, chosen);
                self.span(row, Doing::Rounds, met, chosen);
                let doing = if owner == cpu {
                    Doing::Recovery
                } else {
                    Doing::Wait
                };
                self.span(row, doing, chosen, recovered);
                self.span(row, Doing::Leave, recovered, end);
            }
            None => self.span(row, Doing::Rounds, met, end),
        }
        // One that gets no #MC goes on.
        let is_told = self
            .marks
            .iter()
            .rev()
            .take_while(|mark| mark.at >= at)
            .any(|mark| {
                let told = mark.event.number("guest").zip(mark.event.number("vcpu"));
                mark.event.kind == "vmce.posted" && told == vcpu
            });
        if let Some(vcpu) = vcpu.filter(|_| !is_told) {
            self.held.remove(&vcpu);
        }
    }

    fn gone(&mut self, guest: Option<u64>, at: u64) {
        if let Some(guest) = guest
            && let Some(since) = self.up.remove(&guest)
        {
            self.span(Row::Guest(guest), Doing::Guest, since, at);
        }
    }

    fn end(&mut self, at: u64) {
        let up: Vec<_> = self.up.keys().copied().collect();
        up.into_iter().for_each(|guest| self.gone(Some(guest), at));
    }
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
    fn spans_lie_between_the_events_that_bound_them() {
        let story = story(RUN);
        let of = |row: Row| -> Vec<_> {
            let own = story.spans.iter().filter(|span| span.row == row);
            own.map(|span| (span.doing.word(), span.start, span.end))
                .collect()
        };
        assert_eq!(
            of(Row::Processor(1)),
            [
                ("#MC", 120, 180),
                ("gate", 120, 130),
                ("rounds", 130, 150),
                ("recovery", 150, 170),
                ("leave", 170, 180)
            ]
        );
        assert_eq!(
            of(Row::Processor(0))[3..],
            [
                ("wait", 150, 170),
                ("leave", 170, 185),
                ("inject", 185, 190)
            ]
        );
        assert_eq!(
            of(Row::Vcpu(0, 0)),
            [("held", 110, 190), ("handler", 190, 250)]
        );
        assert_eq!(of(Row::Guest(0)), [("guest", 10, 300)]);
        let rows: Vec<_> = story.rows.iter().map(|row| story.name(*row)).collect();
        assert_eq!(rows, ["cpu0", "cpu1", "g0", "g0 vCPU 0"]);
    }

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
