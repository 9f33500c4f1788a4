//! For people at a terminal.

use super::report::Report;
use crate::cli::sim::bytes;
use msr_dsl::compare::Comparison;
use msr_dsl::compare::default_guest::DefaultGuest;
use msr_dsl::compare::finding::{Finding, Line};
use msr_dsl::compare::phrases::count;
use msr_dsl::compare::rules::{Effect, Subject};
use msr_dsl::compare::verdict::Verdict;
use msr_runtime::record::{HEADER, MAGIC};
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
    match (one.findings.is_empty(), one.undecided.is_empty()) {
        (true, true) => out += "\nno difference\n",
        (true, false) => out += "\nno difference in what was decided\n",
        _ => {}
    }
    out += "\n";
    for (side, direction) in ["old → new", "new → old"].into_iter().enumerate() {
        let guest = one.default_guests[side].as_ref();
        verdict(&mut out, direction, &one.verdicts[side], guest);
    }
    let (waived, open): (Vec<&Finding>, Vec<&Finding>) = one
        .findings
        .iter()
        .partition(|finding| report.reason(finding).is_some());
    let breaking = open
        .iter()
        .filter(|finding| finding.effects()[0] != Effect::Safe)
        .count();
    let waived = match waived.len() {
        0 => String::new(),
        number => format!(", {number} waived"),
    };
    let all = count(one.findings.len(), "finding", "findings");
    let _ = writeln!(out, "{all}{waived}, {breaking} breaking");
    out
}

/// `file.msr:12:3`.
pub fn place(line: &Line) -> String {
    format!("{}:{}:{}", line.file, line.line, line.column)
}

/// Records are long: which items they hold, and of two the words in which they differ. The whole of them is in the other forms.
pub fn short(answers: [&str; 2]) -> [String; 2] {
    match answers.map(items) {
        [Some(old), Some(new)] => [shown(&old, &new), shown(&new, &old)],
        [old, new] => {
            let alone = |items: Option<Vec<Item>>, text: &str| {
                items.map_or_else(|| text.to_owned(), |items| shown(&items, &items))
            };
            [alone(old, answers[0]), alone(new, answers[1])]
        }
    }
}

/// A tag, and its words.
type Item = (u16, Vec<u64>);

/// `a record with items 1 = 0x2, 2 (2 words, word 1 = 0x5)`.
fn shown(items: &[Item], others: &[Item]) -> String {
    let words = items.iter().map(|(tag, words)| match words.as_slice() {
        [word] => format!("{tag} = {word:#x}"),
        words => {
            let other = others.iter().find(|(other, _)| other == tag);
            let word = |at: usize| other.and_then(|(_, words)| words.get(at));
            let all = words.iter().enumerate();
            let mut unlike = all.filter(|(at, own)| word(*at).is_some_and(|word| word != *own));
            let first = unlike
                .next()
                .map(|(at, word)| format!(", word {at} = {word:#x}"));
            let first = first.unwrap_or_default();
            format!("{tag} ({} words{first})", words.len())
        }
    });
    let words: Vec<String> = words.collect();
    format!("a record with items {}", words.join(", "))
}

/// The items of an answer that is a record.
fn items(answer: &str) -> Option<Vec<Item>> {
    let bytes = bytes(answer).ok()?;
    let mut rest = bytes.strip_prefix(&MAGIC)?.get(HEADER - MAGIC.len()..)?;
    let mut items = Vec::new();
    while let [t0, t1, l0, l1, more @ ..] = rest {
        let tag = u16::from_le_bytes([*t0, *t1]);
        let length = usize::from(u16::from_le_bytes([*l0, *l1]));
        let payload = more.get(..length)?;
        let words = payload
            .chunks_exact(8)
            .filter_map(|word| word.try_into().ok());
        items.push((tag, words.map(u64::from_le_bytes).collect()));
        rest = more.get(length..)?;
    }
    Some(items)
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
        let [old, new] = short(witness.answers.each_ref().map(String::as_str));
        let _ = writeln!(out, "        # {old} → {new}");
    }
    if let Some(reason) = report.reason(finding) {
        let _ = writeln!(out, "      waived: {reason}");
    }
}

fn verdict(out: &mut String, direction: &str, verdict: &Verdict, guest: Option<&DefaultGuest>) {
    let _ = writeln!(out, "{direction}: {verdict}");
    if let Some(guest) = guest.filter(|_| *verdict != Verdict::Safe) {
        let _ = writeln!(out, "  a guest as created by default: {guest}");
    }
    for reason in verdict.reasons() {
        let _ = writeln!(out, "  {}: {}", reason.rule, reason.text);
    }
}
