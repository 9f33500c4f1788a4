//! Questions that have nothing to do with each other, on all processors of the machine.

use super::groups::Group;
use super::product::TooLarge;
use super::undecided::{Undecided, holds_one};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// What is found out of a group.
pub type Decided<T> = Result<T, Box<TooLarge>>;

/// Bytes of a thread's stack, of which it takes what it uses: truth functions are as deep as they have bits.
const STACK: usize = 1 << 30;
/// So few questions are answered before another thread has begun.
const FEW: usize = 8;
/// More threads than this wait for memory.
const MOST: usize = 8;

/// Answers the questions about some groups, smaller ones first, and hands each answer to `tell` in their order, but for those that were given
/// up: these are noted. A group that holds one that was given up is not asked about.
pub fn each<A: Sync, T: Send + Sync>(
    groups: Vec<(Group, A)>,
    undecided: &mut Undecided,
    decide: impl Fn(&Group, &A) -> Decided<T> + Sync,
    mut tell: impl FnMut(A, T),
) {
    let answers: Vec<OnceLock<Decided<T>>> = groups.iter().map(|_| OnceLock::new()).collect();
    let given_up: Mutex<Vec<BTreeSet<u32>>> = Mutex::new(undecided.given_up().to_vec());
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((at, (group, asked))) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            groups.get(at).map(|one| (at, one))
        } {
            let parts = given_up.lock().unwrap_or_else(PoisonError::into_inner);
            if holds_one(group, &parts) {
                continue;
            }
            drop(parts);
            let answer = decide(group, asked);
            if answer.is_err() {
                let mut parts = given_up.lock().unwrap_or_else(PoisonError::into_inner);
                parts.push(group.msrs.clone());
            }
            _ = answers[at].set(answer);
        }
    };
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(MOST);
    std::thread::scope(|scope| {
        let more = if groups.len() > FEW { threads - 1 } else { 0 };
        for _ in 0..more {
            // Where there is no other thread, this one does it all.
            let builder = std::thread::Builder::new().stack_size(STACK);
            _ = builder.spawn_scoped(scope, work);
        }
        work();
    });
    for ((group, asked), answer) in groups.into_iter().zip(answers) {
        // Which of them were asked about at the same time makes no difference.
        if undecided.covers(&group) {
            continue;
        }
        match answer.into_inner() {
            Some(Ok(found)) => tell(asked, found),
            Some(Err(question)) => undecided.note(&group, *question),
            None => {}
        }
    }
}
