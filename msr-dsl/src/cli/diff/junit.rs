//! JUnit XML: a test case for each rule, which fails with the findings that are not waived and break something.

use super::report::Report;
use msr_dsl::compare::Comparison;
use msr_dsl::compare::finding::Finding;
use msr_dsl::compare::rules::{self, Effect, Rule};
use std::fmt::Write;

/// The whole report.
pub fn junit(report: &Report) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for one in &report.comparisons {
        suite(&mut out, report, one);
    }
    out + "</testsuites>"
}

fn breaking<'c>(report: &Report, one: &'c Comparison, rule: &Rule) -> Vec<&'c Finding> {
    let own = one.findings.iter().filter(|finding| finding.rule == rule);
    own.filter(|finding| finding.effects()[0] != Effect::Safe && report.reason(finding).is_none())
        .collect()
}

fn suite(out: &mut String, report: &Report, one: &Comparison) {
    let failures = rules::ALL
        .iter()
        .filter(|rule| !breaking(report, one, rule).is_empty())
        .count();
    let name = escape(&format!("{} → {}", one.names[0], one.names[1]));
    let _ = writeln!(
        out,
        "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{failures}\" errors=\"{}\">",
        rules::ALL.len() + one.undecided.len(),
        one.undecided.len()
    );
    for (number, question) in one.undecided.iter().enumerate() {
        let text = escape(&question.to_string());
        let _ = writeln!(
            out,
            "    <testcase classname=\"msr-diff.undecided\" name=\"question {}\">\n      <error message=\"not decided\">{text}</error>\n    </testcase>",
            number + 1
        );
    }
    for rule in rules::ALL {
        let own = breaking(report, one, rule);
        let _ = write!(
            out,
            "    <testcase classname=\"msr-diff.{}\" name=\"{}\"",
            rule.subject.word(),
            rule.id
        );
        if own.is_empty() {
            out.push_str("/>\n");
            continue;
        }
        let texts: Vec<String> = own.into_iter().map(failure).collect();
        let _ = writeln!(
            out,
            ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
            escape(rule.title),
            escape(&texts.join("\n"))
        );
    }
    out.push_str("  </testsuite>\n");
}

fn failure(finding: &Finding) -> String {
    let lines = finding
        .witness
        .as_ref()
        .map(|witness| witness.commands().join("\n"));
    format!(
        "{} [{}]: {}\n{}",
        finding.subject(),
        finding.fingerprint(),
        finding.text,
        lines.unwrap_or_default()
    )
}

/// For attributes and text. XML 1.0 has no way to write the other control characters.
fn escape(text: &str) -> String {
    let allowed = |sign: char| !sign.is_control() || matches!(sign, '\t' | '\n' | '\r');
    text.replace(|sign| !allowed(sign), "\u{fffd}")
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
