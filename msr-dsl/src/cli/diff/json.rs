//! For machines: docs/diff.schema.json.

use super::report::Report;
use msr_dsl::compare::Comparison;
use msr_dsl::compare::finding::{Finding, Line, Witness};
use msr_dsl::compare::product::Before;
use msr_dsl::compare::rules::Effect;
use serde_json::{Value, json};

/// The whole report.
pub fn json(report: &Report) -> Value {
    let comparisons: Vec<Value> = report
        .comparisons
        .iter()
        .map(|one| comparison(report, one))
        .collect();
    json!({ "format": 1, "comparisons": comparisons })
}

fn comparison(report: &Report, one: &Comparison) -> Value {
    let findings: Vec<Value> = one
        .findings
        .iter()
        .map(|one| finding(report, one))
        .collect();
    json!({
        "old": one.names[0],
        "new": one.names[1],
        "findings": findings,
        "undecided": one.undecided.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "verdicts": { "old_to_new": verdict(one, 0), "new_to_old": verdict(one, 1) },
    })
}

/// A word for an effect.
pub fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Safe => "safe",
        Effect::Condition => "conditional",
        Effect::Refused => "refused",
    }
}

fn hexadecimal(value: u64) -> String {
    format!("{value:#x}")
}

fn finding(report: &Report, one: &Finding) -> Value {
    let [forth, back] = one.effects();
    let conditions = one
        .conditions
        .clone()
        .map(|condition| condition.map(|condition| condition.to_string()));
    json!({
        "rule": one.rule.id,
        "mirror": one.rule.mirror,
        "subject": one.rule.subject.word(),
        "fingerprint": one.fingerprint().to_string(),
        "text": one.text,
        "msrs": one.about.msrs.iter().map(|msr| hexadecimal(u64::from(*msr))).collect::<Vec<_>>(),
        "bits": hexadecimal(one.about.bits),
        "tag": one.about.tag,
        "name": one.about.name,
        "registers": one.about.registers,
        "guests": one.guests,
        "lines": one.lines.clone().map(|at| at.map(|at| line(&at))),
        "witness": one.witness.as_ref().map(witness),
        "old_to_new": { "effect": effect(forth), "condition": (forth == Effect::Condition).then_some(&conditions[0]) },
        "new_to_old": { "effect": effect(back), "condition": (back == Effect::Condition).then_some(&conditions[1]) },
        "waived": report.reason(one),
    })
}

fn line(at: &Line) -> Value {
    json!({ "file": at.file, "line": at.line, "column": at.column })
}

fn witness(witness: &Witness) -> Value {
    json!({
        "options": witness.start.clone().map(|start| start.options()),
        "before": match &witness.before {
            Some(Before::Lived(steps)) => Some(steps.iter().map(ToString::to_string).collect::<Vec<_>>()),
            Some(Before::Record) | None => None,
        },
        "lines": witness.steps.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "answers": witness.answers,
    })
}

fn verdict(one: &Comparison, direction: usize) -> Value {
    let verdict = &one.verdicts[direction];
    let guest = one.default_guests[direction]
        .as_ref()
        .map(|guest| json!({ "verdict": guest.word(), "reasons": guest.reasons() }));
    let reasons: Vec<Value> = verdict
        .reasons()
        .iter()
        .map(|reason| json!({ "rule": reason.rule, "fingerprint": reason.fingerprint.to_string(), "text": reason.text }))
        .collect();
    json!({ "verdict": verdict.word(), "default_guest": guest, "reasons": reasons })
}
