//! `cargo boot linux-table`: what stock Linux makes of what guests get.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Answer;
use super::cli::TableArguments;
use super::run::put;
use crate::emulator::{Kind, Way};
use crate::error::{Error, Result};
use crate::linux_table::{
    self as table, Delivery, Linux, PROCESSORS, Row, Told, deliveries, judge, load,
};
use crate::progress::Progress;
use crate::rows::outcome;
use crate::run::{Options, Verdict, run};
use crate::scenario::Scenario;
use crate::setup::{self, Purpose, ensure};
use crate::workspace::{Artifacts, Workspace};

/// The table that belongs to the workspace.
const TABLE: &str = "tests/linux-table.toml";

/// Runs the table and shows each row.
///
/// # Errors
/// A table with mistakes, or what keeps it from being run.
pub fn linux_table(arguments: &TableArguments) -> Result<Answer> {
    let workspace = Workspace::find()?;
    let own = workspace.root.join(TABLE);
    let rows = load(arguments.file.as_ref().unwrap_or(&own))?;
    ensure(&[Purpose::Bochs, Purpose::Linux])?;
    let kernel = setup::linux::kernel()?.ok_or_else(|| {
        Error::Impossible("the distribution's Linux is missing: run `cargo boot setup`".into())
    })?;
    let guests = what_guests_get(&workspace, &workspace.build()?, &rows)?;
    let program = workspace.build_witness()?;
    let progress = Progress::start("waiting for Linux");
    let linux = Linux::boot(&kernel, &program)?;
    if !arguments.json {
        let name = kernel.file_name().unwrap_or_default().to_string_lossy();
        progress.heard();
        put(&format!("{name}, natively on {PROCESSORS} processors"));
    }
    let mut wrong = 0;
    for (number, row) in rows.iter().enumerate() {
        let got = guests.get(&row.scenario).cloned().unwrap_or_default();
        let answer = linux.raise(row, got.clone())?;
        let differences = judge(row, &answer);
        wrong += usize::from(!differences.is_empty());
        progress.heard();
        if arguments.json {
            put(&json(number + 1, row, &answer, &differences));
        } else {
            for line in lines(number + 1, row, got, &answer, &differences) {
                put(&line);
            }
        }
    }
    drop(progress);
    anstream::eprintln!("{}", outcome(rows.len(), wrong));
    Ok(if wrong == 0 { Answer::Yes } else { Answer::No })
}

/// What guest 0 gets in each scenario of the table, by running it.
fn what_guests_get(
    workspace: &Workspace,
    artifacts: &Artifacts,
    rows: &[Row],
) -> Result<BTreeMap<String, Vec<Delivery>>> {
    let options = Options {
        on: Kind::Bochs,
        way: Way::Direct,
        timeout: Duration::from_secs(120),
    };
    let mut all = BTreeMap::new();
    for row in rows {
        if all.contains_key(&row.scenario) {
            continue;
        }
        let _progress = Progress::start(format!("running {}", row.scenario));
        let scenario = Scenario::named(&workspace.root, &row.scenario)?;
        let (verdict, followed) = run(&scenario, artifacts, &options, |_| {})?;
        let got = deliveries(&followed.events, PROCESSORS);
        if verdict != Verdict::Met || got.is_empty() {
            return Err(Error::Impossible(format!(
                "{} does not say what its guest gets: {verdict}",
                row.scenario
            )));
        }
        all.insert(row.scenario.clone(), got);
    }
    Ok(all)
}

/// Under the number and the mark.
const BELOW: &str = "           ";
const DIM: anstyle::Style = anstyle::Style::new().dimmed();

/// A row for a reader; what does not hold stands below it.
fn lines(
    number: usize,
    row: &Row,
    mut got: Vec<Delivery>,
    answer: &table::Answer,
    differences: &[String],
) -> Vec<String> {
    const GOOD: anstyle::Style = anstyle::AnsiColor::Green.on_default();
    const BAD: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();
    let (style, mark) = if differences.is_empty() {
        (GOOD, "ok")
    } else {
        (BAD, "WRONG")
    };
    let from = if row.change.is_empty() { "" } else { "unlike " };
    let (title, scenario) = (&row.title, &row.scenario);
    let mut lines = vec![format!(
        "{number:>3}  {style}{mark:<5}{style:#} {title} {DIM}({from}{scenario}){DIM:#}"
    )];
    if let Some(first) = got.first_mut() {
        row.change.iter().for_each(|change| change.make(first));
    }
    for (number, delivery) in got.iter().enumerate() {
        let vcpus = delivery.iter().enumerate();
        let words: Vec<_> = vcpus
            .filter_map(|(vcpu, told)| Some(words(vcpu, (*told)?)))
            .collect();
        let then = if number == 0 { "" } else { "then " };
        lines.push(format!("{BELOW}{then}{}", words.join("  ")));
    }
    lines.push(format!("{BELOW}{style}{answer}{style:#}"));
    lines.extend(
        differences
            .iter()
            .map(|difference| format!("{BELOW}{BAD}{difference}{BAD:#}")),
    );
    if !differences.is_empty() {
        lines.push(format!("{BELOW}(line {} of the table)", row.line));
    }
    lines
}

fn words(vcpu: usize, told: Told) -> String {
    let Told { mcg_status, record } = told;
    match record {
        None => format!("vCPU {vcpu}: {mcg_status:#x}, clean"),
        Some(record) => {
            let (status, misc) = (record.status, record.misc);
            format!("vCPU {vcpu}: {mcg_status:#x}, {status:#018x}, {misc:#x}")
        }
    }
}

fn json(number: usize, row: &Row, answer: &table::Answer, differences: &[String]) -> String {
    serde_json::json!({
        "row": number, "title": row.title, "line": row.line, "scenario": row.scenario,
        "as_guests_get_it": row.change.is_empty(), "linux": answer.to_string(), "panic": answer.panic,
        "holds": differences.is_empty(), "differences": differences,
    })
    .to_string()
}
