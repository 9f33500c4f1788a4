//! What a table of truth functions remembers: which nodes there are, and what was chosen before. Both are asked at every step
//! of every operation, so they are plain arrays.

use super::{Bit, Truth};

/// A function asks for a bit, and is one of two others by that.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Node {
    pub bit: Bit,
    pub clear: Truth,
    pub set: Truth,
}

/// Slots at first; a power of two. The smallest questions have fewer nodes.
const FIRST: usize = 1024;

/// Spreads three small numbers over all bits, the upper ones best.
fn mix(a: u32, b: u32, c: u32) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let ab = (u64::from(a) << 32 | u64::from(b)).wrapping_mul(ODD);
    (ab.rotate_left(29) ^ u64::from(c)).wrapping_mul(ODD)
}

/// The place of a number among so many slots.
fn place(hash: u64, slots: usize) -> usize {
    (hash >> (64 - slots.trailing_zeros())) as usize
}

/// All nodes, each once.
pub(super) struct Nodes {
    all: Vec<Node>,
    /// Where nodes are, by their hash; 0, which no lookup finds, is an empty slot.
    slots: Vec<u32>,
}

impl Nodes {
    /// Two that are never looked up: the constants.
    pub fn new(constants: [Node; 2]) -> Self {
        Self {
            all: constants.to_vec(),
            slots: vec![0; FIRST],
        }
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn at(&self, truth: Truth) -> Node {
        self.all[truth.0 as usize]
    }

    /// The function of a node, new or known.
    pub fn find_or_add(&mut self, node: Node) -> Truth {
        let mut at = self.start(node);
        while self.slots[at] != 0 {
            let known = self.slots[at];
            if self.all[known as usize] == node {
                return Truth(known);
            }
            at = (at + 1) % self.slots.len();
        }
        let new = self.all.len() as u32;
        self.all.push(node);
        self.slots[at] = new;
        if self.all.len() * 2 > self.slots.len() {
            self.grow();
        }
        Truth(new)
    }

    fn start(&self, node: Node) -> usize {
        place(mix(node.bit, node.clear.0, node.set.0), self.slots.len())
    }

    fn grow(&mut self) {
        self.slots = vec![0; self.slots.len() * 4];
        for new in 2..self.all.len() {
            let mut at = self.start(self.all[new]);
            while self.slots[at] != 0 {
                at = (at + 1) % self.slots.len();
            }
            self.slots[at] = new as u32;
        }
    }
}

/// What was chosen before. One that falls into the slot of another takes its place: to work a result out again costs little.
pub(super) struct Choices {
    slots: Vec<([Truth; 3], Truth)>,
}

/// No choice has a constant condition.
const EMPTY: ([Truth; 3], Truth) = ([Truth::NO; 3], Truth::NO);

impl Choices {
    pub fn new() -> Self {
        Self {
            slots: vec![EMPTY; FIRST],
        }
    }

    fn slot(&self, [condition, yes, no]: [Truth; 3]) -> usize {
        place(mix(condition.0, yes.0, no.0), self.slots.len())
    }

    pub fn get(&self, of: [Truth; 3]) -> Option<Truth> {
        let (known, result) = self.slots[self.slot(of)];
        (known == of).then_some(result)
    }

    /// `nodes` is how many there are: so many slots keep most of what is asked again.
    pub fn put(&mut self, of: [Truth; 3], result: Truth, nodes: usize) {
        if nodes > self.slots.len() {
            let old = std::mem::take(&mut self.slots);
            self.slots = vec![EMPTY; old.len() * 4];
            for (known, result) in old.into_iter().filter(|slot| *slot != EMPTY) {
                let at = self.slot(known);
                self.slots[at] = (known, result);
            }
        }
        let at = self.slot(of);
        self.slots[at] = (of, result);
    }
}

/// Pairs of which an answer is known. One that falls into the slot of another takes its place.
pub(super) struct Pairs {
    slots: Vec<(Truth, Truth)>,
}

impl Pairs {
    pub fn new() -> Self {
        // No pair that is asked for is of two constants.
        Self {
            slots: vec![(Truth::NO, Truth::NO); FIRST],
        }
    }

    fn slot(&self, (a, b): (Truth, Truth)) -> usize {
        place(mix(a.0, b.0, 0), self.slots.len())
    }

    pub fn has(&self, pair: (Truth, Truth)) -> bool {
        self.slots[self.slot(pair)] == pair
    }

    /// `nodes` is how many there are.
    pub fn put(&mut self, pair: (Truth, Truth), nodes: usize) {
        if nodes > self.slots.len() {
            self.slots = vec![(Truth::NO, Truth::NO); self.slots.len() * 4];
        }
        let at = self.slot(pair);
        self.slots[at] = pair;
    }
}
