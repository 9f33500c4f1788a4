//! Whether what a machine did is what a row says.

use super::observed::{Observed, Outcome};
use super::row::{Action, Record, Row};

/// Each difference, as `expected ..., got ...`; none where the row holds.
pub fn judge(row: &Row, outcome: &Outcome) -> Vec<String> {
    let observed = match outcome {
        Outcome::Over(observed) => observed,
        Outcome::NotRaised(said) => return vec![format!("QEMU does not raise it: {said}")],
        Outcome::Stuck(observed) => {
            let mut said = vec!["expected an end, got none in time".to_owned()];
            said.extend(differences(row, observed));
            return said;
        }
    };
    differences(row, observed)
}

fn differences(row: &Row, observed: &Observed) -> Vec<String> {
    let mut said = Vec::new();
    let mut same = |what: &str, expected: String, got: String| {
        if expected != got {
            said.push(format!("{what}: expected {expected}, got {got}"));
        }
    };
    same("action", action_wanted(row), action(observed));
    let wanted = row.wanted();
    if row.action == Action::Reset {
        // Classes are words of the first boot; of the second the banks' own words count.
        same(
            "records of the next boot",
            list(&wanted, Record::without_class),
            list(&observed.earlier, Record::without_class),
        );
        // Before a reset every processor says what it sees, as far as it comes to it: what is said must be right, and
        // somebody must say it.
        let strange: Vec<_> = observed
            .records
            .iter()
            .filter(|record| !wanted.contains(record))
            .cloned()
            .collect();
        same(
            "strange records",
            "none".into(),
            list(&strange, Record::whole),
        );
        same(
            "a record of the worst",
            "yes".into(),
            yes(observed
                .records
                .iter()
                .any(|record| row.records.contains_place(record))),
        );
    } else {
        same(
            "records",
            list(&wanted, Record::whole),
            list(&counted(row, &observed.records), Record::whole),
        );
        same(
            "frames that cannot be decoded",
            "0".into(),
            observed.undecodable.to_string(),
        );
        same(
            "records of a next boot",
            "none".into(),
            list(&observed.earlier, Record::whole),
        );
        same(
            "recovering processors",
            worst_wanted(row, &wanted, observed),
            worst(observed),
        );
        same(
            "processors that go on",
            row.told().len().to_string(),
            observed.resumed.to_string(),
        );
    }
    same(
        "pages out of use",
        pages(wanted_pages(row, Action::Page)),
        pages(&observed.retired),
    );
    same(
        "pages of the hypervisor",
        pages(wanted_pages(row, Action::HostPage)),
        pages(&observed.host_pages),
    );
    same(
        "missing processors",
        format!("{:?}", row.missing),
        format!("{:?}", observed.missing),
    );
    same(
        "late processors",
        format!("{:?}", row.late),
        format!("{:?}", observed.late),
    );
    if row.is_alone() {
        same("rendezvous", "0".into(), observed.rendezvous.to_string());
    }
    for wrong in &observed.wrong {
        said.push(format!("never expected: {wrong}"));
    }
    said
}

/// The records without their counts where the row does not ask for them.
fn counted(row: &Row, records: &[Record]) -> Vec<Record> {
    let asked = row.records.iter().any(|record| record.count.is_some());
    let mut records = records.to_vec();
    if !asked {
        records.iter_mut().for_each(|record| record.count = None);
    }
    records
}

fn wanted_pages(row: &Row, action: Action) -> &[u64] {
    if row.action == action {
        &row.pages
    } else {
        &[]
    }
}

fn action_wanted(row: &Row) -> String {
    match &row.reason {
        Some(reason) => format!("reset ({reason})"),
        None => row.action.word().to_owned(),
    }
}

