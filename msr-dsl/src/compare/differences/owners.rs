//! Whose state it is: the vCPU's or the guest's, the guest's or the hypervisor's.

use super::{Msr, answers};
use crate::compare::condition::Demand;
use crate::compare::finding::{Aspect, Finding, Witness};
use crate::compare::rules;
use crate::compare::steps::Step;
use crate::compare::symbols::Kind;
use crate::compare::truth::Truth;
use crate::model::Scope;

impl Msr<'_, '_> {
    /// The hypervisor sets the state on one side alone.
    pub(super) fn of_holder(&mut self) -> Option<Finding> {
        let register = |side: usize| {
            let (id, _) = self.setting.places[side].get(&self.msr)?;
            Some(self.setting.views[side].register(*id))
        };
        let (rule, words) = match [register(0)?.held, register(1)?.held] {
            [false, true] => (
                &rules::HELD_ADDED,
                "the hypervisor does not hold it → holds it",
            ),
            [true, false] => (
                &rules::HELD_REMOVED,
                "the hypervisor holds it → does not hold it",
            ),
            _ => return None,
        };
        let witness = Witness::new(self.setting.views, vec![Step::Held(self.msr)]);
        let not = "rely on what {msrs} holds".to_owned();
        let always = [(String::new(), Truth::YES)];
        let aspect = Aspect::Held;
        Some(self.finding(
            rule,
            0,
            aspect,
            words.to_owned(),
            Demand::Not(not),
            &always,
            Some(witness),
        ))
    }

    /// One state for all vCPUs of a guest on one side, and for each its own on the other: a write by one is seen by another.
    pub(super) fn of_scope(&mut self) -> Option<Finding> {
        let scope = |side: usize| {
            let (id, _) = self.setting.places[side].get(&self.msr)?;
            let register = self.setting.views[side].register(*id);
            register.stored.then_some(register.scope)
        };
        let (rule, shared) = match [scope(0)?, scope(1)?] {
            [Scope::Vcpu, Scope::Guest] => (&rules::SCOPE_GUEST, 1),
            [Scope::Guest, Scope::Vcpu] => (&rules::SCOPE_VCPU, 0),
            _ => return None,
        };
        // Another vCPU finds what was written where it is shared, and what is there after power-on where it is not.
        let reads = self.product.read(self.msr);
        let (mut written, mut told) = (Vec::new(), Vec::new());
        for bit in 0..64 {
            let here = reads[shared].value[bit];
            let [own, other] =
                [here, reads[1 - shared].value[bit]].map(|one| self.product.born(one));
            written.push(self.product.table.differ(here, own));
            told.push(self.product.table.differ(here, other));
        }
        let (written, told) = (
            self.product.table.any(written),
            self.product.table.any(told),
        );
        let both = self.product.table.and(written, told);
        let done = [0, 1].map(|side| reads[side].answers.when(&Kind::Done));
        let done = self.product.table.and(done[0], done[1]);
        let when = self.product.table.and(both, done);
        let path = self.product.path(when)?;
        let mut steps = path.steps.clone();
        steps.extend([Step::Vcpu(1), Step::Read(self.msr)]);
        let start = [0, 1].map(|side| self.start(&path, side));
        let witness = Witness::of(self.setting.views, start, steps);
        let words = match shared {
            1 => "one state for each vCPU → one for the whole guest",
            _ => "one state for the whole guest → one for each vCPU",
        };
        let text = format!("{words}; another vCPU reads {}", answers(&witness));
        // Who had its own loses it, and who shared it is not told any more.
        let nots = [
            "have another value of {msrs} on each vCPU",
            "rely on {msrs} being alike on every vCPU",
        ];
        let not = |side: usize| Demand::Not(nots[usize::from(side == shared)].to_owned());
        let (here, back) = (not(0), not(1));
        let mut finding = self.finding(
            rule,
            0,
            Aspect::Scope,
            text,
            here,
            &[(String::new(), when)],
            Some(witness),
        );
        if let Some(condition) = &mut finding.conditions[1] {
            condition.demand = back;
        }
        Some(finding)
    }
}
