//! Which rule a bit has, and which values are legal.

use crate::model::{BitRule, Field, Legal, Register, Rule, Set};

/// Whether a value is in the rule's sets (a condition is not about sets: true).
pub fn in_sets(rule: &Rule, value: u64) -> bool {
    let Legal::Sets(sets) = &rule.legal else {
        return true;
    };
    sets.iter().any(|set| match set {
        Set::Range(low, high) => (*low..=*high).contains(&value),
        Set::AllOnesLess(bits) => (0..64).all(|bit| value >> bit & 1 == 1 || bits >> bit & 1 == 1),
    })
}

pub(super) fn field_at(register: &Register, bit: u32) -> Option<&Field> {
    register
        .fields
        .iter()
        .find(|field| (field.lo..=field.hi).contains(&bit))
}

pub(super) fn rule_of(register: &Register, bit: u32) -> &BitRule {
    field_at(register, bit).map_or(&register.reserved, |field| &field.write)
}