/// What was done, in the words of a row.
pub fn action(observed: &Observed) -> String {
    if let Some(reason) = &observed.reset {
        return format!("reset ({reason})");
    }
    let action = if observed.restarted {
        return "reset (nobody says why)".into();
    } else if !observed.retired.is_empty() {
        Action::Page
    } else if !observed.host_pages.is_empty() {
        Action::HostPage
    } else if observed.by_poll && observed.records.iter().any(|record| record.count.is_some()) {
        Action::Count
    } else if observed.by_poll {
        Action::Found
    } else {
        Action::Log
    };
    action.word().to_owned()
}

/// From harmless to fatal.
const CLASSES: [&str; 7] = [
    "none",
    "corrected",
    "spurious",
    "ucna",
    "srao",
    "srar",
    "fatal",
];

fn rank(class: &str) -> usize {
    CLASSES
        .iter()
        .position(|word| *word == class)
        .unwrap_or(CLASSES.len())
}

/// The most severe class of some records.
pub fn worst_class(records: &[Record]) -> &str {
    let classes = records.iter().map(|record| record.class.as_str());
    classes.max_by_key(|class| rank(class)).unwrap_or("none")
}

/// One processor recovers: one of those that own the worst. Alone, each does.
fn worst_wanted(row: &Row, wanted: &[Record], observed: &Observed) -> String {
    if row.told().is_empty() {
        return "none".into();
    }
    let class = worst_class(wanted);
    let owns = |cpu: u16, class: &str| {
        wanted
            .iter()
            .any(|record| record.cpu == cpu && record.class == class)
    };
    if row.is_alone() {
        let each = row.told().into_iter().map(|cpu| {
            let own: Vec<_> = wanted
                .iter()
                .filter(|record| record.cpu == cpu)
                .cloned()
                .collect();
            (worst_class(&own).to_owned(), cpu)
        });
        return shown(each.collect());
    }
    match observed.worst.as_slice() {
        [(_, owner)] if owns(*owner, class) => shown(vec![(class.to_owned(), *owner)]),
        _ => {
            let owner = wanted.iter().find(|record| record.class == class);
            shown(vec![(
                class.to_owned(),
                owner.map_or(0, |record| record.cpu),
            )])
        }
    }
}

fn worst(observed: &Observed) -> String {
    if observed.worst.is_empty() {
        return "none".into();
    }
    shown(observed.worst.clone())
}

fn shown(mut worst: Vec<(String, u16)>) -> String {
    worst.sort_by_key(|(_, cpu)| *cpu);
    let each: Vec<_> = worst
        .iter()
        .map(|(class, cpu)| format!("cpu{cpu} ({class})"))
        .collect();
    each.join(", ")
}

fn list(records: &[Record], show: impl Fn(&Record) -> String) -> String {
    let mut lines: Vec<_> = records.iter().map(show).collect();
    lines.sort();
    if lines.is_empty() {
        "none".into()
    } else {
        lines.join("; ")
    }
}

fn pages(pages: &[u64]) -> String {
    let mut pages = pages.to_vec();
    pages.sort_unstable();
    let each: Vec<_> = pages.iter().map(|page| format!("{page:#x}")).collect();
    if each.is_empty() {
        "none".into()
    } else {
        each.join(" ")
    }
}

fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

trait Places {
    /// Whether one of the records is of that bank and class.
    fn contains_place(&self, record: &Record) -> bool;
}

impl Places for Vec<Record> {
    fn contains_place(&self, record: &Record) -> bool {
        self.iter()
            .any(|own| (own.cpu, own.bank, &own.class) == (record.cpu, record.bank, &record.class))
    }
}

impl Record {
    fn without_class(&self) -> String {
        let Self {
            cpu,
            bank,
            code,
            addr,
            misc,
            ..
        } = self;
        let status = self.status.unwrap_or_default();
        format!("cpu{cpu} bank {bank} {code} {status:#x} addr={addr:#x} misc={misc:#x}")
    }

