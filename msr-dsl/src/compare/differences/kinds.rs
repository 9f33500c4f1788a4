//! Where answers differ in kind: a value here and a fault there, a hook, the hardware.

use super::{Msr, There, answers};
use crate::compare::condition::Demand;
use crate::compare::finding::{Aspect, Finding};
use crate::compare::rules::{self, Rule};
use crate::compare::steps::Step;
use crate::compare::symbols::Kind;
use crate::compare::truth::Truth;
use crate::compare::values::{self, Values};
use crate::model::Write;

/// Which access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// Answers of two kinds, and when.
pub(super) struct Raw {
    access: Access,
    there: There,
    kinds: [Kind; 2],
    when: Truth,
}

impl Msr<'_, '_> {
    /// Where the kinds of answers differ; and where both reads give a value.
    pub(super) fn kinds(&mut self) -> (Vec<Raw>, Vec<(There, Truth)>) {
        let (mut raws, mut values) = (Vec::new(), Vec::new());
        let (read, write) = (self.product.read(self.msr), self.product.write(self.msr));
        let accesses = [
            (
                Access::Read,
                [&read[0].answers, &read[1].answers],
                [read[0].missing, read[1].missing],
            ),
            (
                Access::Write,
                [&write[0].answers, &write[1].answers],
                [write[0].missing, write[1].missing],
            ),
        ];
        for (access, [old, new], missing) in accesses {
            let regions = self.regions(missing);
            for (old_kind, old_when) in old.iter() {
                for (new_kind, new_when) in new.iter() {
                    let when = self.product.table.and(*old_when, *new_when);
                    for (there, region) in regions {
                        let when = self.product.table.and(when, region);
                        let same = old_kind == new_kind;
                        if same
                            && access == Access::Read
                            && *old_kind == Kind::Done
                            && when != Truth::NO
                        {
                            values.push((there, when));
                        }
                        if !same && self.product.met(when).is_some() {
                            let kinds = [old_kind.clone(), new_kind.clone()];
                            raws.push(Raw {
                                access,
                                there,
                                kinds,
                                when,
                            });
                        }
                    }
                }
            }
        }
        (raws, values)
    }

    fn regions(&mut self, missing: [Truth; 2]) -> [(There, Truth); 4] {
        // The number of banks may have a finding of its own.
        let counted = match self.setting.count_source {
            Some(_) => self.product.counted(self.msr),
            None => Truth::NO,
        };
        let table = &mut self.product.table;
        let there = missing.map(|missing| table.not(missing));
        let mut unless_counted = |a: Truth, b: Truth| {
            let both = table.and(a, b);
            table.less(both, counted)
        };
        [
            (There::Old, unless_counted(there[0], missing[1])),
            (There::New, unless_counted(missing[0], there[1])),
            (There::None, unless_counted(missing[0], missing[1])),
            (There::Both, table.and(there[0], there[1])),
        ]
    }

    /// The hypervisor acts on writes, at least of some values.
    fn acts_on_writes(&self, side: usize) -> bool {
        let place = self.setting.places[side].get(&self.msr);
        place.is_some_and(|(id, _)| {
            let write = &self.setting.views[side].register(*id).write;
            matches!(write, Write::Bits(Some(_)) | Write::Hook(_))
        })
    }

