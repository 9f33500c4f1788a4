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

/// The one with the fewest vCPUs of the processors that can run one, each with how many vCPUs it has; of equals the first. None if there is none.
pub fn least_loaded(processors: impl Iterator<Item = (Pcpu, usize)>) -> Option<Pcpu> {
    processors
        .min_by_key(|&(_, vcpus)| vcpus)
        .map(|(number, _)| number)
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
            least_loaded(loads.iter().map(|&(number, vcpus)| (Pcpu(number), vcpus)))
        };
        assert_eq!(choose(&[(0, 2), (2, 1), (3, 1)]), Some(Pcpu(2)));
        assert_eq!(choose(&[(0, 0), (2, 1)]), Some(Pcpu(0)));
        assert_eq!(choose(&[]), None);
    }
}