    fn whole(&self) -> String {
        let count = self
            .count
            .map_or_else(String::new, |count| format!(" count={count}"));
        format!("{} {}{count}", self.class, self.without_class())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::row::parse;
    use super::*;
    use crate::log::{Event, Level};
    use crate::scenario::Known;

    const ROW: &str = "[[row]]\ntitle = 't'\nprocessors = 2\naction = 'page'\npages = [0x5000000]\n\
        raise = [{ status = 0xbd000000000000cf, mcg_status = 5, addr = 0x5000000, misc = 0x8c, broadcast = true }]\n\
        records = [{ class = 'srao', code = 'memory-scrub', addr = 0x5000000, misc = 0x8c }]\n";

    const SEEN: [&str; 6] = [
        "mc.bank cpu=0 bank=4 class=srao code=memory-scrub status=0xbd000000000000cf addr=0x5000000 misc=0x8c",
        "mc.bank cpu=1 bank=1 class=spurious code=none status=0xa000000000000000 addr=0 misc=0",
        "mc.worst cpu=0 class=srao owner=0",
        "page.retired cpu=0 hpa=0x5000000 owner=free",
        "mc.resumed cpu=0",
        "mc.resumed cpu=1",
    ];

    fn said(row: &str, seen: &[&str]) -> Vec<String> {
        let rows = parse(Path::new("t.toml"), row, &Known::default()).unwrap();
        let mut observed = Observed::default();
        for line in seen {
            observed.take(&Event::parse(line, Some(1), Level::Info));
        }
        judge(&rows[0], &Outcome::Over(observed))
    }

    #[test]
    fn a_row_holds_when_everything_came_and_nothing_else() {
        assert_eq!(said(ROW, &SEEN), [""; 0]);
        for (left_out, line) in SEEN.iter().enumerate() {
            let mut less = SEEN.to_vec();
            less.remove(left_out);
            assert!(!said(ROW, &less).is_empty(), "without {line}");
        }
        for more in [
            SEEN[0],
            "mc.corrected cpu=0 bank=2 code=none status=0x8000000000000000 addr=0 misc=0 count=1",
            "mc.earlier cpu=0 bank=2 code=none status=0x8000000000000000 addr=0 misc=0",
            "mc.worst cpu=1 class=srao owner=1",
            "mc.missing cpu=0 processor=1",
            "mc.late cpu=1",
            "mc.fatal cpu=0 reason=bank",
            "page.retired cpu=0 hpa=0x5001000 owner=free",
            "mc.hit cpu=0 owner=hypervisor hpa=0x100000",
            "records.lost cpu=0 count=1",
        ] {
            let mut seen = SEEN.to_vec();
            seen.push(more);
            assert!(!said(ROW, &seen).is_empty(), "with {more}");
        }
    }

    #[test]
    fn a_difference_says_what_was_expected_and_what_came() {
        let mut seen = SEEN;
        seen[2] = "mc.worst cpu=1 class=srao owner=1";
        assert_eq!(
            said(ROW, &seen),
            ["recovering processors: expected cpu0 (srao), got cpu1 (srao)"]
        );
    }

    #[test]
    fn a_reset_is_judged_by_what_the_next_boot_finds() {
        let row = ROW
            .replace("'page'\npages = [0x5000000]", "'reset'\nreason = 'bank'")
            .replace("'srao'", "'fatal'");
        let first = SEEN[0].replace("srao", "fatal");
        let (own, other) = (SEEN[0], SEEN[1]);
        let earlier = |line: &str| {
            let line = line.replace("mc.bank", "mc.earlier");
            line.split(' ')
                .filter(|word| !word.starts_with("class="))
                .collect::<Vec<_>>()
                .join(" ")
        };
        let (own, other) = (earlier(own), earlier(other));
        let seen = [&first, "mc.fatal cpu=0 reason=bank", &own, &other];
        assert_eq!(said(&row, &seen), [""; 0]);
        assert!(
            !said(&row, &seen[1..]).is_empty(),
            "nobody says what was fatal"
        );
        assert!(!said(&row, &seen[..3]).is_empty(), "a bank was not intact");
        let why = ["mc.fatal cpu=0 reason=no-bank", &first, &own, &other];
        assert_eq!(
            said(&row, &why),
            ["action: expected reset (bank), got reset (no-bank)"]
        );
    }
}
