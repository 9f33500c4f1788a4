//! `cargo boot mca-table`: real #MC exceptions of QEMU, and what the host side makes of each.

use std::path::PathBuf;

use super::Answer;
use super::cli::TableArguments;
use super::run::put;
use crate::error::Result;
use crate::mca_table::{Action, Machines, Outcome, Raise, Row, judge, load, worst_class};
use crate::progress::Progress;
use crate::rows::outcome;
use crate::scenario::Known;
use crate::setup::{Purpose, ensure};
use crate::workspace::Workspace;

/// The table that belongs to the workspace.
const TABLE: &str = "tests/mca-table.toml";

/// Runs the table and shows each row.
///
/// # Errors
/// A table with mistakes, or what keeps it from being run.
pub fn mca_table(arguments: &TableArguments) -> Result<Answer> {
    let workspace = Workspace::find()?;
    let file = match &arguments.file {
        Some(file) => file.clone(),
        None => workspace.root.join(PathBuf::from(TABLE)),
    };
    let rows = load(&file, &Known::of(&workspace.root))?;
    ensure(&[Purpose::Qemu])?;
    let artifacts = workspace.build()?;
    let mut machines = Machines::new(&artifacts);
    let mut wrong = 0;
    if !arguments.json {
        put(HEADER);
    }
    let progress = Progress::start("waiting for QEMU");
    for (number, row) in rows.iter().enumerate() {
        let outcome = machines.run(row)?;
        let differences = judge(row, &outcome);
        wrong += usize::from(!differences.is_empty());
        progress.heard();
        if arguments.json {
            put(&json(number + 1, row, &outcome, &differences));
        } else {
            for line in lines(number + 1, row, &differences) {
                put(&line);
            }
        }
    }
    drop(progress);
    anstream::eprintln!("{}", outcome(rows.len(), wrong));
    Ok(if wrong == 0 { Answer::Yes } else { Answer::No })
}

const HEADER: &str = "row         CPUs  raised: processor bank, status, MCG_STATUS, MISC     class      action                        worst record";

/// Under the column of what is raised.
const BELOW: &str = "                  ";
const DIM: anstyle::Style = anstyle::Style::new().dimmed();

/// A row for a reader; what does not hold stands below it.
fn lines(number: usize, row: &Row, differences: &[String]) -> Vec<String> {
    const GOOD: anstyle::Style = anstyle::AnsiColor::Green.on_default();
    const BAD: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();
    let (style, mark) = if differences.is_empty() {
        (GOOD, "ok")
    } else {
        (BAD, "WRONG")
    };
    let mut raised = row.raise.iter().map(raised);
    let class = worst_class(&row.records);
    let action = match &row.reason {
        Some(reason) => format!("{}: {reason}", row.action.word()),
        None => row.action.word().to_owned(),
    };
    let record = row
        .records
        .iter()
        .max_by_key(|record| record.class == class);
    let record = record.map_or_else(String::new, |record| match record.addr {
        0 => record.code.clone(),
        addr => format!("{} {addr:#x}", record.code),
    });
    let mut lines = vec![format!(
        "{number:>3}  {style}{mark:<5}{style:#}  {:>4}  {:<51}  {class:<9}  {action:<28}  {record}",
        row.processors,
        raised.next().unwrap_or_default(),
    )];
    lines.extend(raised.map(|raised| format!("{BELOW}{raised}")));
    lines.push(format!("{BELOW}{DIM}{}{DIM:#}", row.title));
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

fn raised(raise: &Raise) -> String {
    let Raise {
        cpu,
        bank,
        status,
        mcg_status,
        misc,
        broadcast,
        ..
    } = raise;
    let flag = if *broadcast { " -b" } else { "" };
    format!("cpu{cpu} {bank}, {status:#018x}, {mcg_status:#x}, {misc:#x}{flag}")
}

fn json(number: usize, row: &Row, outcome: &Outcome, differences: &[String]) -> String {
    let hex = |value: u64| format!("{value:#x}");
    let raised: Vec<_> = row
        .raise
        .iter()
        .map(|raise| {
            serde_json::json!({
                "cpu": raise.cpu, "bank": raise.bank, "status": hex(raise.status),
                "mcg_status": hex(raise.mcg_status), "addr": hex(raise.addr), "misc": hex(raise.misc),
                "broadcast": raise.broadcast,
            })
        })
        .collect();
    let got = match outcome {
        Outcome::Over(_) => "over",
        Outcome::NotRaised(_) => "not-raised",
        Outcome::Stuck(_) => "stuck",
    };
    serde_json::json!({
        "row": number, "title": row.title, "line": row.line, "processors": row.processors, "raised": raised,
        "class": worst_class(&row.records), "action": row.action.word(), "reason": row.reason,
        "outcome": got, "holds": differences.is_empty(), "differences": differences,
        "resets": row.action == Action::Reset,
    })
    .to_string()
}
