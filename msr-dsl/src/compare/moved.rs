//! A register that is gone here and new there, and otherwise says the same, has moved.

use super::accesses::Setting;
use super::condition::{Condition, Demand};
use super::finding::{Aspect, Finding};
use super::phrases::msrs;
use super::rules::{self, Rule};
use crate::manifest::register_lines;
use std::collections::HashMap;

/// Makes one finding of two.
pub fn moved(setting: &Setting, findings: &mut Vec<Finding>) {
    let mut new: HashMap<Meaning, Vec<usize>> = HashMap::new();
    for (at, meaning) in whole(setting, findings, &rules::REGISTER_ADDED, 1) {
        new.entry(meaning).or_default().push(at);
    }
    let mut gone_to = Vec::new();
    for (from, meaning) in whole(setting, findings, &rules::REGISTER_REMOVED, 0) {
        // The first in the order of the spec.
        let others = new.get_mut(&meaning).filter(|others| !others.is_empty());
        gone_to.extend(others.map(|others| (from, others.remove(0))));
    }
    for (from, to) in &gone_to {
        findings[*from].content = findings[*from].content.with(findings[*to].content);
        let there = findings[*to].about.clone();
        join(
            &mut findings[*from],
            there.registers[1].clone(),
            &there.msrs,
        );
    }
    let mut at = 0;
    findings.retain(|_| {
        at += 1;
        !gone_to.iter().any(|(_, to)| *to == at - 1)
    });
}

/// What a register says, its MSRs apart. One without an item in the record is known by its name too.
#[derive(PartialEq, Eq, Hash)]
struct Meaning {
    lines: Vec<(String, String)>,
    name: Option<String>,
}

/// The findings of a rule that are about all MSRs of a register.
fn whole(
    setting: &Setting,
    findings: &[Finding],
    rule: &Rule,
    side: usize,
) -> Vec<(usize, Meaning)> {
    let own = findings
        .iter()
        .enumerate()
        .filter(|(_, finding)| finding.rule.id == rule.id);
    let view = setting.views[side];
    own.filter_map(|(at, finding)| {
        let (id, _) = setting.places[side].get(finding.about.msrs.first()?)?;
        let register = view.register(*id);
        let mut all = register.addresses.iter().flat_map(|address| address.msrs());
        if !all.all(|(msr, _)| finding.about.msrs.contains(&msr)) {
            return None;
        }
        let mut lines = register_lines(view, register);
        lines.retain(|(key, _)| key != "addresses");
        let name = super::items::tag(register)
            .is_none()
            .then(|| register.name.clone());
        Some((at, Meaning { lines, name }))
    })
    .collect()
}

/// A finding about the old place becomes one about both.
fn join(finding: &mut Finding, name: Option<String>, there: &[u32]) {
    let (from, to) = (msrs(&finding.about.msrs), msrs(there));
    finding.rule = &rules::ADDRESS_MOVED;
    finding.text = format!("{from} → {to}; {}", finding.text);
    finding.about.registers[1] = name;
    finding.about.aspect = Aspect::Whole;
    let (one, other) = match finding.about.msrs < there.to_vec() {
        true => (&from, &to),
        false => (&to, &from),
    };
    let demand = Demand::Not(format!("touch {one} or {other}"));
    finding.about.msrs.extend(there);
    // Who was concerned by its absence is concerned by its move.
    let [before, _] = &finding.conditions;
    let affected = before.as_ref().and_then(|before| before.affected.clone());
    let condition = Some(Condition { affected, demand });
    finding.conditions = [condition.clone(), condition];
}
