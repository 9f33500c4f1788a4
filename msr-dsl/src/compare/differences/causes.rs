//! What else makes a bit differ. The shortest way to a difference names the rule; where that is one by which a guest loses nothing in one
//! direction, or about INIT alone, another way may be worse.

use super::Msr;
use super::bits::{Look, Seen, rule_aspect};
use crate::compare::condition::Demand;
use crate::compare::finding::Finding;
use crate::compare::phrases::bits;
use crate::compare::product::{Path, Sought, Way};
use crate::compare::rules::{self, Rule};
use crate::compare::steps::Step;
use crate::compare::truth::Truth;
use crate::compare::word::Word;

/// Bits of a register that differ, by a rule that is known.
pub(super) struct Known<'k> {
    pub seen: Seen,
    pub words: &'k [Word; 2],
    /// Where the register is looked at.
    pub when: Truth,
    /// Where each of the bits differs.
    pub differ: &'k [(usize, Truth)],
    pub bits: u64,
    pub rule: &'static Rule,
}

/// The rules beside which another one may hold.
fn is_one_of_several(rule: &Rule) -> bool {
    [
        &rules::WRITE_KEPT,
        &rules::WRITE_IGNORED,
        &rules::INJECTION_SETS_MORE,
        &rules::INJECTION_SETS_LESS,
        &rules::INIT_CHANGED,
    ]
    .contains(&rule)
}

impl Msr<'_, '_> {
    /// The findings of other rules about these bits, each with the shortest way that shows it.
    pub(super) fn other_causes(&mut self, known: &Known) -> Vec<Finding> {
        if !is_one_of_several(known.rule) {
            return Vec::new();
        }
        let mut told: Vec<(&'static Rule, u64)> = vec![(known.rule, known.bits)];
        let mut findings = Vec::new();
        let unlike = self.product.unlike(self.msr);
        for (step, way, rule) in self.ways(known.seen) {
            let mut left = known.bits & !bits_told(&told, rule);
            while left != 0 {
                let sought = Sought {
                    words: known.words,
                    bits: left,
                    when: known.when,
                    unlike: &unlike,
                };
                let Some(path) = self.product.path_into(step, way, &sought) else {
                    break;
                };
                let entered = self.entered(known.seen.look, &path) & left;
                let Some(first) = (0..64).find(|bit| entered >> bit & 1 == 1) else {
                    break;
                };
                let (rule, own) = self.rule_of_value(known.seen, &path, first, entered);
                left &= !own;
                let Some(rule) = rule else {
                    continue;
                };
                let own = own & !bits_told(&told, rule);
                if own == 0 {
                    continue;
                }
                told.push((rule, own));
                findings.push(self.of_cause(known, rule, own, &path));
            }
        }
        findings
    }

    /// What can happen, and what a difference that comes of it is called.
    fn ways(&self, seen: Seen) -> Vec<(usize, Way, &'static Rule)> {
        let mut ways = Vec::new();
        for (at, step) in self.product.steps() {
            let own: &[(Way, &'static Rule)] = match step {
                Step::Write { msr, .. } if self.is_written_at(*msr) => &[
                    (Way::Takes(0), &rules::WRITE_IGNORED),
                    (Way::Turns(0), &rules::WRITE_EFFECT),
                    (Way::Takes(1), &rules::WRITE_KEPT),
                    (Way::Turns(1), &rules::WRITE_EFFECT),
                ],
                Step::Write { .. } => {
                    let rule = self.rule_of_write(step, seen.sort);
                    &[0, 1].map(|side| (Way::Changes(side), rule))
                }
                Step::Inject(_) => &[
                    (Way::Gives(true), &rules::INJECTION_SETS_LESS),
                    (Way::Gives(false), &rules::INJECTION_SETS_MORE),
                ],
                Step::Init | Step::InitElsewhere => &[
                    (Way::Changes(0), &rules::INIT_CHANGED),
                    (Way::Changes(1), &rules::INIT_CHANGED),
                ],
                _ => continue,
            };
            ways.extend(own.iter().map(|(way, rule)| (at, *way, *rule)));
        }
        ways
    }

    /// The bits that a path's last step makes differ.
    fn entered(&self, look: Look, path: &Path) -> u64 {
        let earlier = path.before_the_last();
        let differ =
            |path: &Path| self.value_after(look, path, 0) ^ self.value_after(look, path, 1);
        differ(path) & !differ(&earlier)
    }

    fn of_cause(&mut self, known: &Known, rule: &'static Rule, own: u64, path: &Path) -> Finding {
        let look = known.seen.look;
        let witness = self.witness(path, look.step(self.msr));
        let text = look.text(own, path, &witness);
        let demand = Demand::Not(format!("rely on {} of {{msrs}}", bits(own)));
        let differ = known.differ.iter().copied();
        let differ: Vec<_> = differ.filter(|(bit, _)| own >> bit & 1 == 1).collect();
        let met = self.differing(known.words, &differ);
        let mut finding = self.finding(
            rule,
            own,
            rule_aspect(rule),
            text,
            demand,
            &met,
            Some(witness),
        );
        self.name_injection(&mut finding);
        finding
    }
}

fn bits_told(told: &[(&'static Rule, u64)], rule: &Rule) -> u64 {
    let own = told.iter().filter(|(known, _)| *known == rule);
    own.fold(0, |all, (_, bits)| all | bits)
}
