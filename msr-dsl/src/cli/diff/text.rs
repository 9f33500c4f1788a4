//! For people at a terminal.

use super::report::Report;
use msr_dsl::compare::Comparison;
use msr_dsl::compare::finding::{Finding, Line};
use msr_dsl::compare::phrases::count;
use msr_dsl::compare::rules::{Effect, Subject};
use msr_dsl::compare::verdict::Verdict;
use std::fmt::Write;

/// The whole report.
pub fn text(report: &Report) -> String {
    let parts: Vec<String> = report
        .comparisons
        .iter()
        .map(|one| comparison(report, one))
        .collect();
    parts.join("\n")
}

fn comparison(report: &Report, one: &Comparison) -> String {
    let mut out = format!("{} → {}\n", one.names[0], one.names[1]);
    for subject in Subject::ALL {
        let own: Vec<&Finding> = one
            .findings
            .iter()
            .filter(|finding| finding.rule.subject == subject)
            .collect();
        if own.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n{subject}");
        own.into_iter()
            .for_each(|one| finding(&mut out, report, one));
    }
    if one.findings.is_empty() {
        out += "\nno difference\n";
    }
    out += "\n";
    verdict(&mut out, "old → new", &one.verdicts[0]);
    verdict(&mut out, "new → old", &one.verdicts[1]);
    let breaking = one
        .findings
        .iter()
        .filter(|finding| finding.effects()[0] != Effect::Safe)
        .count();
    let _ = writeln!(
        out,
        "{}, {breaking} breaking",
        count(one.findings.len(), "finding", "findings")
    );
    out
}

/// `file.msr:12:3`.
pub fn place(line: &Line) -> String {
    format!("{}:{}:{}", line.file, line.line, line.column)
}

/// Records are long; the whole of them is in the other forms.
pub fn short(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}... ({} digits)", &text[..at], text.len()),
        None => text.to_owned(),
    }
}

fn finding(out: &mut String, report: &Report, finding: &Finding) {
    let _ = writeln!(
        out,
        "  {}  {}  [{}]",
        finding.rule.id,
        finding.subject(),
        finding.fingerprint()
    );
    let _ = writeln!(out, "      {}", finding.text);
    if let Some(guests) = &finding.guests {
        let _ = writeln!(out, "      guests with {guests}");
    }
    let places: Vec<String> = finding
        .lines
        .iter()
        .map(|line| line.as_ref().map_or("-".to_owned(), place))
        .collect();
    let _ = writeln!(out, "      {} → {}", places[0], places[1]);
    if let Some(witness) = &finding.witness {
        for line in witness.commands() {
            let _ = writeln!(out, "        {line}");
        }
        let [old, new] = witness.answers.each_ref().map(|answer| short(answer));
        let _ = writeln!(out, "        # {old} → {new}");
    }
    if let Some(reason) = report.reason(finding) {
        let _ = writeln!(out, "      waived: {reason}");
    }
}

fn verdict(out: &mut String, direction: &str, verdict: &Verdict) {
    let _ = writeln!(out, "{direction}: {verdict}");
    for reason in verdict.reasons() {
        let _ = writeln!(out, "  {}: {}", reason.rule, reason.text);
    }
}
