//! Expectations that may be met in any order: each by an event of its own.

/// Meets `expects` expectations by the earliest of `events` events. Gives how many events that took.
///
/// Each event is offered in turn; where its place is taken, the expectation there may move to another event (augmenting
/// paths). So a wide expectation never takes away the one event that a narrow one needs.
///
/// # Errors
/// The first expectation that stays unmet.
pub fn all(
    expects: usize,
    events: usize,
    fits: impl Fn(usize, usize) -> bool,
) -> Result<usize, usize> {
    let mut by: Vec<Option<usize>> = vec![None; expects];
    if expects == 0 {
        return Ok(0);
    }
    for event in 0..events {
        let mut tried = vec![false; expects];
        if place(event, &mut by, &mut tried, &fits) && by.iter().all(Option::is_some) {
            return Ok(event + 1);
        }
    }
    Err(by.iter().position(Option::is_none).unwrap_or(0))
}

fn place(
    event: usize,
    by: &mut [Option<usize>],
    tried: &mut [bool],
    fits: &impl Fn(usize, usize) -> bool,
) -> bool {
    for expect in 0..by.len() {
        if tried[expect] || !fits(expect, event) {
            continue;
        }
        tried[expect] = true;
        let free = match by[expect] {
            None => true,
            Some(other) => place(other, by, tried, fits),
        };
        if free {
            by[expect] = Some(event);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::all;

    #[test]
    fn a_wide_expectation_gives_way_to_a_narrow_one() {
        // 0 takes anything, 1 only event 0.
        let fits = |expect, event| expect == 0 || event == 0;
        assert_eq!(all(2, 2, fits), Ok(2));
        assert_eq!(all(2, 1, fits), Err(1));
        assert_eq!(all(0, 5, fits), Ok(0));
    }

    #[test]
    fn takes_no_more_events_than_needed() {
        let fits = |expect: usize, event: usize| expect == event % 2;
        assert_eq!(all(2, 9, fits), Ok(2));
    }
}
