//! `cargo boot bench`: what common accesses cost a guest, in instructions.

use super::Answer;
use super::cli::RunOptions;
use super::run::{close, execute, put};
use crate::error::Result;
use crate::log::Event;
use crate::scenario::Scenario;
use crate::workspace::Workspace;

/// The scenario whose guest measures.
const SCENARIO: &str = "bench";

/// A measurement: instructions, by the time stamp counter.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    name: String,
    minimum: u64,
    median: u64,
    worst: u64,
}

/// What is measured: its name, what that is, and what Xen 4.17 and Linux 6.1's KVM take for it, counted the same way.
struct Measured {
    name: &'static str,
    words: &'static str,
    xen: Option<u64>,
    kvm: Option<u64>,
}

const fn measured(
    name: &'static str,
    words: &'static str,
    xen: Option<u64>,
    kvm: Option<u64>,
) -> Measured {
    Measured {
        name,
        words,
        xen,
        kvm,
    }
}

const MEASURED: [Measured; 7] = [
    measured("rdmsr-mcg-cap", "RDMSR of MCG_CAP", Some(822), Some(1082)),
    measured(
        "rdmsr-mc1-status",
        "RDMSR of MC1_STATUS",
        Some(845),
        Some(1097),
    ),
    measured(
        "rdmsr-slowest",
        "RDMSR, the slowest of the interface",
        None,
        None,
    ),
    measured(
        "wrmsr-mc1-status-0",
        "WRMSR of 0 to MC1_STATUS",
        Some(869),
        Some(1136),
    ),
    measured("cpuid-0", "CPUID leaf 0", Some(873), Some(966)),
    // Xen's from its own injection hypercall, on one processor. KVM's is the injection alone, without any host handling.
    measured(
        "machine-check",
        "#MC to the guest's handler",
        Some(6387),
        Some(3049),
    ),
    measured(
        "machine-check-last-vcpu",
        "the same, the last vCPU",
        Some(11608),
        None,
    ),
];

/// Runs the measurements and shows them.
///
/// # Errors
/// What keeps them from being run.
pub fn bench(options: &RunOptions) -> Result<Answer> {
    let workspace = Workspace::find()?;
    let scenario = Scenario::named(&workspace.root, SCENARIO)?;
    let (verdict, followed) = execute(&workspace, &scenario, options, |_| None)?;
    let rows: Vec<_> = followed.events.iter().filter_map(row).collect();
    if options.json {
        rows.iter().for_each(|row| put(&json(row)));
    } else {
        table(&rows).iter().for_each(|line| put(line));
    }
    Ok(close(&scenario, &verdict, &followed))
}

/// Reads `bench NAME MINIMUM MEDIAN WORST` on a guest's console.
fn row(event: &Event) -> Option<Row> {
    if event.kind != "guest.console" {
        return None;
    }
    let text = event.get("text")?.to_string();
    let words: Vec<_> = text.split_whitespace().collect();
    let ["bench", name, minimum, median, worst] = words[..] else {
        return None;
    };
    Some(Row {
        name: name.to_owned(),
        minimum: minimum.parse().ok()?,
        median: median.parse().ok()?,
        worst: worst.parse().ok()?,
    })
}

fn json(row: &Row) -> String {
    let Row {
        name,
        minimum,
        median,
        worst,
    } = row;
    serde_json::json!({"name": name, "minimum": minimum, "median": median, "worst": worst})
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
        let known = MEASURED.iter().find(|known| known.name == row.name);
        let words = known.map_or(row.name.as_str(), |known| known.words);
        let other = |number: Option<u64>| {
            number.map_or_else(|| "-".to_owned(), |number| number.to_string())
        };
        let numbers = [
            row.minimum.to_string(),
            row.median.to_string(),
            row.worst.to_string(),
            other(known.and_then(|known| known.xen)),
            other(known.and_then(|known| known.kvm)),
        ];
        lines.push(line(words, numbers.each_ref().map(String::as_str)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Level;

    fn console(text: &str) -> Option<Row> {
        row(&Event::parse(
            &format!("guest.console cpu=0 guest=0 text={text}"),
            None,
            Level::Info,
        ))
    }

    #[test]
    fn a_console_line_becomes_a_row() {
        let row = console("bench rdmsr-mcg-cap 10 12 400").unwrap();
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
        assert_eq!(console("bench x 1 2"), None);
        assert_eq!(console("benches x 1 2 3"), None);
    }
}
