//! Truth functions of many bits, as reduced ordered decision diagrams: equal functions are the same [`Truth`], so that
//! "for all values" is decided and never tried out. (Bryant, "Graph-Based Algorithms for Boolean Function Manipulation",
//! 1986.)

use super::content::Field;
use memory::{Choices, Node, Nodes, Pairs};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

mod memory;

/// A truth function; compare two of one [`Table`] with `==`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Truth(u32);

impl Truth {
    /// Never.
    pub const NO: Self = Self(0);
    /// Always.
    pub const YES: Self = Self(1);

    /// A constant.
    pub fn of(value: bool) -> Self {
        if value { Self::YES } else { Self::NO }
    }
}

/// Which bit; a function asks for the lowest first.
pub type Bit = u32;

/// Multiplication and shift: keys are small numbers of our own, nobody attacks them.
#[derive(Default)]
pub struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 29
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, value: u32) {
        self.0 = (self.0.rotate_left(5) ^ u64::from(value)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

type Set<K> = HashSet<K, BuildHasherDefault<Mix>>;
type Map<K, V> = HashMap<K, V, BuildHasherDefault<Mix>>;

/// Bits with their values.
pub type Picked = Map<Bit, bool>;

/// A question is given up when it has met more functions than this; no spec of any sense comes near.
const MOST: usize = 4_000_000;

/// More functions than this are not kept for the next question: it would wait for memory more than for them.
const KEPT: usize = 250_000;

/// All functions of one question.
pub struct Table {
    nodes: Nodes,
    /// How many functions a question may meet.
    room: usize,
    /// How many there are then.
    most: usize,
    /// More than `most` functions were needed: what was made since is wrong.
    is_full: bool,
    choices: Choices,
    /// Pairs that were seen to have no point in common.
    apart: RefCell<Pairs>,
    /// Pairs of which the second was seen to hold wherever the first does.
    within: RefCell<Pairs>,
    work: Cell<u64>,
}

/// The bit of the two constants: behind all others.
const END: Bit = Bit::MAX;

impl Default for Table {
    fn default() -> Self {
        let constant = |truth| Node {
            bit: END,
            clear: truth,
            set: truth,
        };
        Self {
            nodes: Nodes::new([constant(Truth::NO), constant(Truth::YES)]),
            room: MOST,
            most: MOST,
            is_full: false,
            choices: Choices::new(),
            apart: RefCell::new(Pairs::new()),
            within: RefCell::new(Pairs::new()),
            work: Cell::new(0),
        }
    }
}

impl Table {
    /// One that gives a question up sooner.
    pub fn up_to(most: usize) -> Self {
        Self {
            room: most,
            most,
            ..Self::default()
        }
    }

    /// Begins another question, which may meet as many functions as the first, those aside that are here. Too many of them are dropped: a
    /// truth is one of its question's alone.
    pub fn begin(&mut self) {
        if self.nodes.len() > KEPT || self.is_full {
            *self = Self {
                work: self.work.clone(),
                ..Self::up_to(self.room)
            };
        }
        self.most = self.nodes.len() + self.room;
    }

    /// How many steps its answers took: the functions that were looked at, one after the other. The same questions in the same order
    /// take the same, on every machine.
    pub fn work(&self) -> u64 {
        self.work.get()
    }

    fn step(&self) {
        self.work.set(self.work.get() + 1);
    }

    /// Whether the question was too large. Then no answer that the table gave is to be relied on.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// The bit itself.
    pub fn bit(&mut self, bit: Bit) -> Truth {
        self.node(bit, Truth::NO, Truth::YES)
    }

    fn node(&mut self, bit: Bit, clear: Truth, set: Truth) -> Truth {
        if clear == set {
            return clear;
        }
        // Asked here and not between questions: one operation alone can make that many.
        self.is_full |= self.nodes.len() >= self.most;
        if self.is_full {
            return Truth::NO;
        }
        self.nodes.find_or_add(Node { bit, clear, set })
    }

    fn at(&self, truth: Truth) -> Node {
        self.nodes.at(truth)
    }

    fn with(&self, truth: Truth, bit: Bit) -> (Truth, Truth) {
        let node = self.at(truth);
        if node.bit == bit {
            (node.clear, node.set)
        } else {
            (truth, truth)
        }
    }

    /// `yes` where `condition` holds, `no` elsewhere.
    pub fn choose(&mut self, condition: Truth, yes: Truth, no: Truth) -> Truth {
        match (condition, yes, no) {
            (Truth::YES, ..) => return yes,
            (Truth::NO, ..) => return no,
            (_, Truth::YES, Truth::NO) => return condition,
            _ if yes == no => return yes,
            _ if self.is_full => return Truth::NO,
            _ => {}
        }
        self.step();
        let key = [condition, yes, no];
        if let Some(known) = self.choices.get(key) {
            return known;
        }
        let bit = self
            .at(condition)
            .bit
            .min(self.at(yes).bit)
            .min(self.at(no).bit);
        let (c0, c1) = self.with(condition, bit);
        let (y0, y1) = self.with(yes, bit);
        let (n0, n1) = self.with(no, bit);
        let clear = self.choose(c0, y0, n0);
        let set = self.choose(c1, y1, n1);
        let result = self.node(bit, clear, set);
        self.choices.put(key, result, self.nodes.len());
        result
    }

    /// Not.
    pub fn not(&mut self, a: Truth) -> Truth {
        self.choose(a, Truth::NO, Truth::YES)
    }

    /// Both.
    pub fn and(&mut self, a: Truth, b: Truth) -> Truth {
        let (a, b) = (a.min(b), a.max(b));
        self.choose(a, b, Truth::NO)
    }

    /// One or both.
    pub fn or(&mut self, a: Truth, b: Truth) -> Truth {
        let (a, b) = (a.min(b), a.max(b));
        self.choose(a, Truth::YES, b)
    }

    /// The first and not the second.
    pub fn less(&mut self, a: Truth, b: Truth) -> Truth {
        let not = self.not(b);
        self.and(a, not)
    }

    /// One of them only.
    pub fn differ(&mut self, a: Truth, b: Truth) -> Truth {
        let not = self.not(b);
        self.choose(a, not, b)
    }

    /// Both or none.
    pub fn same(&mut self, a: Truth, b: Truth) -> Truth {
        let differ = self.differ(a, b);
        self.not(differ)
    }

    /// Any of them.
    pub fn any(&mut self, all: impl IntoIterator<Item = Truth>) -> Truth {
        let all = self.lowest_last(all);
        all.into_iter().fold(Truth::NO, |a, b| self.or(a, b))
    }

    /// All of them.
    pub fn all(&mut self, all: impl IntoIterator<Item = Truth>) -> Truth {
        let all = self.lowest_last(all);
        all.into_iter().fold(Truth::YES, |a, b| self.and(a, b))
    }

    /// The first with as many of the others as hold at once with it, earlier ones before later ones; and which these are.
    pub fn join<K: Copy>(&mut self, first: Truth, others: &[(K, Truth)]) -> (Truth, Vec<K>) {
        // Mostly all do.
        let all = self.all(others.iter().map(|(_, truth)| *truth));
        let all = self.and(first, all);
        if all != Truth::NO {
            return (all, others.iter().map(|(which, _)| *which).collect());
        }
        let (mut together, mut joined) = (first, Vec::new());
        for (which, truth) in others {
            let more = self.and(together, *truth);
            if more != Truth::NO {
                together = more;
                joined.push(*which);
            }
        }
        (together, joined)
    }

    /// In the order in which each is put on top of those before it, and not below: where they ask for a bit each, lowest first,
    /// joining them is as long as they are many, and not its square.
    fn lowest_last(&self, all: impl IntoIterator<Item = Truth>) -> Vec<Truth> {
        let mut all: Vec<Truth> = all.into_iter().collect();
        all.reverse();
        all.sort_by_key(|truth| std::cmp::Reverse(self.at(*truth).bit));
        all
    }

    /// Whether both can hold at once.
    pub fn meet(&self, a: Truth, b: Truth) -> bool {
        self.meets(a, b, &mut self.apart.borrow_mut())
    }

    /// As `and`, but no function is made: the first point in common ends it.
    fn meets(&self, a: Truth, b: Truth, never: &mut Pairs) -> bool {
        if a == Truth::NO || b == Truth::NO {
            return false;
        }
        if a == b || a == Truth::YES || b == Truth::YES {
            return true;
        }
        self.step();
        if never.has((a, b)) {
            return false;
        }
        let bit = self.at(a).bit.min(self.at(b).bit);
        let ((a0, a1), (b0, b1)) = (self.with(a, bit), self.with(b, bit));
        let met = self.meets(a0, b0, never) || self.meets(a1, b1, never);
        if !met {
            never.put((a, b), self.nodes.len());
        }
        met
    }

    /// Whether the second holds wherever the first does.
    pub fn implies(&self, a: Truth, b: Truth) -> bool {
        self.always(a, b, &mut self.within.borrow_mut())
    }

    /// As `less`, but no function is made.
    fn always(&self, a: Truth, b: Truth, seen: &mut Pairs) -> bool {
        self.step();
        if a == Truth::NO || b == Truth::YES || a == b || seen.has((a, b)) {
            return true;
        }
        if a == Truth::YES || b == Truth::NO {
            return false;
        }
        let bit = self.at(a).bit.min(self.at(b).bit);
        let ((a0, a1), (b0, b1)) = (self.with(a, bit), self.with(b, bit));
        let holds = self.always(a0, b0, seen) && self.always(a1, b1, seen);
        if holds {
            seen.put((a, b), self.nodes.len());
        }
        holds
    }

    /// Holds where some value of the bits that `drop` names makes it hold.
    pub fn exists(&mut self, truth: Truth, drop: &dyn Fn(Bit) -> bool) -> Truth {
        self.rebuild(truth, drop, &|bit| bit, &mut Map::default())
    }

    /// As [`Table::exists`]; the bits that remain take new numbers, in the same order as before.
    pub fn exists_then(
        &mut self,
        truth: Truth,
        drop: &dyn Fn(Bit) -> bool,
        rename: &dyn Fn(Bit) -> Bit,
    ) -> Truth {
        self.rebuild(truth, drop, rename, &mut Map::default())
    }

    fn rebuild(
        &mut self,
        truth: Truth,
        drop: &dyn Fn(Bit) -> bool,
        rename: &dyn Fn(Bit) -> Bit,
        done: &mut Map<Truth, Truth>,
    ) -> Truth {
        if truth == Truth::NO || truth == Truth::YES {
            return truth;
        }
        self.step();
        if let Some(known) = done.get(&truth) {
            return *known;
        }
        let Node { bit, clear, set } = self.at(truth);
        let clear = self.rebuild(clear, drop, rename, done);
        let set = self.rebuild(set, drop, rename, done);
        let result = if drop(bit) {
            self.or(clear, set)
        } else {
            self.node(rename(bit), clear, set)
        };
        done.insert(truth, result);
        result
    }

    /// Bits for which it holds, those that `prefer` names set and the others clear as far as that goes. Bits that are
    /// not among them do not matter. None if it never holds.
    pub fn pick(&self, truth: Truth, prefer: &dyn Fn(Bit) -> bool) -> Option<Picked> {
        if truth == Truth::NO {
            return None;
        }
        let (mut at, mut picked) = (truth, Picked::default());
        while at != Truth::YES {
            let node = self.at(at);
            let wish = prefer(node.bit);
            let (wished, other) = if wish {
                (node.set, node.clear)
            } else {
                (node.clear, node.set)
            };
            let got = wished != Truth::NO;
            picked.insert(node.bit, if got { wish } else { !wish });
            at = if got { wished } else { other };
        }
        Some(picked)
    }

    /// Whether it depends on a bit that `of` names.
    pub fn asks(&self, truth: Truth, of: &dyn Fn(Bit) -> bool) -> bool {
        let (mut waiting, mut seen) = (vec![truth], Set::default());
        while let Some(next) = waiting.pop() {
            let node = self.at(next);
            if node.bit == END || !seen.insert(next) {
                continue;
            }
            if of(node.bit) {
                return true;
            }
            waiting.extend([node.clear, node.set]);
        }
        false
    }

    /// The bits on which it depends.
    pub fn bits_of(&self, truth: Truth) -> BTreeSet<Bit> {
        let (mut waiting, mut seen) = (vec![truth], Set::default());
        let mut bits = BTreeSet::new();
        while let Some(next) = waiting.pop() {
            let node = self.at(next);
            if node.bit != END && seen.insert(next) {
                bits.insert(node.bit);
                waiting.extend([node.clear, node.set]);
            }
        }
        bits
    }

    /// Their polynomials at a point of a field; `place` is a bit's coordinate.
    pub fn values_at(
        &self,
        truths: &[Truth],
        place: &dyn Fn(Bit) -> u64,
        field: &Field,
    ) -> Vec<u64> {
        let (mut places, mut done) = (Map::default(), Map::default());
        let truths = truths.iter();
        truths
            .map(|truth| self.value_with(*truth, place, field, &mut places, &mut done))
            .collect()
    }

    fn value_with(
        &self,
        truth: Truth,
        place: &dyn Fn(Bit) -> u64,
        field: &Field,
        places: &mut Map<Bit, u64>,
        done: &mut Map<Truth, u64>,
    ) -> u64 {
        if truth == Truth::NO || truth == Truth::YES {
            return u64::from(truth.0);
        }
        if let Some(known) = done.get(&truth) {
            return *known;
        }
        let Node { bit, clear, set } = self.at(truth);
        let clear = self.value_with(clear, place, field, places, done);
        let set = self.value_with(set, place, field, places, done);
        let at = *places.entry(bit).or_insert_with(|| place(bit));
        let value = field.between(clear, set, at);
        done.insert(truth, value);
        value
    }

    /// A few cases that together are all ways to hold, each with as few bits as it needs; none if there are more than `limit`.
    pub fn cover(&mut self, truth: Truth, limit: usize) -> Option<Vec<Vec<(Bit, bool)>>> {
        let mut kept: Vec<(Vec<(Bit, bool)>, Truth)> = Vec::new();
        for mut case in self.cases(truth, 16 * limit)? {
            let mut at = 0;
            while at < case.len() {
                let mut fewer = case.clone();
                fewer.remove(at);
                let wider = self.case(&fewer);
                match self.implies(wider, truth) {
                    true => case = fewer,
                    false => at += 1,
                }
            }
            let own = self.case(&case);
            kept.push((case, own));
        }
        let mut at = 0;
        while at < kept.len() {
            let others = kept.iter().enumerate().filter(|(other, _)| *other != at);
            let others: Vec<Truth> = others.map(|(_, (_, own))| *own).collect();
            let others = self.any(others);
            match self.implies(kept[at].1, others) {
                true => drop(kept.remove(at)),
                false => at += 1,
            }
        }
        let cases = kept.into_iter().map(|(case, _)| case).collect::<Vec<_>>();
        (cases.len() <= limit).then_some(cases)
    }

    fn case(&mut self, case: &[(Bit, bool)]) -> Truth {
        case.iter().rev().fold(Truth::YES, |rest, (bit, set)| {
            let own = self.bit(*bit);
            match set {
                true => self.choose(own, rest, Truth::NO),
                false => self.choose(own, Truth::NO, rest),
            }
        })
    }

    /// Of how many values of 64 bits, the lowest first and the only ones that it asks for, it holds.
    pub fn count(&self, truth: Truth, bits: &[Bit; 64]) -> u128 {
        let mut done: Map<Truth, u128> = Map::default();
        self.count_from(truth, bits, 0, &mut done)
    }

    /// Of the bits from a place on; `done` has what a function's own bit and those behind it give.
    fn count_from(
        &self,
        truth: Truth,
        bits: &[Bit; 64],
        from: usize,
        done: &mut Map<Truth, u128>,
    ) -> u128 {
        let node = self.at(truth);
        let own = bits.iter().position(|bit| *bit == node.bit).unwrap_or(64);
        let free = 1u128 << own.saturating_sub(from);
        let here = match (truth, done.get(&truth)) {
            (Truth::NO, _) => 0,
            (Truth::YES, _) => 1,
            (_, Some(known)) => *known,
            _ => {
                let here = self.count_from(node.clear, bits, own + 1, done)
                    + self.count_from(node.set, bits, own + 1, done);
                done.insert(truth, here);
                here
            }
        };
        here * free
    }

    /// The least value of 64 bits, the lowest first and the only ones that it asks for, for which it holds; none if there is none.
    pub fn least(&self, truth: Truth, bits: &[Bit; 64]) -> Option<u64> {
        self.least_with(truth, bits, &mut Map::default())
    }

    fn least_with(
        &self,
        truth: Truth,
        bits: &[Bit; 64],
        done: &mut Map<Truth, u64>,
    ) -> Option<u64> {
        match truth {
            Truth::NO => return None,
            Truth::YES => return Some(0),
            _ => {}
        }
        if let Some(known) = done.get(&truth) {
            return Some(*known);
        }
        self.step();
        let Node { bit, clear, set } = self.at(truth);
        let own = bits.iter().position(|place| *place == bit)?;
        // Bits above this one decide first, and they are asked for further down.
        let clear = self.least_with(clear, bits, done);
        let set = self.least_with(set, bits, done).map(|set| set | 1 << own);
        let least = clear.into_iter().chain(set).min()?;
        done.insert(truth, least);
        Some(least)
    }

    /// The ways to hold, each a list of bits with their values; at most `limit`, none if there are more.
    pub fn cases(&self, truth: Truth, limit: usize) -> Option<Vec<Vec<(Bit, bool)>>> {
        let (mut out, mut waiting) = (Vec::new(), vec![(truth, Vec::new())]);
        while let Some((at, path)) = waiting.pop() {
            if at == Truth::NO {
                continue;
            }
            if at == Truth::YES {
                if out.len() == limit {
                    return None;
                }
                out.push(path);
                continue;
            }
            let node = self.at(at);
            for (next, value) in [(node.clear, false), (node.set, true)] {
                let mut path = path.clone();
                path.push((node.bit, value));
                waiting.push((next, path));
            }
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some functions of four bits, with their values worked out one by one.
    #[test]
    fn functions_hold_where_they_should() {
        let mut table = Table::default();
        let bits: Vec<Truth> = (0..4).map(|bit| table.bit(bit)).collect();
        let and = table.and(bits[0], bits[2]);
        let differ = table.differ(and, bits[3]);
        let all = table.choose(bits[1], differ, and);
        for value in 0..16u32 {
            let bit = |at: Bit| value >> at & 1 == 1;
            let expected = if bit(1) {
                (bit(0) && bit(2)) != bit(3)
            } else {
                bit(0) && bit(2)
            };
            let mut cube = all;
            for at in 0..4 {
                let own = if bit(at) {
                    bits[at as usize]
                } else {
                    table.not(bits[at as usize])
                };
                cube = table.and(cube, own);
            }
            assert_eq!(cube != Truth::NO, expected, "{value:04b}");
        }
        let some = table.exists(all, &|bit| bit == 3);
        let expected = table.or(bits[1], and);
        assert_eq!(some, expected);
    }

    #[test]
    fn questions_that_make_no_function_are_answered_as_by_those_that_do() {
        let mut table = Table::default();
        let mut functions: Vec<Truth> = (0..6).map(|bit| table.bit(bit)).collect();
        functions.extend([Truth::NO, Truth::YES]);
        let mut number = 1usize;
        let mut one_of = |functions: &[Truth]| {
            number = number.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            functions[(number >> 33) % functions.len()]
        };
        for _ in 0..60 {
            let parts = [0; 3].map(|_| one_of(&functions));
            functions.push(table.choose(parts[0], parts[1], parts[2]));
        }
        let mut met = 0;
        for a in functions.clone() {
            for b in functions.clone() {
                let (and, less) = (table.and(a, b), table.less(a, b));
                assert_eq!(table.meet(a, b), and != Truth::NO);
                assert_eq!(table.implies(a, b), less == Truth::NO);
                met += usize::from(and != Truth::NO);
            }
        }
        let pairs = functions.len() * functions.len();
        assert!(
            met > pairs / 20 && met < pairs * 19 / 20,
            "{met} of {pairs}"
        );
    }

    #[test]
    fn equal_functions_are_the_same() {
        let mut table = Table::default();
        let (a, b) = (table.bit(5), table.bit(3));
        let (one, not_a) = (table.and(a, b), table.not(a));
        let not_b = table.not(b);
        let or = table.or(not_a, not_b);
        assert_eq!(table.not(or), one);
    }

    #[test]
    fn what_is_picked_makes_it_hold() {
        let mut table = Table::default();
        let (a, b) = (table.bit(0), table.bit(1));
        let differ = table.differ(a, b);
        let picked = table.pick(differ, &|_| false).expect("it can hold");
        assert_eq!((picked[&0], picked[&1]), (false, true));
        assert_eq!(table.pick(Truth::NO, &|_| false), None);
    }

    /// Functions of four bits: their few cases are they, with no bit that is not needed, and as many values as there are.
    #[test]
    fn covers_and_counts_are_those_of_the_function() {
        let places: [Bit; 64] = std::array::from_fn(|bit| bit as Bit);
        for function in (1..0xffffu32).step_by(7) {
            let mut table = Table::default();
            let mut all = Truth::NO;
            for value in (0..16u32).filter(|value| function >> value & 1 == 1) {
                let point: Vec<(Bit, bool)> =
                    (0..4).map(|bit| (bit, value >> bit & 1 == 1)).collect();
                let point = table.case(&point);
                all = table.or(all, point);
            }
            let count = u128::from(function.count_ones()) << 60;
            assert_eq!(table.count(all, &places), count, "{function:#x}");
            let least = u64::from(function.trailing_zeros());
            assert_eq!(table.least(all, &places), Some(least), "{function:#x}");
            let cover = table.cover(all, 16).expect("at most 16");
            let cases: Vec<Truth> = cover.iter().map(|case| table.case(case)).collect();
            assert_eq!(table.any(cases), all, "{function:#x}");
            for case in &cover {
                for at in 0..case.len() {
                    let mut fewer = case.clone();
                    fewer.remove(at);
                    let wider = table.case(&fewer);
                    assert!(!table.implies(wider, all), "{function:#x}: {cover:?}");
                }
            }
        }
    }
}
