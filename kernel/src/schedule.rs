//! Which of its vCPUs a processor runs next: round robin by time slices; what must not wait goes first.

/// What a vCPU wants of its processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Nothing: it has not been started, or never runs again.
    Nothing,
    /// Nothing until an event comes: it may rest on the processor if nobody else wants it.
    Halted,
    /// Its turn.
    Runs,
    /// A machine check waits for it, and perhaps another vCPU of its guest for its handler.
    Urgent,
}

/// The next vCPU of a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its place in the processor's list.
    pub place: usize,
    /// Another one wants its turn: this one runs no longer than its slice.
    pub contended: bool,
}

/// Chooses among `count` vCPUs. The one at `current` ran last; it goes on unless its slice is over or another must not
/// wait. None if no vCPU can be entered.
pub fn choose(
    count: usize,
    current: Option<usize>,
    slice_over: bool,
    need: impl Fn(usize) -> Need,
) -> Option<Choice> {
    let first = match current {
        Some(place) if slice_over => place + 1,
        Some(place) => place,
        None => 0,
    };
    let mut best = None;
    let mut want = 0;
    for place in (0..count).map(|n| (first + n) % count) {
        let need = need(place);
        if need >= Need::Runs {
            want += 1;
        }
        // Of equals the first in the round.
        if need > best.map_or(Need::Nothing, |(_, need)| need) {
            best = Some((place, need));
        }
    }
    best.map(|(place, need)| Choice {
        place,
        contended: want > usize::from(need >= Need::Runs),
    })
}

#[cfg(test)]
mod tests {
    use super::Need::{Halted, Nothing, Runs, Urgent};
    use super::*;

    fn next(needs: &[Need], current: Option<usize>, slice_over: bool) -> Option<(usize, bool)> {
        let need = |place: usize| needs[place];
        choose(needs.len(), current, slice_over, need).map(|c| (c.place, c.contended))
    }

    #[test]
    fn one_goes_on_until_its_slice_is_over() {
        assert_eq!(next(&[Runs, Runs], Some(1), false), Some((1, true)));
        assert_eq!(next(&[Runs, Runs], Some(1), true), Some((0, true)));
        // Alone it keeps the processor.
        assert_eq!(next(&[Nothing, Runs], Some(1), true), Some((1, false)));
    }

    #[test]
    fn what_does_not_run_is_skipped() {
        assert_eq!(next(&[], None, true), None);
        assert_eq!(next(&[Nothing, Nothing], Some(0), false), None);
        assert_eq!(
            next(&[Runs, Nothing, Halted, Runs], Some(0), true),
            Some((3, true))
        );
        assert_eq!(
            next(&[Nothing, Halted, Runs], Some(1), false),
            Some((2, false))
        );
        // A halted one rests on the processor only if nobody wants it.
        assert_eq!(
            next(&[Nothing, Halted, Halted], Some(1), false),
            Some((1, false))
        );
    }

    #[test]
    fn a_machine_check_does_not_wait_for_its_turn() {
        assert_eq!(next(&[Runs, Runs, Urgent], Some(0), false), Some((2, true)));
        assert_eq!(
            next(&[Runs, Urgent, Urgent], Some(2), false),
            Some((2, true))
        );
        assert_eq!(next(&[Halted, Urgent], Some(0), false), Some((1, false)));
    }

    /// Whatever comes and goes, who wants the processor all the time gets every so manyth slice.
    #[test]
    fn everybody_gets_his_turn() {
        let mut random = 1u64;
        let mut draw = || {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            random >> 33
        };
        for count in 1..=20usize {
            let mut since = vec![0; count];
            let mut current = None;
            for _ in 0..1000 {
                // Even places always want it; the others as they like.
                let needs: Vec<_> = (0..count)
                    .map(|place| match draw() % 3 {
                        0 if place % 2 == 1 => Nothing,
                        1 if place % 2 == 1 => Halted,
                        _ => Runs,
                    })
                    .collect();
                let choice = choose(count, current, true, |place| needs[place]).unwrap();
                assert!(needs[choice.place] == Runs);
                since.iter_mut().for_each(|slices| *slices += 1);
                since[choice.place] = 0;
                current = Some(choice.place);
                assert!(
                    since.iter().step_by(2).all(|&slices| slices <= count),
                    "{since:?}"
                );
            }
        }
    }
}
