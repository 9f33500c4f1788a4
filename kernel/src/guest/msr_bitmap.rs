//! The MSR bitmap (SDM vol. 3, 25.6.9): made from the pass-through lines of the guest's specs; whatever they do not list exits.

use msr_runtime::PassThrough;

use crate::units::PAGE_SIZE;

/// A page of bits: low MSRs read, high MSRs read, low written, high written. A set bit exits.
pub type Bitmap = [u8; PAGE_SIZE as usize];

const READ_LOW: usize = 0;
const READ_HIGH: usize = 1024;
const WRITE_LOW: usize = 2048;
const WRITE_HIGH: usize = 3072;
const HIGH: u32 = 0xc000_0000;
/// MSRs in each half.
const HALF: u32 = 0x2000;

/// A bitmap in which every access exits.
pub const EVERYTHING_EXITS: Bitmap = [0xff; PAGE_SIZE as usize];

/// Lets the accesses of `pass` through.
pub fn let_through<'a>(bitmap: &mut Bitmap, pass: impl Iterator<Item = &'a PassThrough>) {
    for range in pass {
        for msr in range.first..=range.last {
            if range.read {
                clear(bitmap, READ_LOW, READ_HIGH, msr);
            }
            if range.write {
                clear(bitmap, WRITE_LOW, WRITE_HIGH, msr);
            }
        }
    }
}

/// An MSR outside both halves always exits; there is no bit to clear.
fn clear(bitmap: &mut Bitmap, low: usize, high: usize, msr: u32) {
    let (part, index) = if msr < HALF {
        (low, msr)
    } else {
        (high, msr.wrapping_sub(HIGH))
    };
    if index < HALF {
        bitmap[part + index as usize / 8] &= !(1 << (index % 8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use msr_runtime::{Interface, Refusal};
    use specs::platform::v1::{Held, State};

    /// What the processor does by the bitmap, as the SDM says it.
    fn exits(bitmap: &Bitmap, msr: u32, write: bool) -> bool {
        let (half, index) = match msr {
            0..=0x1fff => (0, msr),
            0xc000_0000..=0xc000_1fff => (1, msr - 0xc000_0000),
            _ => return true,
        };
        let byte = 2048 * usize::from(write) + 1024 * half + index as usize / 8;
        bitmap[byte] >> (index % 8) & 1 == 1
    }

    #[test]
    fn exactly_what_the_spec_passes_through_does_not_exit() {
        let mut bitmap = EVERYTHING_EXITS;
        let_through(&mut bitmap, State::PASS_THROUGH.iter());
        let mut state = State::new();
        let mut passed = 0;
        for msr in (0..0x2000)
            .chain(0xc000_0000..0xc000_2000)
            .chain(0x4000_0000..0x4000_0100)
        {
            let read = state.read(msr) == Err(Refusal::Pass);
            let write = state.write(msr, 0) == Err(Refusal::Pass);
            assert_eq!(exits(&bitmap, msr, false), !read, "rdmsr {msr:#x}");
            assert_eq!(exits(&bitmap, msr, true), !write, "wrmsr {msr:#x}");
            passed += u32::from(read) + u32::from(write);
        }
        assert!(passed > 0, "the platform passes something through");
    }

    /// What a guest writes unseen changes hands with the processor, and is saved.
    #[test]
    fn what_goes_through_is_held() {
        let written = State::PASS_THROUGH.iter().filter(|range| range.write);
        for msr in written.flat_map(|range| range.first..=range.last) {
            let mut held = Held::ALL.iter();
            assert!(held.any(|register| register.msr() == msr), "{msr:#x}");
        }
        for (name, version) in specs::McState::CREATABLE {
            let state = specs::McState::create(name, *version, []).unwrap();
            assert_eq!(state.pass_through(), []);
        }
    }

    #[test]
    fn every_corner_has_its_bit() {
        for msr in [0, 7, 0x1fff, 0xc000_0000, 0xc000_1fff] {
            for (read, write) in [(true, false), (false, true)] {
                let mut bitmap = EVERYTHING_EXITS;
                let pass = PassThrough {
                    first: msr,
                    last: msr,
                    read,
                    write,
                };
                let_through(&mut bitmap, [pass].iter());
                assert_eq!(exits(&bitmap, msr, false), !read);
                assert_eq!(exits(&bitmap, msr, true), !write);
                let cleared: u32 = bitmap.iter().map(|byte| byte.count_zeros()).sum();
                assert_eq!(cleared, 1);
            }
        }
        let mut bitmap = EVERYTHING_EXITS;
        let_through(
            &mut bitmap,
            [PassThrough {
                first: 0x2000,
                last: 0x2100,
                read: true,
                write: true,
            }]
            .iter(),
        );
        assert_eq!(bitmap, EVERYTHING_EXITS);
    }
}
