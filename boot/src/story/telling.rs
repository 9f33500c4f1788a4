//! From events to spans.

use std::collections::BTreeMap;

use super::{Doing, Mark, Row, Span};
use crate::log::Event;

/// LMCE_S of MCG_STATUS (SDM vol. 3, "IA32_MCG_STATUS MSR").
const LOCAL: u64 = 1 << 3;

/// A guest's number and its vCPU's.
type Vcpu = (u64, u64);

/// How a machine check goes: everybody's who meet in one rendezvous, or that of a processor alone.
#[derive(Clone, Copy, Debug)]
struct Course {
    /// When they had met. A processor alone: when it came, and later when the one before it was through.
    met: u64,
    /// What those before that do on the way.
    before: Doing,
    /// When it was clear who recovers, and who does.
    chosen: Option<(u64, u64)>,
    /// When that one was done.
    recovered: Option<u64>,
}

/// A processor in a machine check.
#[derive(Clone, Copy, Debug)]
struct Entered {
    at: u64,
    vcpu: Option<Vcpu>,
    /// Place of its course; `None`: it waits for the others.
    course: Option<usize>,
}

/// What was heard so far.
#[derive(Default)]
pub(super) struct Telling {
    spans: Vec<Span>,
    marks: Vec<Mark>,
    /// Which boot of the machine it is, and the last event of it.
    boot: u32,
    last: u64,
    /// By processor.
    entered: BTreeMap<u64, Entered>,
    courses: Vec<Course>,
    /// Since when the machine cannot go on.
    fatal: Option<u64>,
    /// Since when each vCPU that is to get an #MC stands still.
    held: BTreeMap<Vcpu, u64>,
    injected: BTreeMap<Vcpu, u64>,
    /// When each processor left its last machine check, until it enters a vCPU or the next one.
    resumed: BTreeMap<u64, u64>,
    up: BTreeMap<u64, u64>,
}

impl Telling {
    /// What events tell, which come by their times.
    pub(super) fn of(events: &[Event]) -> (Vec<Span>, Vec<Mark>) {
        let mut telling = Self::default();
        for event in events {
            telling.hear(event);
        }
        telling.end_boot(telling.last);
        (telling.spans, telling.marks)
    }

