//! A register that is gone here and new there, and otherwise says the same, has moved.

use super::accesses::Setting;
use super::condition::{Condition, Demand};
use super::finding::{Aspect, Finding};
use super::phrases::msrs;
use super::rules;
use crate::manifest::register_lines;
use crate::model::{Register, View};

/// Makes one finding of two.
pub fn moved(setting: &Setting, findings: &mut Vec<Finding>) {
    let gone = |finding: &Finding| finding.rule == &rules::REGISTER_REMOVED;
    while let Some((from, to)) = pair(setting, findings) {
        let new = findings[to].about.clone();
        let one = &mut findings[from];
        debug_assert!(gone(one));
        let text = format!("{} → {}", msrs(&one.about.msrs), msrs(&new.msrs));
        let demand = Demand::Not(format!(
            "touch {} or {}",
            msrs(&one.about.msrs),
            msrs(&new.msrs)
        ));
        one.rule = &rules::ADDRESS_MOVED;
        one.text = format!("{text}; {}", one.text);
        one.about.msrs.extend(&new.msrs);
        one.about.registers[1].clone_from(&new.registers[1]);
        one.about.aspect = Aspect::Whole;
        let condition = Some(Condition {
            affected: None,
            demand,
        });
        one.conditions = [condition.clone(), condition];
        findings.remove(to);
    }
}

fn pair(setting: &Setting, findings: &[Finding]) -> Option<(usize, usize)> {
    let of = |rule: &'static rules::Rule, side: usize| {
        findings
            .iter()
            .enumerate()
            .filter_map(move |(at, finding)| {
                let name = finding.about.registers[side].as_deref()?;
                let view = setting.views[side];
                let register = view.register(view.find(name)?);
                let whole = register
                    .addresses
                    .iter()
                    .flat_map(|a| a.msrs())
                    .all(|(msr, _)| finding.about.msrs.contains(&msr));
                (finding.rule == rule && whole).then_some((at, register))
            })
    };
    let mut gone = of(&rules::REGISTER_REMOVED, 0);
    gone.find_map(|(from, old)| {
        let mut new = of(&rules::REGISTER_ADDED, 1);
        let to = new.find(|(_, new)| same(setting.views, old, new))?.0;
        Some((from, to))
    })
}

fn same(views: [&View; 2], old: &Register, new: &Register) -> bool {
    let lines = |view: &View, register: &Register| {
        let mut lines = register_lines(view, register);
        lines.retain(|(key, _)| key != "addresses");
        lines
    };
    let saved = super::items::tag(old).is_some();
    (saved || old.name == new.name) && lines(views[0], old) == lines(views[1], new)
}
