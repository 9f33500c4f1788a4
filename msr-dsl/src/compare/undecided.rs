//! Questions that were given up, and what the others took.

use super::groups::Group;
use super::product::TooLarge;
use std::collections::BTreeSet;

/// What a comparison could not decide.
#[derive(Default)]
pub struct Undecided {
    given_up: Vec<BTreeSet<u32>>,
    questions: Vec<TooLarge>,
    work: u64,
}

impl Undecided {
    /// A part of the question was too large already; so is the whole.
    pub fn covers(&self, group: &Group) -> bool {
        holds_one(group, &self.given_up)
    }

    /// The MSRs of each question.
    pub fn given_up(&self) -> &[BTreeSet<u32>] {
        &self.given_up
    }

    /// Keeps that a group was too large.
    pub fn note(&mut self, group: &Group, question: TooLarge) {
        self.given_up.push(group.msrs.clone());
        self.questions.push(question);
    }

    /// Counts what a question took that was answered.
    pub fn took(&mut self, work: u64) {
        self.work += work;
    }

    /// What all questions took that were answered: [`Table::work`](super::truth::Table::work).
    pub fn work(&self) -> u64 {
        self.work
    }

    /// What they were about.
    pub fn questions(self) -> Vec<TooLarge> {
        self.questions
    }
}

/// Whether a group has all the MSRs of one of these.
pub fn holds_one(group: &Group, parts: &[BTreeSet<u32>]) -> bool {
    parts.iter().any(|part| part.is_subset(&group.msrs))
}