    fn hear(&mut self, event: &Event) {
        let at = event.t.unwrap_or(0);
        if event.boot != self.boot {
            self.end_boot(at);
            self.boot = event.boot;
        }
        self.last = at;
        let number = |field| event.number(field);
        let cpu = number("cpu").unwrap_or(0);
        let guest = number("guest");
        let vcpu = guest.zip(number("vcpu"));
        match event.kind.as_str() {
            "guest.up" => _ = guest.map(|guest| self.up.insert(guest, at)),
            "mc.entered" => self.enter(cpu, at, vcpu, number("mcg_status").unwrap_or(0)),
            "mc.late" => _ = self.alone(cpu),
            "mc.rendezvous" => self.meet(at),
            "mc.worst" => {
                if let Some(course) = self.course(cpu) {
                    // Others may have something left to recover when that one is done.
                    course.chosen.get_or_insert((at, cpu));
                }
            }
            "mc.hit" | "page.retired" | "vmce.posted" => {
                if let Some(course) = self.course(cpu)
                    && course.chosen.is_some_and(|(_, owner)| owner == cpu)
                {
                    course.recovered = Some(at);
                }
            }
            "mc.resumed" => self.leave(cpu, at),
            "mc.fatal" => self.fatal = self.fatal.or(Some(at)),
            "vmce.injected" => _ = vcpu.map(|vcpu| self.inject(cpu, vcpu, at)),
            "vmce.handled" => _ = vcpu.map(|vcpu| self.handled(vcpu, at)),
            "guest.shutdown" | "guest.stopped" => _ = guest.map(|guest| self.gone(guest, at)),
            _ => {}
        }
        self.marks.push(Mark {
            row: row(event, cpu),
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

    fn enter(&mut self, cpu: u64, at: u64, vcpu: Option<Vcpu>, mcg_status: u64) {
        let course = None;
        self.entered.insert(cpu, Entered { at, vcpu, course });
        if mcg_status & LOCAL != 0 {
            self.alone(cpu);
        }
        self.resumed.remove(&cpu);
        if let Some(vcpu) = vcpu {
            self.held.insert(vcpu, at);
        }
    }

    /// All who wait for each other have met.
    fn meet(&mut self, at: u64) {
        let course = Some(self.courses.len());
        self.courses.push(Course {
            met: at,
            before: Doing::Gate,
            chosen: None,
            recovered: None,
        });
        for entered in self.entered.values_mut() {
            entered.course = entered.course.or(course);
        }
    }

    /// A processor handles its machine check by itself: its course.
    fn alone(&mut self, cpu: u64) -> Option<&mut Course> {
        let entered = self.entered.get_mut(&cpu)?;
        let place = self.courses.len();
        entered.course = Some(place);
        self.courses.push(Course {
            met: entered.at,
            before: Doing::Wait,
            chosen: None,
            recovered: None,
        });
        self.courses.get_mut(place)
    }

    /// The course of a processor that is in a machine check.
    fn course(&mut self, cpu: u64) -> Option<&mut Course> {
        match self.entered.get(&cpu)?.course {
            Some(place) => self.courses.get_mut(place),
            None => self.alone(cpu),
        }
    }

    /// A processor is out of its machine check.
    fn leave(&mut self, cpu: u64, end: u64) {
        let Some(entered) = self.entered.remove(&cpu) else {
            return;
        };
        self.resumed.insert(cpu, end);
        self.handling(cpu, &entered, end);
        // Whoever is still about to choose was behind this one.
        for place in self.entered.values().filter_map(|entered| entered.course) {
            let course = &mut self.courses[place];
            if course.before == Doing::Wait && course.chosen.is_none() {
                course.met = end;
            }
        }
        if let Some(vcpu) = entered.vcpu.filter(|vcpu| !self.is_told(*vcpu, entered.at)) {
            self.held.remove(&vcpu);
        }
    }

    /// What a processor did in a machine check.
    fn handling(&mut self, cpu: u64, entered: &Entered, end: u64) {
        let Entered { at, course, .. } = *entered;
        let row = Row::Processor(cpu);
        self.span(row, Doing::MachineCheck, at, end);
        let over = self.fatal.map_or(end, |fatal| fatal.clamp(at, end));
        let within = |time: u64, from: u64| time.clamp(from, over);
        match course.map(|place| self.courses[place]) {
            None => self.span(row, Doing::Gate, at, over),
            Some(course) => {
                let met = within(course.met, at);
                self.span(row, course.before, at, met);
                let Some((chosen, owner)) = course.chosen else {
                    self.span(row, Doing::Rounds, met, over);
                    return self.span(row, Doing::Fatal, over, end);
                };
                let chosen = within(chosen, met);
                let recovered = course.recovered.map_or(chosen, |time| within(time, chosen));
                self.span(row, Doing::Rounds, met, chosen);
                let doing = if owner == cpu {
                    Doing::Recovery
                } else {
                    Doing::Wait
                };
                self.span(row, doing, chosen, recovered);
                self.span(row, Doing::Leave, recovered, over);
            }
        }
        self.span(row, Doing::Fatal, over, end);
    }

    /// Whether a vCPU that an #MC has interrupted then runs nothing until it gets one, or ends: what does not concern it now lets it go on.
    fn is_told(&self, vcpu: Vcpu, since: u64) -> bool {
        const GOES_ON: [&str; 4] = ["deferred", "not-started", "reset", "ended"];
        let marks = self.marks.iter().rev();
        marks.take_while(|mark| mark.at >= since).any(|mark| {
            let event = &mark.event;
            let told = event.number("guest").zip(event.number("vcpu"));
            let outcome = event.get("outcome").map(ToString::to_string);
            event.kind == "vmce.posted"
                && told == Some(vcpu)
                && outcome.is_some_and(|outcome| !GOES_ON.contains(&outcome.as_str()))
        })
    }

    fn inject(&mut self, cpu: u64, vcpu: Vcpu, at: u64) {
        let resumed = self.resumed.remove(&cpu);
        if let Some(since) = self.held.remove(&vcpu) {
            self.span(Row::Vcpu(vcpu.0, vcpu.1), Doing::Held, since, at);
            // Of one that was not running others' turns lie between.
            let resumed = resumed.unwrap_or(at);
            self.span(Row::Processor(cpu), Doing::Injection, resumed, at);
        }
        self.injected.insert(vcpu, at);
    }

    fn handled(&mut self, vcpu: Vcpu, at: u64) {
        if let Some(since) = self.injected.remove(&vcpu) {
            self.span(Row::Vcpu(vcpu.0, vcpu.1), Doing::Handler, since, at);
        }
    }

    /// A guest has ended, whatever its vCPUs were doing.
    fn gone(&mut self, guest: u64, at: u64) {
        let own = (guest, 0)..=(guest, u64::MAX);
        for ((_, vcpu), since) in self
            .held
            .extract_if(own.clone(), |_, _| true)
            .collect::<Vec<_>>()
        {
            self.span(Row::Vcpu(guest, vcpu), Doing::Held, since, at);
        }
        for ((_, vcpu), since) in self
            .injected
            .extract_if(own, |_, _| true)
            .collect::<Vec<_>>()
        {
            self.span(Row::Vcpu(guest, vcpu), Doing::Handler, since, at);
        }
        if let Some(since) = self.up.remove(&guest) {
            self.span(Row::Guest(guest), Doing::Guest, since, at);
        }
    }

    /// The machine has been reset, or nothing more is heard: whatever went on is over. `next`: the first event of the next boot.
    fn end_boot(&mut self, next: u64) {
        let (over, end) = match self.fatal {
            Some(fatal) => (fatal, next),
            None => (self.last, self.last),
        };
        let guests: Vec<_> = self.up.keys().copied().collect();
        for guest in guests {
            self.gone(guest, over);
        }
        for (cpu, entered) in std::mem::take(&mut self.entered) {
            self.handling(cpu, &entered, end);
        }
        self.courses.clear();
        self.held.clear();
        self.injected.clear();
        self.resumed.clear();
        self.fatal = None;
    }
}

/// Whose mark an event is: the engine's events are the processor's, what a vCPU does is its own.
fn row(event: &Event, cpu: u64) -> Row {
    let guest = event.number("guest");
    match (event.kind.as_str(), guest, guest.zip(event.number("vcpu"))) {
        (kind, Some(guest), _) if kind.starts_with("page.") || kind == "mc.hit" => {
            Row::Guest(guest)
        }
        (kind, _, _) if kind.starts_with("mc.") || kind.starts_with("fault.") => {
            Row::Processor(event.number("target").unwrap_or(cpu))
        }
        (_, _, Some((guest, vcpu))) => Row::Vcpu(guest, vcpu),
        (_, Some(guest), None) => Row::Guest(guest),
        (_, None, _) => Row::Processor(cpu),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Story;
    use super::super::tests::{RUN, story};
    use super::*;

    /// A row's spans: word, start, end.
    fn of(story: &Story, row: Row) -> Vec<(&'static str, u64, u64)> {
        let own = story.spans.iter().filter(|span| span.row == row);
        own.map(|span| (span.doing.word(), span.start, span.end))
            .collect()
    }

    #[test]
    fn spans_lie_between_the_events_that_bound_them() {
        let story = story(RUN);
        let of = |row| of(&story, row);
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
    fn local_ones_that_overlap_are_each_processors_own() {
        // Processor 1 has the turn first; 2 comes beside both, with the next rendezvous, which is that of 2 and 3.
        let story = story(
            "100 mc.entered cpu=0 context=guest guest=0 vcpu=0 mcg_status=0xd
            105 mc.entered cpu=1 context=guest guest=1 vcpu=0 mcg_status=0xf
            110 mc.bank cpu=1 bank=1 class=srar code=data-load status=0x1 addr=0 misc=0
            120 mc.worst cpu=1 class=srar owner=1
            125 mc.entered cpu=2 context=hypervisor mcg_status=0x5
            130 mc.hit cpu=1 owner=guest guest=1 gpa=0x1000 hpa=0x2000 pages=1
            131 mc.entered cpu=3 context=hypervisor mcg_status=0x5
            132 mc.rendezvous cpu=3 expected=2 arrived=2 ticks=7
            140 vmce.posted cpu=1 guest=1 vcpu=0 outcome=local
            150 mc.resumed cpu=1
            155 vmce.injected cpu=1 guest=1 vcpu=0 mcg_status=0xf record=no
            160 mc.worst cpu=0 class=srao owner=0
            165 mc.worst cpu=2 class=ucna owner=2
            170 vmce.posted cpu=0 guest=0 vcpu=0 outcome=deferred
            180 mc.resumed cpu=0
            185 mc.resumed cpu=2
            186 mc.resumed cpu=3
            190 vmce.handled cpu=1 guest=1 vcpu=0",
        );
        assert_eq!(
            of(&story, Row::Processor(0)),
            [
                ("#MC", 100, 180),
                ("wait", 100, 150),
                ("rounds", 150, 160),
                ("recovery", 160, 170),
                ("leave", 170, 180)
            ]
        );
        assert_eq!(
            of(&story, Row::Processor(1)),
            [
                ("#MC", 105, 150),
                ("rounds", 105, 120),
                ("recovery", 120, 140),
                ("leave", 140, 150),
                ("inject", 150, 155)
            ]
        );
        assert_eq!(
            of(&story, Row::Processor(3)),
            [
                ("#MC", 131, 186),
                ("gate", 131, 132),
                ("rounds", 132, 165),
                ("leave", 165, 186)
            ]
        );
        assert_eq!(
            of(&story, Row::Vcpu(1, 0)),
            [("held", 105, 155), ("handler", 155, 190)]
        );
        // What is deferred lets it go on.
        assert_eq!(of(&story, Row::Vcpu(0, 0)), []);
    }

    #[test]
    fn a_fatal_one_ends_what_goes_on_and_the_next_boot_begins_anew() {
        let in_boot = |boot, text: &str| {
            let event = |line: &str| {
                let (t, text) = line.trim().split_once(' ').unwrap();
                let event = Event::parse(text, t.parse().ok(), crate::log::Level::Info);
                Event { boot, ..event }
            };
            text.lines().map(event).collect::<Vec<_>>()
        };
        let first = in_boot(
            1,
            "10 guest.up cpu=0 guest=0 name=g0 vcpus=2 memory=2 interface=a@1
            90 vmce.injected cpu=1 guest=0 vcpu=1 mcg_status=0x5 record=no
            100 mc.entered cpu=1 context=hypervisor mcg_status=0x4
            110 mc.entered cpu=0 context=guest guest=0 vcpu=0 mcg_status=0x5
            120 mc.rendezvous cpu=1 expected=2 arrived=2 ticks=20
            130 mc.bank cpu=1 bank=1 class=fatal code=bus-interconnect status=0x1 addr=0 misc=0
            140 mc.fatal cpu=1 reason=bank",
        );
        let second = in_boot(
            2,
            "500 hypervisor.boot cpu=0 version=1 memory=1
            510 mc.earlier cpu=1 bank=1 code=bus-interconnect status=0x1 addr=0 misc=0
            520 guest.up cpu=0 guest=0 name=g0 vcpus=1 memory=2 interface=a@1
            530 mc.entered cpu=0 context=hypervisor mcg_status=0x5
            535 mc.entered cpu=1 context=hypervisor mcg_status=0x5
            540 mc.rendezvous cpu=1 expected=2 arrived=2 ticks=5
            550 mc.worst cpu=0 class=none owner=0
            560 mc.resumed cpu=0
            561 mc.resumed cpu=1
            600 guest.shutdown cpu=0 guest=0 code=0",
        );
        let story = Story::of(&[first, second].concat(), &["g0".to_owned()]);
        let of = |row| of(&story, row);
        assert_eq!(
            of(Row::Processor(0))[..4],
            [
                ("#MC", 110, 500),
                ("gate", 110, 120),
                ("rounds", 120, 140),
                ("fatal", 140, 500)
            ]
        );
        assert_eq!(
            of(Row::Processor(1)),
            [
                ("#MC", 100, 500),
                ("gate", 100, 120),
                ("rounds", 120, 140),
                ("fatal", 140, 500),
                ("#MC", 535, 561),
                ("gate", 535, 540),
                ("rounds", 540, 550),
                ("leave", 550, 561)
            ]
        );
        assert_eq!(of(Row::Guest(0)), [("guest", 10, 140), ("guest", 520, 600)]);
        assert_eq!(of(Row::Vcpu(0, 0)), [("held", 110, 140)]);
        assert_eq!(of(Row::Vcpu(0, 1)), [("handler", 90, 140)]);
    }
}
