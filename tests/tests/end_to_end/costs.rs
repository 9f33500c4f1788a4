//! What accesses and machine checks cost, in instructions: a regression fails here.

use std::collections::BTreeMap;

use boot::command::bench_machines::{self, Cost};
use boot::log::Event;
use boot::run::Verdict;
use boot::scenario::Known;

use super::{BOCHS, boot, console, met, workspace};

/// The medians of `bench NAME MINIMUM MEDIAN WORST` on the console.
fn medians(events: &[Event]) -> BTreeMap<String, u64> {
    let lines = console(events);
    let rows = lines.iter().filter_map(|line| line.strip_prefix("bench "));
    rows.map(|row| {
        let words: Vec<_> = row.split(' ').collect();
        (words[0].to_owned(), words[2].parse().unwrap())
    })
    .collect()
}

/// What an access costs a guest at most, in instructions.
const ACCESSES: [(&str, u64); 5] = [
    ("rdmsr-mcg-cap", 85),
    ("rdmsr-mc1-status", 90),
    ("rdmsr-slowest", 90),
    ("wrmsr-mc1-status-0", 100),
    ("cpuid-0", 100),
];

fn check(name: &str, limits: impl IntoIterator<Item = (&'static str, u64)>) {
    let medians = medians(&met(name, &BOCHS));
    for (what, most) in limits {
        let is = medians[what];
        assert!(
            (1..=most).contains(&is),
            "{what} takes {is}, at most {most}"
        );
    }
}

#[test]
fn bench() {
    check(
        "bench",
        ACCESSES.into_iter().chain([("machine-check", 1520)]),
    );
}

/// The image without the injector costs a guest no more. With two processors a tick is 5 instructions.
#[test]
fn production() {
    check("production", ACCESSES);
}

/// The cost of a machine check is linear in banks, the same for the first page of a 2 MiB as for others, and does not depend on other
/// guests or the guest's memory. docs/measurements.md has more machines.
#[test]
fn bench_on_other_machines() {
    let known = Known::of(&workspace().root);
    let cost_of = |machine: bench_machines::Machine| -> Cost {
        let (verdict, followed) = boot(&machine.scenario(&known).unwrap(), &BOCHS);
        assert_eq!(verdict, Verdict::Met, "{machine:?}");
        bench_machines::cost(&followed.events).unwrap()
    };
    let machine = |processors, banks, guests, memory| bench_machines::Machine {
        processors,
        banks,
        guests,
        memory,
        busy: false,
        split: false,
    };
    let cost =
        |processors, banks, guests, memory| cost_of(machine(processors, banks, guests, memory));
    let base = cost(1, 2, 1, 16);
    assert!((1..=1500).contains(&base.median), "{base:?}");
    assert!(base.worst <= base.median + 20, "{base:?}");
    let [four, eight] = [4, 8].map(|banks| cost(1, banks, 1, 16).median);
    let bank = (four - base.median) / 2;
    assert!((1..=40).contains(&bank), "{bank} for a bank");
    assert_eq!(eight, base.median + 6 * bank);
    assert_eq!(cost(1, 2, 1, 64), base, "memory");
    let two = cost(2, 2, 1, 16);
    assert!((1..=1500).contains(&two.median), "{two:?}");
    // Another guest halts on a processor: that this is looked at once more is all that it costs.
    let more = cost(2, 2, 3, 16);
    assert!(more.median.abs_diff(two.median) <= 100, "{more:?} {two:?}");
    // Each error the first in its 2 MiB.
    let split = cost_of(bench_machines::Machine {
        split: true,
        ..machine(1, 2, 1, 224)
    });
    assert!(
        split.worst.abs_diff(base.median) <= 20,
        "{split:?} {base:?}"
    );
    // The others compute: now and then the vCPU that is hit waits for its turn on the other processor.
    let busy = cost_of(bench_machines::Machine {
        busy: true,
        ..machine(2, 2, 4, 16)
    });
    assert!(busy.median.abs_diff(two.median) <= 100, "{busy:?} {two:?}");
    assert!((two.worst + 100..=2300).contains(&busy.worst), "{busy:?}");
}

/// Both vCPUs' handlers are timed, so each error reaches both.
#[test]
fn bench_on_two_processors() {
    let events = met("bench-two-processors", &BOCHS);
    let row = |name: &str| -> Vec<u64> {
        let lines = console(&events);
        let mut rows = lines.iter().filter_map(|line| line.strip_prefix(name));
        let row = rows.next().unwrap_or_else(|| panic!("no {name}"));
        row.split(' ')
            .map(|number| number.parse().unwrap())
            .collect()
    };
    let first = row("bench machine-check ");
    let last = row("bench machine-check-last-vcpu ");
    assert!(first.is_sorted() && last.is_sorted());
    assert!(
        first.iter().zip(&last).all(|(first, last)| first <= last),
        "{first:?} {last:?}"
    );
}
