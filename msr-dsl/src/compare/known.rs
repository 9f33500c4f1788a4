//! What other findings say already of an MSR to a guest that moves.

use super::condition::{Affected, Condition, Demand};
use super::finding::Finding;
use super::rules::{self, Effect, Rule};

/// Of one MSR, in one direction.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Whatever a guest meets there is told.
    pub whole: bool,
    /// What else is told.
    parts: Vec<Part>,
}

/// What one finding says.
#[derive(Clone, Debug)]
struct Part {
    /// As the direction has it.
    rule: &'static Rule,
    bits: u64,
    condition: Condition,
}

impl Known {
    /// What some findings say of an MSR; 0 is old to new, 1 new to old. Those that are safe in the direction say nothing.
    pub fn of(findings: &[Finding], direction: usize, msr: u32) -> Self {
        let converted = (findings.iter()).any(|finding| finding.rule == &rules::INTERFACE_NAME);
        let whole: [&Rule; 5] = [
            &rules::ITEM_DROPPED,
            &rules::ITEM_SAVED_AGAIN,
            &rules::REGISTER_ADDED,
            &rules::REGISTER_REMOVED,
            &rules::ADDRESS_MOVED,
        ];
        let mut known = Self::default();
        let about_it = findings.iter().filter(|finding| {
            finding.effects()[direction] != Effect::Safe && finding.about.msrs.contains(&msr)
        });
        for finding in about_it {
            known.whole |=
                whole.contains(&finding.rule) || converted && is_shown_to_be_lost(finding);
            let rule = match direction {
                0 => finding.rule,
                _ => finding.rule.mirrored(),
            };
            let condition = finding.conditions[direction].clone();
            // What is said of a record is not said of what is read.
            if let (Some(condition), None) = (condition, finding.about.tag) {
                let bits = finding.about.bits;
                known.parts.push(Part {
                    rule,
                    bits,
                    condition,
                });
            }
        }
        known
    }

    /// Bits of which it is told to every guest that they read otherwise.
    pub fn read(&self) -> u64 {
        self.read_by(&None)
    }

    /// The same of some guests.
    fn read_by(&self, guests: &Option<Affected>) -> u64 {
        let own = self.parts.iter().filter(|part| {
            !is_about_writes(part.rule) && is_among(guests, &part.condition.affected)
        });
        own.fold(0, |all, part| all | part.bits)
    }

    /// A finding, which is about this MSR alone, says nothing more.
    pub fn tells(&self, finding: &Finding) -> bool {
        let Some(condition) = &finding.conditions[0] else {
            return self.whole;
        };
        let bits = finding.about.bits;
        let reads = bits != 0 && !is_about_writes(finding.rule);
        let same = |part: &Part| {
            part.rule == finding.rule
                && part.condition.demand == condition.demand
                && is_among(&condition.affected, &part.condition.affected)
        };
        self.whole
            || reads && bits & !self.read_by(&condition.affected) == 0
            || self.parts.iter().any(same)
    }

    /// Every guest is told of what a rule says, with this demand.
    pub fn has(&self, rule: &Rule, demand: &Demand) -> bool {
        self.whole
            || self.parts.iter().any(|part| {
                part.rule == rule
                    && part.condition.demand == *demand
                    && part.condition.affected.is_none()
            })
    }
}

/// Between interfaces it says, and shows, that nobody is to rely on what a register holds.
fn is_shown_to_be_lost(finding: &Finding) -> bool {
    let items: [&Rule; 4] = [
        &rules::ITEM_REMOVED,
        &rules::ITEM_ADDED,
        &rules::ITEM_SHORTER,
        &rules::ITEM_LONGER,
    ];
    items.contains(&finding.rule) && finding.witness.is_some()
}

/// Its bits are those of written values.
fn is_about_writes(rule: &Rule) -> bool {
    [&rules::WRITE_FAULTS, &rules::WRITE_ACCEPTED].contains(&rule)
}

/// Every guest of the first is one of the second; none stands for all.
fn is_among(guests: &Option<Affected>, among: &Option<Affected>) -> bool {
    match (guests, among) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(guests), Some(among)) => guests.cases.iter().all(|(mask, value)| {
            let mut wider = among.cases.iter();
            wider.any(|(wide, own)| wide & !mask == 0 && value & wide == *own)
        }),
    }
}
