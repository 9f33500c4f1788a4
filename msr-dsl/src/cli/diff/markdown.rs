//! For a comment on a change.

use super::report::Report;
use super::text::{place, short};
use msr_dsl::compare::Comparison;
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
    out += "| direction | verdict |\n|---|---|\n";
    for (side, direction) in ["old → new", "new → old"].into_iter().enumerate() {
        let verdict = &one.verdicts[side];
        let guest = one.default_guests[side].as_ref();
        let guest = guest.filter(|_| *verdict != Verdict::Safe).map(|guest| {
            let guest = escape(&guest.to_string());
            format!("a guest as created by default: {guest}. ")
        });
        let guest = guest.unwrap_or_default();
        let _ = writeln!(out, "| {direction} | {guest}{} |", cell(verdict));
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

fn cell(verdict: &Verdict) -> String {
    let reasons: Vec<String> = verdict
        .reasons()
        .iter()
        .map(|reason| escape(&reason.text))
        .collect();
    if reasons.is_empty() {
        verdict.to_string()
    } else {
        format!("{verdict}: {}", reasons.join("; "))
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
