//! `cargo boot bench`: what common accesses cost a guest, in instructions.

use super::Answer;
use super::cli::RunOptions;
use super::run::{close, execute, put};
use crate::error::Result;
use crate::log::Event;
use crate::scenario::Scenario;
use crate::workspace::Workspace;

/// A measurement: instructions, by the time stamp counter.
struct Row {
    measured: &'static Measured,
    minimum: u64,
    median: u64,
    worst: u64,
}

/// What is measured, and what Xen 4.17 and Linux 6.1's KVM take for it, counted the same way.
struct Measured {
    /// The scenario whose guest measures it.
    scenario: &'static str,
    /// What the guest calls it.
    guest: &'static str,
    name: &'static str,
    words: &'static str,
    xen: Option<u64>,
    kvm: Option<u64>,
}

/// One processor: with more, the emulated counter has a grain of 5 instructions.
const ONE: &str = "bench";
const TWO: &str = "bench-two-processors";

const fn one(
    name: &'static str,
    words: &'static str,
    xen: Option<u64>,
    kvm: Option<u64>,
) -> Measured {
    Measured {
        scenario: ONE,
        guest: name,
        name,
        words,
        xen,
        kvm,
    }
}

const fn two(
    guest: &'static str,
    name: &'static str,
    words: &'static str,
    xen: Option<u64>,
) -> Measured {
    Measured {
        scenario: TWO,
        guest,
        name,
        words,
        xen,
        kvm: None,
    }
}

const MEASURED: [Measured; 8] = [
    one("rdmsr-mcg-cap", "RDMSR of MCG_CAP", Some(822), Some(1082)),
    one(
        "rdmsr-mc1-status",
        "RDMSR of MC1_STATUS",
        Some(845),
        Some(1097),
    ),
    one(
        "rdmsr-slowest",
        "RDMSR, the slowest of the interface",
        None,
        None,
    ),
    one(
        "wrmsr-mc1-status-0",
        "WRMSR of 0 to MC1_STATUS",
        Some(869),
        Some(1136),
    ),
    one("cpuid-0", "CPUID leaf 0", Some(873), Some(966)),
    // Xen's from its own injection hypercall. KVM's is the injection alone, without any host handling.
    one(
        "machine-check",
        "#MC to the guest's handler",
        Some(6387),
        Some(3049),
    ),
    two(
        "machine-check",
        "machine-check-two-processors",
        "the same, 2 processors, vCPU 0",
        None,
    ),
    two(
        "machine-check-last-vcpu",
        "machine-check-last-vcpu",
        "the same, 2 processors, last vCPU",
        Some(11608),
    ),
];

/// Runs the measurements and shows them.
///
/// # Errors
/// What keeps them from being run.
pub fn bench(options: &RunOptions) -> Result<Answer> {
    let workspace = Workspace::find()?;
    let mut rows = Vec::new();
    let mut answer = Answer::Yes;
    for name in [ONE, TWO] {
        let scenario = Scenario::named(&workspace.root, name)?;
        let (verdict, followed) = execute(&workspace, &scenario, options, |_| None)?;
        rows.extend(followed.events.iter().filter_map(|event| row(name, event)));
        if close(&scenario, &verdict, &followed)? == Answer::No {
            answer = Answer::No;
        }
    }
    if options.json {
        rows.iter().for_each(|row| put(&json(row)));
    } else {
        table(&rows).iter().for_each(|line| put(line));
    }
    Ok(answer)
}

/// Reads `bench NAME MINIMUM MEDIAN WORST` on a guest's console, where that is what this scenario is to measure.
fn row(scenario: &str, event: &Event) -> Option<Row> {
    if event.kind != "guest.console" {
        return None;
    }
    let text = event.get("text")?.to_string();
    let words: Vec<_> = text.split_whitespace().collect();
    let ["bench", name, minimum, median, worst] = words[..] else {
        return None;
    };
    let measured = MEASURED
        .iter()
        .find(|measured| measured.scenario == scenario && measured.guest == name)?;
    Some(Row {
        measured,
        minimum: minimum.parse().ok()?,
        median: median.parse().ok()?,
        worst: worst.parse().ok()?,
    })
}

fn json(row: &Row) -> String {
    let Row {
        measured,
        minimum,
        median,
        worst,
    } = row;
    serde_json::json!({"name": measured.name, "minimum": minimum, "median": median, "worst": worst})
        .to_string()
}

fn table(rows: &[Row]) -> Vec<String> {
    let line = |name: &str, numbers: [&str; 5]| {
        let [minimum, median, worst, xen, kvm] = numbers;
        format!("{name:<36}{minimum:>9}{median:>9}{worst:>9}{xen:>12}{kvm:>12}")
    };
    let mut lines = vec![line(
        "instructions",
        ["minimum", "median", "worst", "Xen 4.17", "KVM 6.1"],
    )];
    for row in rows {
        let other = |number: Option<u64>| {
            number.map_or_else(|| "-".to_owned(), |number| number.to_string())
        };
        let numbers = [
            row.minimum.to_string(),
            row.median.to_string(),
            row.worst.to_string(),
            other(row.measured.xen),
            other(row.measured.kvm),
        ];
        lines.push(line(
            row.measured.words,
            numbers.each_ref().map(String::as_str),
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Level;

    fn console(scenario: &str, text: &str) -> Option<Row> {
        let text = format!("guest.console cpu=0 guest=0 text={text}");
        row(scenario, &Event::parse(&text, None, Level::Info))
    }

    #[test]
    fn a_console_line_becomes_a_row() {
        let row = console(ONE, "bench rdmsr-mcg-cap 10 12 400").unwrap();
        assert_eq!(
            json(&row),
            r#"{"name":"rdmsr-mcg-cap","minimum":10,"median":12,"worst":400}"#
        );
        let table = table(&[row]);
        let cells: Vec<_> = table[1].split_whitespace().collect();
        assert_eq!(
            cells,
            ["RDMSR", "of", "MCG_CAP", "10", "12", "400", "822", "1082"]
        );
    }

    #[test]
    fn each_scenario_gives_its_own_rows() {
        let two = console(TWO, "bench machine-check 1 2 3").unwrap();
        assert_eq!(two.measured.name, "machine-check-two-processors");
        for (scenario, text) in [
            (TWO, "bench cpuid-0 1 2 3"),
            (ONE, "bench x 1 2 3"),
            (ONE, "bench cpuid-0 1 2"),
            (ONE, "a b c d e"),
        ] {
            assert!(console(scenario, text).is_none(), "{text}");
        }
    }
}