    /// One finding for each rule: reads and writes together.
    pub(super) fn of_kinds(&mut self, raws: Vec<Raw>) -> Vec<Finding> {
        let mut by_rule: Vec<(&'static Rule, Vec<Raw>)> = Vec::new();
        let only_faults = raws.iter().all(|raw| {
            raw.kinds
                .iter()
                .all(|kind| matches!(kind, Kind::Fault | Kind::Unlisted))
        });
        let only_faults = only_faults && !self.answers_later();
        for raw in raws {
            let Some(rule) = self.rule(&raw, only_faults) else {
                continue;
            };
            match by_rule.iter_mut().find(|(known, _)| *known == rule) {
                Some((_, own)) => own.push(raw),
                None => by_rule.push((rule, vec![raw])),
            }
        }
        by_rule
            .into_iter()
            .filter_map(|(rule, raws)| self.of_rule(rule, &raws))
            .collect()
    }

    /// One side alone lists the MSR, and a guest of that side comes to an answer, by what the other one answers otherwise.
    fn answers_later(&mut self) -> bool {
        let side = match [self.listed(0), self.listed(1)] {
            [true, false] => 0,
            [false, true] => 1,
            _ => return false,
        };
        let (read, write) = (self.product.read(self.msr), self.product.write(self.msr));
        let answers = read[side].answers.iter().chain(write[side].answers.iter());
        let given = answers.filter(|(kind, _)| !matches!(kind, Kind::Fault | Kind::Unlisted));
        let given: Vec<Truth> = given.map(|(_, when)| *when).collect();
        let given = self.product.table.any(given);
        self.product.met_alone(given, side)
    }

    fn rule(&self, raw: &Raw, only_faults: bool) -> Option<&'static Rule> {
        use Kind::{Done, Fault, Hook, Pass, Unlisted};
        let listed = [self.listed(0), self.listed(1)];
        match listed {
            [false, true] if only_faults => return Some(&rules::MSR_CLAIMED),
            [true, false] if only_faults => return Some(&rules::MSR_LEFT),
            [false, true] => return Some(&rules::REGISTER_ADDED),
            [true, false] => return Some(&rules::REGISTER_REMOVED),
            _ => {}
        }
        // Where the hypervisor acts on some values on both sides, it is about the others.
        let values = raw.access == Access::Write && (0..2).all(|side| self.acts_on_writes(side));
        Some(match (&raw.kinds, raw.there) {
            ([Unlisted, Fault], _) => &rules::MSR_CLAIMED,
            ([Fault, Unlisted], _) => &rules::MSR_LEFT,
            // That the register is there is no good to a guest which faults by that, and the other way round.
            // Nor that it reaches the hardware, or the hypervisor, where it was answered.
            ([Done, Pass], There::New) => &rules::PASS_THROUGH_ADDED,
            ([Pass, Done], There::Old) => &rules::PASS_THROUGH_REMOVED,
            ([Done, Hook(_)], There::New) => &rules::HOOK_ADDED,
            ([Hook(_), Done], There::Old) => &rules::HOOK_REMOVED,
            ([Done, Fault | Unlisted], There::New) if raw.access == Access::Read => {
                &rules::READ_FAULTS
            }
            ([Done, Fault | Unlisted], There::New) => &rules::WRITE_FAULTS,
            ([Fault | Unlisted, Done], There::Old) if raw.access == Access::Read => {
                &rules::READ_ANSWERS
            }
            ([Fault | Unlisted, Done], There::Old) => &rules::WRITE_ACCEPTED,
            (_, There::Old) => &rules::REGISTER_ABSENT,
            (_, There::New) => &rules::REGISTER_PRESENT,
            ([Fault | Unlisted, _], There::None) => &rules::ABSENCE_ZERO,
            (_, There::None) => &rules::ABSENCE_FAULTS,
            ([Hook(_), Fault], _) if values => &rules::WRITE_FAULTS,
            ([Fault, Hook(_)], _) if values => &rules::WRITE_ACCEPTED,
            ([Pass, _], _) => &rules::PASS_THROUGH_REMOVED,
            ([_, Pass], _) => &rules::PASS_THROUGH_ADDED,
            ([Hook(_), Hook(_)], _) => &rules::HOOK_CHANGED,
            ([Hook(_), _], _) => &rules::HOOK_REMOVED,
            ([_, Hook(_)], _) => &rules::HOOK_ADDED,
            ([Done, _], _) if raw.access == Access::Read => &rules::READ_FAULTS,
            (_, _) if raw.access == Access::Read => &rules::READ_ANSWERS,
            ([Done, _], _) => &rules::WRITE_FAULTS,
            _ => &rules::WRITE_ACCEPTED,
        })
    }

