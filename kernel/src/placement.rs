//! Which processor a vCPU goes on on when its own goes out of use, and which processors can.

use crate::mc::refused::Refused;
use crate::units::Pcpu;

/// The processor that keeps house for all: it looks for commands, wakes those that rest, and completes the log. So it is the last one in use, too.
pub const KEEPS_HOUSE: Pcpu = Pcpu(0);

/// Whether a processor can go out of use. `is_in_use` is None for a number that no processor has.
///
/// # Errors
/// Why it cannot.
pub fn may_go_out(number: Pcpu, is_in_use: Option<bool>) -> Result<(), Refused> {
    match is_in_use {
        None => Err(Refused::NoProcessor),
        Some(_) if number == KEEPS_HOUSE => Err(Refused::KeepsHouse),
        Some(false) => Err(Refused::OutOfUse),
        Some(true) => Ok(()),
    }
}

/// Whether a processor can come back into use. As [`may_go_out`].
///
/// # Errors
/// Why it cannot.
pub fn may_come_back(is_in_use: Option<bool>) -> Result<(), Refused> {
    match is_in_use {
        None => Err(Refused::NoProcessor),
        Some(true) => Err(Refused::InUse),
        Some(false) => Ok(()),
    }
}

/// Whether a processor can take a vCPU, as far as that hangs on machine checks: one that is missing may never answer again, and the vCPU would be out of
/// everybody's reach. `is_this`: it is the one that asks, so it does answer.
pub fn can_take(is_this: bool, is_missing: bool) -> bool {
    is_this || !is_missing
}

/// A processor that is in use and prepared for vCPUs.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Its number.
    pub number: Pcpu,
    /// How many vCPUs it is to run.
    pub vcpus: usize,
    /// [`can_take`].
    pub can_take: bool,
}

/// The one with the fewest vCPUs of the processors that can take one; of equals the first. None if there is none.
pub fn least_loaded(processors: impl Iterator<Item = Candidate>) -> Option<Pcpu> {
    processors
        .filter(|it| it.can_take)
        .min_by_key(|it| it.vcpus)
        .map(|it| it.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_go_out_of_use_or_come_back_is_named() {
        assert_eq!(may_go_out(Pcpu(1), Some(true)), Ok(()));
        assert_eq!(may_go_out(Pcpu(1), Some(false)), Err(Refused::OutOfUse));
        assert_eq!(may_go_out(Pcpu(9), None), Err(Refused::NoProcessor));
        assert_eq!(may_go_out(Pcpu(0), Some(true)), Err(Refused::KeepsHouse));
        assert_eq!(may_come_back(Some(false)), Ok(()));
        assert_eq!(may_come_back(Some(true)), Err(Refused::InUse));
        assert_eq!(may_come_back(None), Err(Refused::NoProcessor));
    }

    #[test]
    fn the_least_loaded_takes_the_next_one() {
        let choose = |loads: &[(u16, usize)]| {
            least_loaded(loads.iter().map(|&(number, vcpus)| Candidate {
                number: Pcpu(number),
                vcpus,
                can_take: can_take(false, false),
            }))
        };
        assert_eq!(choose(&[(0, 2), (2, 1), (3, 1)]), Some(Pcpu(2)));
        assert_eq!(choose(&[(0, 0), (2, 1)]), Some(Pcpu(0)));
        assert_eq!(choose(&[]), None);
    }

    #[test]
    fn a_processor_that_is_missing_takes_none_but_the_one_that_asks_may() {
        let choose = |this: u16, loads: &[(u16, usize, bool)]| {
            least_loaded(loads.iter().map(|&(number, vcpus, is_missing)| Candidate {
                number: Pcpu(number),
                vcpus,
                can_take: can_take(number == this, is_missing),
            }))
        };
        assert_eq!(choose(0, &[(0, 2, false), (2, 0, true)]), Some(Pcpu(0)));
        assert_eq!(choose(1, &[(0, 2, false), (2, 0, true)]), Some(Pcpu(0)));
        assert_eq!(choose(0, &[(0, 2, true), (2, 0, true)]), Some(Pcpu(0)));
        assert_eq!(choose(1, &[(0, 2, true), (2, 0, true)]), None);
    }
}
