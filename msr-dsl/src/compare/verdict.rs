//! Whether guests of one side can go on under the other.

use super::condition::{Condition, Demand};
use super::finding::{Finding, Fingerprint};
use super::rules::Effect;
use std::collections::HashSet;
use std::fmt;

/// The answer for one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every guest can, and misses nothing.
    Safe,
    /// Guests can for which all of this holds.
    Conditional(Vec<Reason>),
    /// Something was too large to decide: guests can at most if all of this holds.
    Undecided(Vec<Reason>),
    /// None can.
    Refused(Vec<Reason>),
}

/// Why it is not simply safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The rule.
    pub rule: &'static str,
    /// The finding.
    pub fingerprint: Fingerprint,
    /// What has to hold; none if nothing helps.
    pub condition: Option<Condition>,
    /// In words.
    pub text: String,
}

/// The verdict of a direction, 0 is old to new, 1 new to old, by all findings or by those that were `decided`.
pub fn verdict(findings: &[Finding], decided: bool, direction: usize) -> Verdict {
    let (mut refused, mut conditions): (Vec<Reason>, Vec<Reason>) = (Vec::new(), Vec::new());
    let mut told: HashSet<(bool, String)> = HashSet::new();
    for finding in findings {
        let condition = finding.conditions[direction].clone();
        let effect = finding.effects()[direction];
        if effect == Effect::Safe {
            continue;
        }
        let rule = match direction {
            0 => finding.rule,
            _ => finding.rule.mirrored(),
        };
        let hopeless = condition.as_ref().is_none_or(|condition| {
            condition.demand == Demand::Another && condition.affected.is_none()
        });
        let text = match &condition {
            Some(condition) if !hopeless => condition.to_string(),
            _ => format!("{}: {}", rule.title, seen_from(direction, &finding.text)),
        };
        let reason = Reason {
            rule: rule.id,
            fingerprint: finding.fingerprint(),
            condition,
            text,
        };
        let refuses = effect == Effect::Refused || hopeless;
        if told.insert((refuses, reason.text.clone())) {
            match refuses {
                true => refused.push(reason),
                false => conditions.push(reason),
            }
        }
    }
    match (refused.is_empty(), conditions.is_empty()) {
        (false, _) => Verdict::Refused(refused),
        _ if !decided => Verdict::Undecided(conditions),
        (true, false) => Verdict::Conditional(conditions),
        (true, true) => Verdict::Safe,
    }
}

/// A finding's text, `item 5: restored → refused`, as the direction has it.
fn seen_from(direction: usize, text: &str) -> String {
    let start = text.rfind(": ").map_or(0, |at| at + 2);
    match text[start..].split_once(" → ") {
        Some((was, is)) if direction == 1 => format!("{}{is} → {was}", &text[..start]),
        _ => text.to_owned(),
    }
}

impl Verdict {
    /// A word for machines.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Conditional(_) => "conditional",
            Self::Undecided(_) => "undecided",
            Self::Refused(_) => "refused",
        }
    }

    /// Why it is not simply safe.
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Self::Safe => &[],
            Self::Conditional(reasons) | Self::Undecided(reasons) | Self::Refused(reasons) => {
                reasons
            }
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Safe => "safe",
            Self::Conditional(_) => "safe on conditions",
            Self::Undecided(_) => "not decided",
            Self::Refused(_) => "refused",
        })
    }
}
