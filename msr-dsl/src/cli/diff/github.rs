//! GitHub's workflow commands: an annotation at the line of the new side for each finding.

use super::report::Report;
use msr_dsl::compare::finding::Finding;
use msr_dsl::compare::rules::Effect;

/// The whole report.
pub fn github(report: &Report) -> String {
    let lines: Vec<String> = report
        .findings()
        .map(|finding| annotation(report, finding))
        .collect();
    let undecided = report.undecided();
    let undecided = undecided.map(|text| format!("::error title=not decided::{}", data(&text)));
    lines
        .into_iter()
        .chain(undecided)
        .collect::<Vec<_>>()
        .join("\n")
}

fn annotation(report: &Report, finding: &Finding) -> String {
    let level = match (report.reason(finding), finding.effects()[0]) {
        (Some(_), _) | (None, Effect::Safe) => "notice",
        (None, Effect::Condition) => "warning",
        (None, Effect::Refused) => "error",
    };
    let at = finding.lines[1].as_ref().or(finding.lines[0].as_ref());
    let at = at.map(|at| {
        format!(
            "file={},line={},col={},",
            property(&at.file),
            at.line,
            at.column
        )
    });
    let text = match report.reason(finding) {
        Some(reason) => format!("{}: {} (waived: {reason})", finding.subject(), finding.text),
        None => format!("{}: {}", finding.subject(), finding.text),
    };
    format!(
        "::{level} {}title={}::{}",
        at.unwrap_or_default(),
        property(finding.rule.id),
        data(&text)
    )
}

/// What may stand behind `::`.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// What may stand in `key=value`.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
