//! Findings that are meant: a file with a line `FINGERPRINT reason` for each.

use super::report::Report;
use std::path::Path;

/// Applies a file of waivers. One that matches nothing is an error: what it excused is gone, and it would hide the next.
pub fn apply(report: &mut Report, file: &Path) -> Result<(), String> {
    let name = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
    let mut mistakes = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (fingerprint, reason) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let at = format!("{name}:{}:1", number + 1);
        if reason.trim().is_empty() {
            mistakes.push(format!(
                "{at}: `{fingerprint}` is waived without a reason: write it behind the fingerprint"
            ));
        } else if !report
            .findings()
            .any(|finding| finding.fingerprint() == fingerprint)
        {
            mistakes.push(format!(
                "{at}: no finding `{fingerprint}`: take the line out"
            ));
        } else {
            report
                .waived
                .push((fingerprint.to_owned(), reason.trim().to_owned()));
        }
    }
    if mistakes.is_empty() {
        Ok(())
    } else {
        Err(mistakes.join("\n"))
    }
}
