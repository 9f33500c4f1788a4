//! What is still written to the log before a reset: of which processor first, and how many events.

use crate::units::Pcpu;

/// Events of all processors together, but for [`LEAST`]: some 16 KiB, which COM1 takes in a second and a half.
const MOST: u64 = 256;
/// Of each processor, however many there are: that it has entered, and the first errors in its banks.
const LEAST: u64 = 8;

/// The processors in the order of their last words, each with how many of its newest events it may have. First the one that resets the machine, with half
/// of all: the worst error is mostly its, and it alone says why there is a reset. The others share the other half.
pub fn shares(processors: u16, resets: Pcpu) -> impl Iterator<Item = (Pcpu, u64)> {
    let others = u64::from(processors.saturating_sub(1));
    let (first, share) = match (MOST / 2).checked_div(others) {
        Some(share) => (MOST / 2, share.max(LEAST)),
        None => (MOST, 0),
    };
    let rest = (0..processors)
        .map(Pcpu)
        .filter(move |&processor| processor != resets);
    core::iter::once((resets, first)).chain(rest.map(move |processor| (processor, share)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_resets_is_first_and_nobody_is_left_out() {
        for processors in (1..=65).chain([255, 1000, 4096]) {
            let resets = Pcpu(processors / 3 * 2);
            let shares: Vec<_> = shares(processors, resets).collect();
            assert_eq!(shares[0].0, resets);
            let mut numbers: Vec<_> = shares.iter().map(|(processor, _)| processor.0).collect();
            numbers.sort_unstable();
            assert_eq!(numbers, (0..processors).collect::<Vec<_>>());
            assert!(shares[0].1 >= MOST / 2, "{processors}");
            assert!(
                shares.iter().all(|(_, share)| *share >= LEAST),
                "{processors}"
            );
            let all: u64 = shares.iter().map(|(_, share)| share).sum();
            let bound = MOST.max(MOST / 2 + LEAST * (u64::from(processors) - 1));
            assert!(all <= bound, "{processors}: {all}");
        }
    }

    #[test]
    fn one_alone_has_all_and_two_have_half_each() {
        let of = |processors, resets| shares(processors, Pcpu(resets)).collect::<Vec<_>>();
        assert_eq!(of(1, 0), [(Pcpu(0), 256)]);
        assert_eq!(of(2, 1), [(Pcpu(1), 128), (Pcpu(0), 128)]);
        assert_eq!(of(64, 5)[..2], [(Pcpu(5), 128), (Pcpu(0), 8)]);
    }
}
