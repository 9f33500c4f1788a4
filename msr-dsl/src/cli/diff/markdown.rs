//! For a comment on a change.

use super::report::Report;
use super::text::{place, short};
use msr_dsl::compare::Comparison;
use msr_dsl::compare::default_guest::DefaultGuest;
use msr_dsl::compare::finding::Finding;
use msr_dsl::compare::rules::{Effect, Subject};
use msr_dsl::compare::verdict::Verdict;
use std::fmt::Write;

/// The whole report.
pub fn markdown(report: &Report) -> String {
    let parts: Vec<String> = report
        .comparisons
        .iter()
        .map(|one| comparison(report, one))
        .collect();
    parts.join("\n").trim_end().to_owned()
}

fn comparison(report: &Report, one: &Comparison) -> String {
    let [old, new] = one.names.each_ref().map(|name| code(name));
    let mut out = format!("## {old} → {new}\n\n");
    out += "| direction | verdict | a guest as created by default |\n|---|---|---|\n";
    for (direction, verdict, guest) in directions(one) {
        let guest = guest.map_or_else(|| "-".to_owned(), |guest| escape(&guest.to_string()));
        let _ = writeln!(out, "| {direction} | {verdict} | {guest} |");
    }
    for (direction, verdict, _) in directions(one) {
        reasons(&mut out, direction, verdict);
    }
    match (one.findings.is_empty(), one.undecided.is_empty()) {
        (true, true) => out += "\nNo difference.\n",
        (true, false) => out += "\nNo difference in what was decided.\n",
        _ => {}
    }
    for subject in Subject::ALL {
        let own: Vec<&Finding> = one
            .findings
            .iter()
            .filter(|finding| finding.rule.subject == subject)
            .collect();
        if !own.is_empty() {
            let _ = writeln!(out, "\n### {subject}\n");
            own.into_iter()
                .for_each(|one| finding(&mut out, report, one));
        }
    }
    out
}

fn directions(one: &Comparison) -> [(&str, &Verdict, Option<&DefaultGuest>); 2] {
    let of = |direction, side: usize| {
        let verdict = &one.verdicts[side];
        let guest = one.default_guests[side].as_ref();
        (
            direction,
            verdict,
            guest.filter(|_| *verdict != Verdict::Safe),
        )
    };
    [of("old → new", 0), of("new → old", 1)]
}

/// A list: in a cell of the table nobody would read it.
fn reasons(out: &mut String, direction: &str, verdict: &Verdict) {
    let all = verdict.reasons();
    if all.is_empty() {
        return;
    }
    let _ = match verdict {
        Verdict::Refused(_) => writeln!(out, "\n{direction} is refused:\n"),
        Verdict::Undecided(_) => writeln!(
            out,
            "\n{direction} is safe at most for guests of which all of this holds:\n"
        ),
        _ => writeln!(
            out,
            "\n{direction} is safe for guests of which all of this holds:\n"
        ),
    };
    for reason in all {
        let _ = writeln!(out, "* {}", escape(&reason.text));
    }
}

/// As it stands: between more backquotes than it has in a row.
fn code(text: &str) -> String {
    let runs = text.split(|sign| sign != '`').map(str::len);
    let quotes = "`".repeat(runs.max().unwrap_or(0) + 1);
    let space = if text.contains('`') { " " } else { "" };
    let text = text.replace(['\n', '\r'], " ");
    format!("{quotes}{space}{text}{space}{quotes}")
}

/// Signs that mean something in Markdown.
fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, sign| {
        if "\\`*_{}[]<>|#~".contains(sign) {
            out.push('\\');
        }
        out.push(sign);
        out
    })
}

fn finding(out: &mut String, report: &Report, finding: &Finding) {
    let mark = if finding.effects()[0] == Effect::Safe {
        ""
    } else {
        " **breaking**"
    };
    let _ = writeln!(
        out,
        "* `{}`{mark} {}: {}",
        finding.rule.id,
        escape(&finding.subject()),
        escape(&finding.text)
    );
    if let Some(guests) = &finding.guests {
        let _ = writeln!(out, "  Guests with {}.", escape(guests));
    }
    let places: Vec<String> = finding
        .lines
        .iter()
        .flatten()
        .map(|line| code(&place(line)))
        .collect();
    let _ = writeln!(
        out,
        "  {} (`{}`)",
        places.join(" → "),
        finding.fingerprint()
    );
    if let Some(reason) = report.reason(finding) {
        let _ = writeln!(out, "  Waived: {}", escape(reason));
    }
    if let Some(witness) = &finding.witness {
        out.push_str("\n  ```text\n");
        for line in witness.commands() {
            let _ = writeln!(out, "  {line}");
        }
        let [old, new] = short(witness.answers.each_ref().map(String::as_str));
        let _ = writeln!(out, "  # {old} → {new}\n  ```\n");
    }
}
