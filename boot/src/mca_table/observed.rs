//! What a machine did, by its events.

use super::row::Record;
use crate::log::Event;

/// What came of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was raised and is over.
    Over(Observed),
    /// QEMU would not raise it.
    NotRaised(String),
    /// It was not over in time; what was seen by then.
    Stuck(Observed),
}

/// What a machine did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Records of errors, as they were logged when they were met.
    pub records: Vec<Record>,
    /// Records that the boot after a reset found.
    pub earlier: Vec<Record>,
    /// What made them known.
    pub by_poll: bool,
    /// The class of the worst, and the processors that recovered.
    pub worst: Vec<(String, u16)>,
    /// Pages that went out of use.
    pub retired: Vec<u64>,
    /// Pages of the hypervisor that were hit.
    pub host_pages: Vec<u64>,
    /// Processors that did not come.
    pub missing: Vec<u16>,
    /// Processors that came late.
    pub late: Vec<u16>,
    /// Rendezvous that were held.
    pub rendezvous: usize,
    /// Processors that left the machine check.
    pub resumed: usize,
    /// Why the machine was reset.
    pub reset: Option<String>,
    /// The machine began anew.
    pub restarted: bool,
    /// Log frames that could not be decoded.
    pub undecodable: usize,
    /// What must never be seen.
    pub wrong: Vec<String>,
}

/// Events that belong to no row of any table.
const NEVER: [&str; 6] = [
    "hypervisor.exception",
    "hypervisor.panic",
    "page.unflushed",
    "records.lost",
    "processor.missing",
    "machine.unsupported",
];

impl Observed {
    /// Takes an event.
    pub fn take(&mut self, event: &Event) {
        let number = |field| event.number(field).unwrap_or_default();
        let short = |field| u16::try_from(number(field)).unwrap_or(u16::MAX);
        match event.kind.as_str() {
            "mc.bank" => self.records.push(record(event)),
            "mc.corrected" | "mc.uncorrected" => {
                self.by_poll = true;
                self.records.push(record(event));
            }
            "mc.earlier" => self.earlier.push(record(event)),
            "mc.rendezvous" => self.rendezvous += 1,
            "mc.worst" => self.worst.push((text(event, "class"), short("owner"))),
            "mc.missing" => self.missing.push(short("processor")),
            "mc.late" => self.late.push(short("cpu")),
            "mc.resumed" => self.resumed += 1,
            "mc.fatal" => self.reset = Some(text(event, "reason")),
            // Pages side by side are told together.
            "page.retired" => {
                let pages = 0..event.number("pages").unwrap_or(1);
                self.retired
                    .extend(pages.map(|page| number("hpa").wrapping_add(page << 12)));
            }
            "mc.hit" if text(event, "owner") == "hypervisor" => {
                self.host_pages.push(number("hpa"));
            }
            kind if NEVER.contains(&kind) => self.wrong.push(event.to_string()),
            _ => {}
        }
    }
}

fn record(event: &Event) -> Record {
    let number = |field| event.number(field).unwrap_or_default();
    let class = match event.kind.as_str() {
        "mc.corrected" => "corrected".to_owned(),
        "mc.uncorrected" => "ucna".to_owned(),
        _ => text(event, "class"),
    };
    Record {
        cpu: u16::try_from(number("cpu")).unwrap_or(u16::MAX),
        bank: u8::try_from(number("bank")).unwrap_or(u8::MAX),
        class,
        code: text(event, "code"),
        status: event.number("status"),
        addr: number("addr"),
        misc: number("misc"),
        count: event.number("count"),
    }
}

fn text(event: &Event, field: &str) -> String {
    event
        .get(field)
        .map(ToString::to_string)
        .unwrap_or_default()
}
