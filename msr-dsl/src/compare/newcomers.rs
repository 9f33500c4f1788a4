//! Guests of a side without a capability word: under the other side each has the word that a record without one brings.

use super::accesses::Setting;
use super::finding::Finding;
use crate::model::{Migrate, View};

/// Of what is found for some capability words, only that one is a condition for such guests, and it is one for all of them.
pub fn newcomers(setting: &Setting, findings: &mut [Finding]) {
    let [old, new] = setting.views;
    let words = [word_of([old, new]), word_of([new, old])];
    for finding in findings {
        for (condition, word) in finding.conditions.iter_mut().zip(words) {
            let (Some(condition), Some(word)) = (condition, word) else {
                continue;
            };
            match &mut condition.affected {
                Some(affected) if affected.contains(word) => condition.affected = None,
                Some(affected) => affected.cases.clear(),
                None => {}
            }
        }
    }
}

/// The word that guests of the first side get on the second one, if they have none.
fn word_of([from, to]: [&View; 2]) -> Option<u64> {
    let (None, Some(id)) = (from.capability, to.capability) else {
        return None;
    };
    match to.register(id).migrate {
        Migrate::Saved { default, .. } => Some(default),
        _ => None,
    }
}
