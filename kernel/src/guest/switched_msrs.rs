//! The MSRs that are the processor's own and change hands with it: those that a guest writes without an exit and that neither
//! VM exit nor VM entry moves.

use arrayvec::ArrayVec;
use msr_runtime::PassThrough;

/// How many a guest's specs may let through, at most.
pub const MOST: usize = 16;

/// Their numbers.
pub type Switched = ArrayVec<u32, MOST>;

/// More than [`MOST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

/// Those among what the guest's specs let through, less those that `moves` says VM exit and VM entry move.
pub fn switched<'a>(
    pass: impl Iterator<Item = &'a PassThrough>,
    moves: impl Fn(u32) -> bool,
) -> Result<Switched, TooMany> {
    let mut found = Switched::new();
    for msr in pass
        .filter(|range| range.write)
        .flat_map(|range| range.first..=range.last)
        .filter(|&msr| !moves(msr))
    {
        if !found.contains(&msr) {
            found.try_push(msr).map_err(|_| TooMany)?;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn range(first: u32, last: u32, write: bool) -> PassThrough {
        PassThrough {
            first,
            last,
            read: true,
            write,
        }
    }

    #[test]
    fn what_a_guest_can_change_unseen() {
        let pass = [range(1, 3, true), range(7, 9, false), range(3, 4, true)];
        assert_eq!(
            switched(pass.iter(), |msr| msr == 2).unwrap()[..],
            [1, 3, 4]
        );
    }

    #[test]
    fn too_many_are_refused() {
        let pass = [range(0, MOST as u32, true)];
        assert_eq!(switched(pass.iter(), |_| false), Err(TooMany));
        assert!(switched(pass.iter(), |msr| msr == 5).is_ok());
    }
}