    fn of_rule(&mut self, rule: &'static Rule, raws: &[Raw]) -> Option<Finding> {
        let write = raws
            .iter()
            .find(|raw| raw.access == Access::Write && rule_is_about_values(rule));
        let values = write.map(|raw| values::written(self.product, raw.when));
        let mask = values.as_ref().map_or(0, |values| values.bits);
        let accesses = accesses(raws);
        let absence = rule == &rules::ABSENCE_FAULTS || rule == &rules::ABSENCE_ZERO;
        let demand = match &values {
            Some(values) => about_values(values),
            None if absence => Demand::Not(format!(
                "{accesses} {{msrs}} where it has no such register or bank"
            )),
            None => Demand::Not(format!("{accesses} {{msrs}}")),
        };
        if self.known.has(rule, &demand) {
            return None;
        }
        // The plainest: one in which a side answers, met soonest, and a read before a write.
        let plain = |raw: &&Raw| !raw.kinds.contains(&Kind::Done);
        let layers: Vec<Option<usize>> =
            raws.iter().map(|raw| self.product.met(raw.when)).collect();
        let refused = |raw: &Raw| raw.kinds.contains(&Kind::Fault);
        let (shown, _) = raws.iter().zip(&layers).min_by_key(|(raw, layer)| {
            (
                plain(raw),
                **layer,
                refused(raw),
                raw.access == Access::Write,
            )
        })?;
        let path = self.product.path(shown.when)?;
        let last = match shown.access {
            Access::Read => Step::Read(self.msr),
            Access::Write => Step::Write {
                msr: self.msr,
                value: path.value,
            },
        };
        let witness = self.witness(&path, last);
        // A guest for which both sides fault anyway is not one of those that it is about.
        let faults = |raw: &&Raw| {
            raw.kinds
                .iter()
                .all(|kind| matches!(kind, Kind::Fault | Kind::Unlisted))
        };
        let whole = raws.iter().all(|raw| faults(&raw));
        let met = raws.iter().filter(|raw| whole || !faults(raw));
        let met = met.map(|raw| {
            let what = format!("{:?} {:?} {:?}", raw.access, raw.there, raw.kinds);
            (what, raw.when)
        });
        let met: Vec<(String, Truth)> = met.collect();
        let text = match (&values, rule_is_about_values(rule)) {
            (Some(values), true) => format!("wrmsr of {}: {}", values.text, answers(&witness)),
            _ => format!("{accesses}: {}{}", answers(&witness), others(shown, raws)),
        };
        let listed = [&rules::REGISTER_ADDED, &rules::REGISTER_REMOVED].contains(&rule);
        let text = match listed && whole {
            true => format!("{text}; it answers after what the other side answers otherwise"),
            false => text,
        };
        let aspect = match (rule_is_about_values(rule), raws[0].there, raws[0].access) {
            (true, ..) => Aspect::Write,
            (_, There::Both, Access::Read) => Aspect::Read,
            (_, There::Both, Access::Write) => Aspect::Write,
            _ => Aspect::Presence,
        };
        Some(self.finding(rule, mask, aspect, text, demand, &met, Some(witness)))
    }
}

fn rule_is_about_values(rule: &Rule) -> bool {
    [&rules::WRITE_FAULTS, &rules::WRITE_ACCEPTED].contains(&rule)
}

/// What other written values meet where the register is on both sides, if that is something else.
fn others(shown: &Raw, raws: &[Raw]) -> String {
    let is_other = |raw: &&Raw| {
        let both = [shown.there, raw.there] == [There::Both; 2];
        let write = [shown.access, raw.access] == [Access::Write; 2];
        both && write && raw.kinds != shown.kinds
    };
    let word = |kind: &Kind| match kind {
        Kind::Done => "ok".to_owned(),
        Kind::Fault => "#GP".to_owned(),
        Kind::Unlisted => "unhandled".to_owned(),
        Kind::Pass => "pass".to_owned(),
        Kind::Hook(name) => format!("hook {name}"),
    };
    let own = raws.iter().filter(is_other);
    let own = own.map(|raw| raw.kinds.each_ref().map(word).join(" → "));
    match own.collect::<Vec<_>>().as_slice() {
        [] => String::new(),
        others => format!("; other values: {}", others.join(", ")),
    }
}

fn accesses(raws: &[Raw]) -> &'static str {
    let has = |access| raws.iter().any(|raw| raw.access == access);
    match (has(Access::Read), has(Access::Write)) {
        (true, true) => "read or write",
        (true, false) => "read",
        _ => "write",
    }
}

/// What a guest may not write.
fn about_values(values: &Values) -> Demand {
    match (&values.but, values.text.as_str()) {
        (Some(others), _) => Demand::Only(format!("write to {{msrs}} is of {others}")),
        (None, "any value") => Demand::Not("write {msrs}".to_owned()),
        (None, text) => Demand::Not(format!("write {text} to {{msrs}}")),
    }
}
