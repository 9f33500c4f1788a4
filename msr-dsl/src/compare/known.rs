//! What other findings say already of an MSR to a guest that moves.

use super::finding::Finding;
use super::rules::{self, Effect, Rule};

/// Of one MSR, in one direction.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Whatever a guest meets there is told.
    pub whole: bool,
    /// Bits of which it is told that they differ.
    pub bits: u64,
    /// Rules that are told, as the direction has them.
    rules: Vec<&'static Rule>,
}

impl Known {
    /// What some findings say of an MSR; 0 is old to new, 1 new to old. Those that are safe in the direction say nothing.
    pub fn of(findings: &[Finding], direction: usize, msr: u32) -> Self {
        let whole: [&Rule; 7] = [
            &rules::ITEM_DROPPED,
            &rules::ITEM_SAVED_AGAIN,
            &rules::SCOPE_GUEST,
            &rules::SCOPE_VCPU,
            &rules::REGISTER_ADDED,
            &rules::REGISTER_REMOVED,
            &rules::ADDRESS_MOVED,
        ];
        let mut known = Self::default();
        let about_it = findings.iter().filter(|finding| {
            finding.effects()[direction] != Effect::Safe && finding.about.msrs.contains(&msr)
        });
        for finding in about_it {
            known.whole |= whole.contains(&finding.rule);
            known.rules.push(match direction {
                0 => finding.rule,
                _ => finding.rule.mirrored(),
            });
            if finding.about.tag.is_none() {
                known.bits |= finding.about.bits;
            }
        }
        known
    }

    /// A finding by this rule, about these bits of this MSR or about none, says nothing more.
    pub fn tells(&self, rule: &Rule, bits: u64) -> bool {
        self.whole
            || match bits {
                0 => self.rules.contains(&rule),
                bits => bits & !self.bits == 0,
            }
    }
}
