//! Findings that are meant: a file with a line `FINGERPRINT reason` for each.

use super::report::Report;
use msr_dsl::compare::finding::{Finding, Fingerprint};
use std::path::Path;

/// Applies a file of waivers. One that matches nothing is an error: what it excused is gone, and it would hide the next. So is one
/// whose finding says something else than it did when it was looked at.
pub fn apply(report: &mut Report, file: &Path) -> Result<(), String> {
    let name = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
    let mut mistakes = Vec::new();
    let mut lines: Vec<(Fingerprint, usize)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match waiver(report, line) {
            Ok((print, reason)) => {
                let known = lines.iter().find(|(known, _)| *known == print);
                if let Some((_, first)) = known {
                    let mistake = format!(
                        "`{print}` is waived in line {first} already: take one of them out"
                    );
                    mistakes.push(format!("{name}:{}:1: {mistake}", number + 1));
                }
                lines.push((print, number + 1));
                report.waived.push((print, reason));
            }
            Err(mistake) => mistakes.push(format!("{name}:{}:1: {mistake}", number + 1)),
        }
    }
    if mistakes.is_empty() {
        Ok(())
    } else {
        Err(mistakes.join("\n"))
    }
}

/// The finding that a line excuses, and its reason.
fn waiver(report: &Report, line: &str) -> Result<(Fingerprint, String), String> {
    let (said, reason) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let print: Fingerprint = said.parse().map_err(|()| {
        format!("`{said}` is no fingerprint: each finding has one, like 3f2a91c0-77d1e402")
    })?;
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(format!(
            "`{said}` is waived without a reason: write it behind the fingerprint"
        ));
    }
    if report.findings().any(|one| one.fingerprint() == print) {
        return Ok((print, reason.to_owned()));
    }
    let of_it = report.findings();
    let now: Vec<&Finding> = of_it
        .filter(|one| one.fingerprint().which == print.which)
        .collect();
    if now.is_empty() {
        return Err(format!("no finding `{said}`: take the line out"));
    }
    let now: Vec<String> = now
        .iter()
        .map(|one| {
            let (rule, subject) = (one.rule.id, one.subject());
            format!(
                "\n    {}  {rule}  {subject}: {}",
                one.fingerprint(),
                one.text
            )
        })
        .collect();
    Err(format!(
        "`{said}` ({reason}) was for another change than there is now; look at it again, and write its fingerprint if it is \
         meant too:{}",
        now.concat()
    ))
}
