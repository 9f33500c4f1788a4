//! One difference in many banks, or at many MSRs of a range, is one finding.

use super::finding::Finding;
use super::rules;

/// Findings of one rule about the same registers and bits become one.
pub fn merge(all: Vec<Finding>) -> Vec<Finding> {
    let mut merged: Vec<Finding> = Vec::new();
    for finding in all {
        let known = merged.iter_mut().find(|known| same(known, &finding));
        match known {
            Some(known) => {
                known.about.msrs.extend(&finding.about.msrs);
                known.about.bits |= finding.about.bits;
                known.content = known.content.with(finding.content);
                let steps = |one: &Finding| {
                    one.witness
                        .as_ref()
                        .map_or(usize::MAX, |witness| witness.steps.len())
                };
                if steps(&finding) < steps(known) {
                    (known.witness, known.text) = (finding.witness, finding.text);
                }
            }
            None => merged.push(finding),
        }
    }
    for finding in &mut merged {
        finding.about.msrs.sort_unstable();
        finding.about.msrs.dedup();
    }
    merged
}

fn same(a: &Finding, b: &Finding) -> bool {
    let whole = [
        &rules::INJECTION_ADDED,
        &rules::INJECTION_REMOVED,
        &rules::INJECTION_BANK,
    ];
    if a.rule != b.rule {
        return false;
    }
    whole.contains(&a.rule)
        || [&rules::REGISTER_ABSENT, &rules::REGISTER_PRESENT].contains(&a.rule)
            && a.about.registers == b.about.registers
        || a.about.registers == b.about.registers
            && a.about.bits == b.about.bits
            && a.guests == b.guests
}
