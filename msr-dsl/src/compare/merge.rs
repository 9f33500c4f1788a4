//! One difference in many banks, or at many MSRs of a range, is one finding.

use super::condition::{Condition, Demand};
use super::finding::Finding;
use super::rules;
use std::collections::HashMap;

/// Findings of one rule about the same registers and bits become one.
pub fn merge(all: Vec<Finding>) -> Vec<Finding> {
    let mut merged: Vec<Finding> = Vec::new();
    // Those that may be one: a large spec has thousands of findings, and few about one register.
    let mut near: HashMap<_, Vec<usize>> = HashMap::new();
    for finding in all {
        let registers = (!is_whole(&finding)).then(|| finding.about.registers.clone());
        let near = near.entry((finding.rule.id, registers)).or_default();
        let mut known = near.iter().copied();
        let known = known.find(|known| same(&merged[*known], &finding));
        match known.map(|known| &mut merged[known]) {
            Some(known) => {
                if is_presence(known) {
                    join(known, &finding);
                }
                known.about.msrs.extend(&finding.about.msrs);
                known.about.bits |= finding.about.bits;
                known.content = known.content.with(finding.content);
                let steps = |one: &Finding| {
                    one.witness
                        .as_ref()
                        .map_or(usize::MAX, |witness| witness.steps.len())
                };
                if steps(&finding) < steps(known) {
                    known.witness = finding.witness;
                    if !is_presence(known) {
                        known.text = finding.text;
                    }
                }
            }
            None => {
                near.push(merged.len());
                merged.push(finding);
            }
        }
    }
    for finding in &mut merged {
        finding.about.msrs.sort_unstable();
        finding.about.msrs.dedup();
    }
    merged
}

fn same(a: &Finding, b: &Finding) -> bool {
    if a.rule != b.rule {
        return false;
    }
    is_whole(a)
        || is_presence(a) && a.about.registers == b.about.registers
        || a.about.registers == b.about.registers
            && a.about.bits == b.about.bits
            && a.guests == b.guests
            && a.conditions == b.conditions
}

/// It is about the injection as a whole, in whatever registers it shows.
fn is_whole(finding: &Finding) -> bool {
    let whole = [
        &rules::INJECTION_ADDED,
        &rules::INJECTION_REMOVED,
        &rules::INJECTION_BANK,
    ];
    whole.contains(&finding.rule)
}

/// What guests have the register on one side alone is one thing, however it shows.
fn is_presence(finding: &Finding) -> bool {
    [&rules::REGISTER_ABSENT, &rules::REGISTER_PRESENT].contains(&finding.rule)
}

/// Two findings about the presence of one register: for the guests of either, and whatever either is about.
fn join(known: &mut Finding, other: &Finding) {
    if known.conditions == other.conditions && known.guests == other.guests {
        return;
    }
    if !known.text.contains(&other.text) {
        known.text = format!("{}; {}", known.text, other.text);
    }
    known.guests = match (&known.guests, &other.guests) {
        (Some(own), Some(more)) if own != more => Some(format!("{own}; or with {more}")),
        (Some(own), Some(_)) => Some(own.clone()),
        _ => None,
    };
    for (own, more) in known.conditions.iter_mut().zip(&other.conditions) {
        *own = match (own.take(), more) {
            (Some(own), Some(more)) => Some(both(own, more)),
            // Nothing helps against one of them.
            _ => None,
        };
    }
}

/// What holds where two conditions hold, of guests that one of them is about.
fn both(own: Condition, more: &Condition) -> Condition {
    let affected = match (own.affected, &more.affected) {
        (Some(mut own), Some(more)) => {
            if own != *more {
                own.text = format!("{}, or with {}", own.text, more.text);
                own.cases.extend(&more.cases);
            }
            Some(own)
        }
        _ => None,
    };
    let demand = match own.demand == more.demand {
        true => own.demand,
        false => Demand::Not("read or write {msrs}".to_owned()),
    };
    Condition { affected, demand }
}
