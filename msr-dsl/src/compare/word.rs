//! 64 truth functions: what a register, or an expression of a spec, can be over all values.

use super::truth::{Table, Truth};

/// One function for each bit, lowest first.
pub type Word = [Truth; 64];

/// A constant.
pub fn number(value: u64) -> Word {
    std::array::from_fn(|bit| Truth::of(value >> bit & 1 == 1))
}

/// A truth value as 0 or 1.
pub fn flag(truth: Truth) -> Word {
    let mut word = number(0);
    word[0] = truth;
    word
}

/// `yes` where the condition holds, `no` elsewhere.
pub fn choose(table: &mut Table, condition: Truth, yes: &Word, no: &Word) -> Word {
    std::array::from_fn(|bit| table.choose(condition, yes[bit], no[bit]))
}

/// Bit by bit.
pub fn zip(
    table: &mut Table,
    a: &Word,
    b: &Word,
    each: fn(&mut Table, Truth, Truth) -> Truth,
) -> Word {
    std::array::from_fn(|bit| each(table, a[bit], b[bit]))
}

/// Some bit is set.
pub fn is_set(table: &mut Table, word: &Word) -> Truth {
    table.any(word.iter().rev().copied())
}

/// Equal in every bit.
pub fn equal(table: &mut Table, a: &Word, b: &Word) -> Truth {
    (0..64).rev().fold(Truth::YES, |all, bit| {
        let same = table.same(a[bit], b[bit]);
        table.and(all, same)
    })
}

/// Smaller as a number.
pub fn below(table: &mut Table, a: &Word, b: &Word) -> Truth {
    // From the lowest bit up: a higher bit that differs decides.
    (0..64).fold(Truth::NO, |below, bit| {
        let differ = table.differ(a[bit], b[bit]);
        table.choose(differ, b[bit], below)
    })
}

/// Shifted up (or down) by the number of bits that `by` gives.
pub fn shift(table: &mut Table, word: &Word, by: &Word, up: bool) -> Word {
    (0..6).fold(*word, |word, step| {
        let far = 1usize << step;
        let moved: Word = std::array::from_fn(|bit| {
            let from = if up {
                bit.checked_sub(far)
            } else {
                Some(bit + far)
            };
            from.and_then(|from| word.get(from))
                .copied()
                .unwrap_or(Truth::NO)
        });
        choose(table, by[step], &moved, &word)
    })
}

/// The value, if it is the same for all.
pub fn constant(word: &Word) -> Option<u64> {
    word.iter()
        .enumerate()
        .try_fold(0, |value, (bit, truth)| match *truth {
            Truth::NO => Some(value),
            Truth::YES => Some(value | 1 << bit),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_and_shift() {
        let table = &mut Table::default();
        for (a, b) in [(0, 0), (1, 2), (u64::MAX, 1 << 63), (7, 7), (0x123, 0x122)] {
            let (left, right) = (number(a), number(b));
            assert_eq!(below(table, &left, &right), Truth::of(a < b));
            assert_eq!(equal(table, &left, &right), Truth::of(a == b));
            let by = number(b & 63);
            assert_eq!(
                constant(&shift(table, &left, &by, true)),
                Some(a << (b & 63))
            );
            assert_eq!(
                constant(&shift(table, &left, &by, false)),
                Some(a >> (b & 63))
            );
        }
    }
}
