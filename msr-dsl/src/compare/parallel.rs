//! Questions that have nothing to do with each other, on all processors of the machine.

use super::groups::Group;
use super::product::TooLarge;
use super::truth::Table;
use super::undecided::{Undecided, holds_one};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// What is found out of a group.
pub type Decided<T> = Result<T, Box<TooLarge>>;

/// A group, what is asked of it, and what its functions will look like.
pub struct Question<A> {
    /// The group.
    pub group: Group,
    /// What is asked.
    pub asked: A,
    /// The same number for questions that have most of their functions in common.
    pub shape: u64,
}

/// What is found out of a group, with the table, which the next question of its shape can use.
pub type Answered<T> = Result<(T, Table), Box<TooLarge>>;

/// Bytes of a thread's stack, of which it takes what it uses: truth functions are as deep as they have bits.
const STACK: usize = 1 << 30;
/// So few questions are answered before another thread has begun.
const FEW: usize = 8;
/// More threads than this wait for memory.
const MOST: usize = 8;
/// So many questions of one shape have one table: the more, the less is worked out twice; the fewer, the more threads share the work.
/// It is a number of its own, and none of the machine's, so that the work is the same on all of them.
const BATCH: usize = 32;

/// Answers the questions about some groups, smaller ones first, and hands each answer to `tell` in their order, but for those that were given
/// up: these are noted. A group that holds one that was given up is not asked about.
pub fn each<A: Sync, T: Send + Sync>(
    questions: Vec<Question<A>>,
    undecided: &mut Undecided,
    decide: impl Fn(&Group, &A, Table) -> Answered<T> + Sync,
    mut tell: impl FnMut(A, T),
) {
    let answers: Vec<OnceLock<Decided<(T, u64)>>> =
        questions.iter().map(|_| OnceLock::new()).collect();
    let given_up: Mutex<Vec<BTreeSet<u32>>> = Mutex::new(undecided.given_up().to_vec());
    let batches = batches(&questions);
    let next = AtomicUsize::new(0);
    let answer = |at: usize, table: Table| -> Option<Table> {
        let Question { group, asked, .. } = &questions[at];
        let parts = given_up.lock().unwrap_or_else(PoisonError::into_inner);
        if holds_one(group, &parts) {
            return None;
        }
        drop(parts);
        let before = table.work();
        let (answer, table) = match decide(group, asked, table) {
            Ok((found, table)) => (Ok((found, table.work() - before)), Some(table)),
            Err(question) => (Err(question), None),
        };
        if answer.is_err() {
            let mut parts = given_up.lock().unwrap_or_else(PoisonError::into_inner);
            parts.push(group.msrs.clone());
        }
        _ = answers[at].set(answer);
        table
    };
    let work = || {
        while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
            // A table that was full is of no use to the next question.
            batch.iter().fold(Table::default(), |table, at| {
                answer(*at, table).unwrap_or_default()
            });
        }
    };
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(MOST);
    std::thread::scope(|scope| {
        let more = if questions.len() > FEW {
            threads - 1
        } else {
            0
        };
        for _ in 0..more {
            // Where there is no other thread, this one does it all.
            let builder = std::thread::Builder::new().stack_size(STACK);
            _ = builder.spawn_scoped(scope, work);
        }
        work();
    });
    for (question, answer) in questions.into_iter().zip(answers) {
        // Which of them were asked about at the same time makes no difference.
        if undecided.covers(&question.group) {
            continue;
        }
        match answer.into_inner() {
            Some(Ok((found, work))) => {
                undecided.took(work);
                tell(question.asked, found);
            }
            Some(Err(too_large)) => undecided.note(&question.group, *too_large),
            None => {}
        }
    }
}

/// Questions of one shape that are answered one after the other, by their places.
fn batches<A>(questions: &[Question<A>]) -> Vec<Vec<usize>> {
    let size = |at: usize| (questions[at].group.msrs.len(), questions[at].shape);
    let mut all: Vec<usize> = (0..questions.len()).collect();
    all.sort_by_key(|at| size(*at));
    let alike = all.chunk_by(|one, other| size(*one) == size(*other));
    alike
        .flat_map(|alike| alike.chunks(BATCH))
        .map(<[usize]>::to_vec)
        .collect()
}
