//! What exactly a finding says, as a number: sets of values, conditions, words. Two findings with one number say the same, in
//! whatever order and under whatever names the specs do, so a waiver can hold what was looked at and excuse no more.
//!
//! A truth function is taken as the polynomial that has its values at zeros and ones, and that is worked out at one point of a prime
//! field, with a coordinate for each bit that its name alone decides. Two functions that differ are alike there by chance only, of
//! about 2^-55; the order of the bits in the diagrams does not matter. (Blum, Chandra, Wegman, "Equivalence of Free Boolean Graphs Can
//! Be Decided Probabilistically in Polynomial Time", 1980.)

use super::truth::{Bit, Table, Truth};
use std::fmt::Debug;

/// The number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content(u64);

/// 2^61 - 1, a prime.
const PRIME: u64 = (1 << 61) - 1;

impl Content {
    /// Of words and numbers, as they are written out.
    pub fn of(said: impl Debug) -> Self {
        Self(hash(&format!("{said:?}")))
    }

    /// Of conditions, each with what it is the condition of. `name` says what a bit is.
    pub fn of_truths(
        table: &Table,
        truths: &[(String, Truth)],
        name: &dyn Fn(Bit) -> String,
    ) -> Self {
        let place = |bit: Bit| hash(&name(bit)) % PRIME;
        let own: Vec<Truth> = truths.iter().map(|(_, truth)| *truth).collect();
        let values = table.values_at(&own, &place, &Field);
        let said = truths.iter().map(|(said, _)| said).zip(values);
        said.fold(Self::default(), |all, one| all.with(Self::of(one)))
    }

    /// Both, in whatever order.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }
}

/// A number for a text that no other has but by chance.
pub fn hash(text: &str) -> u64 {
    // FNV-1a, and a last round that spreads the last characters (as in SplitMix64).
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

/// Numbers below [`PRIME`].
pub struct Field;

impl Field {
    /// The point between two values that a coordinate names: the first at 0, the second at 1.
    pub fn between(&self, clear: u64, set: u64, at: u64) -> u64 {
        let rise = (set + PRIME - clear) % PRIME;
        let step = u128::from(rise) * u128::from(at);
        // 2^61 is 1 here: no long division.
        let step = (step as u64 & PRIME) + (step >> 61) as u64;
        (clear + step % PRIME) % PRIME
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All functions of three bits, with the bits in two orders.
    #[test]
    fn functions_have_one_number_each_in_whatever_order_their_bits_are() {
        let numbers = |order: [Bit; 3]| -> Vec<Content> {
            let mut table = Table::default();
            let bits = order.map(|bit| table.bit(bit));
            let of = |function: u32| {
                let mut all = Truth::NO;
                for value in (0..8u32).filter(|value| function >> value & 1 == 1) {
                    let mut point = Truth::YES;
                    for (at, bit) in bits.iter().enumerate() {
                        let own = match value >> at & 1 {
                            1 => *bit,
                            _ => table.not(*bit),
                        };
                        point = table.and(point, own);
                    }
                    all = table.or(all, point);
                }
                let name = |bit: Bit| {
                    let at = order.iter().position(|own| *own == bit);
                    format!("{at:?}")
                };
                Content::of_truths(&table, &[(String::new(), all)], &name)
            };
            (0..256).map(of).collect()
        };
        let (one, other) = (numbers([0, 1, 2]), numbers([7, 3, 5]));
        assert_eq!(one, other);
        let distinct: std::collections::HashSet<u64> =
            one.iter().map(|content| content.0).collect();
        assert_eq!(distinct.len(), 256);
    }
}
