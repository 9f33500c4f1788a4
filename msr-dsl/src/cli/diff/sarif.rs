//! SARIF 2.1.0 (OASIS), for code scanning.

use super::report::Report;
use msr_dsl::compare::finding::{Finding, Line};
use msr_dsl::compare::rules::{self, Effect, Rule};
use serde_json::{Value, json};

/// The whole report.
pub fn sarif(report: &Report) -> Value {
    let all: Vec<Value> = rules::ALL.iter().map(|one| rule(one)).collect();
    let results: Vec<Value> = report
        .findings()
        .map(|finding| result(report, finding))
        .collect();
    let undecided = report.undecided().into_iter();
    let open = undecided.map(|text| json!({ "level": "error", "message": { "text": text } }));
    let open: Vec<Value> = open.collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "msr diff", "version": env!("CARGO_PKG_VERSION"), "rules": all } },
            "invocations": [{
                "executionSuccessful": open.is_empty(),
                "toolExecutionNotifications": open,
            }],
            "results": results,
        }],
    })
}

fn level(effect: Effect) -> &'static str {
    match effect {
        Effect::Safe => "note",
        Effect::Condition => "warning",
        Effect::Refused => "error",
    }
}

fn rule(rule: &Rule) -> Value {
    json!({
        "id": rule.id,
        "shortDescription": { "text": rule.title },
        "fullDescription": { "text": rule.explanation },
        "defaultConfiguration": { "level": level(rule.effect) },
    })
}

fn result(report: &Report, finding: &Finding) -> Value {
    let lines = finding
        .witness
        .as_ref()
        .map(|witness| witness.commands().join("\n"));
    let shown = lines.map(|lines| format!("\n{lines}")).unwrap_or_default();
    let index = rules::ALL.iter().position(|rule| *rule == finding.rule);
    let [old, new] = finding
        .lines
        .clone()
        .map(|line| line.map(|line| location(&line)));
    let suppressed = report.reason(finding);
    let suppressions: Vec<Value> = suppressed
        .map(|reason| json!({ "kind": "external", "justification": reason }))
        .into_iter()
        .collect();
    json!({
        "ruleId": finding.rule.id,
        "ruleIndex": index,
        "level": level(finding.effects()[0]),
        "message": { "text": format!("{}: {}{shown}", finding.subject(), finding.text) },
        "locations": new.iter().collect::<Vec<_>>(),
        "relatedLocations": old.iter().collect::<Vec<_>>(),
        "partialFingerprints": { "msrDiff/v1": finding.fingerprint().to_string() },
        "suppressions": suppressions,
    })
}

/// A file's name as a URI reference (RFC 3986): what means something else there is written as `%` and two digits. A colon too: what
/// stands before one would be a scheme.
fn reference(file: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-._~@+".contains(byte);
    file.bytes()
        .fold(String::new(), |out, byte| match plain(&byte) {
            true => out + char::from(byte).encode_utf8(&mut [0; 4]),
            false => out + &format!("%{byte:02X}"),
        })
}

fn location(line: &Line) -> Value {
    json!({
        "physicalLocation": {
            "artifactLocation": { "uri": reference(&line.file) },
            "region": { "startLine": line.line, "startColumn": line.column },
        },
    })
}
