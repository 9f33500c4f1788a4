//! Both sides run at once: every pair of states that the same accesses lead to, layer by layer, so that a difference is met
//! with the fewest accesses that show it, and one that is never met is none.
//!
//! A path goes on while both sides answer writes in the same way: what follows a difference is not another one.

use super::accesses::Setting;
use super::groups::Group;
use super::steps::Step;
use super::symbols::{Cell, Reading, Side, Writing};
use super::truth::{Bit, Table, Truth};
use super::word::{self, Word};

mod content;
mod converted;
mod entries;
mod inputs;
mod migrated;
mod still;
mod too_large;
mod ways;

pub use entries::{Sought, Way};
pub use too_large::TooLarge;

/// Words that a step brings with it: the written value, or what an injection has.
const INPUTS: u32 = 5;
const VALUE: u32 = 0;
const FLAGS: u32 = 1;
const ERROR: [u32; 3] = [2, 3, 4];

/// Which guests exist on both sides, and how they differ there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guests {
    /// Bits of the capability word that vary.
    pub varies: u64,
    /// Of them, those that a guest of the old and of the new side can have; the others are clear there.
    pub has: [u64; 2],
    /// What a new guest has, on the old side if that has a capability word.
    pub new: u64,
}

impl Guests {
    /// The capability word of all of them, on a side.
    pub fn word(&self, table: &mut Table, side: usize) -> Word {
        let varies = self.varies & self.has[side];
        std::array::from_fn(|bit| {
            if varies >> bit & 1 == 1 {
                table.bit(bit as Bit)
            } else {
                Truth::NO
            }
        })
    }
}

/// One way from a state to the next.
#[derive(Clone)]
struct Transition {
    step: Step,
    /// Over current states, input and the next states of the cells that change.
    relation: Truth,
    changed: Vec<usize>,
}

/// The product of two sides over one group.
pub struct Product<'a> {
    /// All functions.
    pub table: Table,
    /// The old and the new side.
    pub sides: [Side<'a>; 2],
    guests: Guests,
    group: Group,
    cells: Vec<(usize, Cell)>,
    /// Of each, the bits that are clear for ever: they are constants.
    still: Vec<u64>,
    transitions: Vec<Transition>,
    /// Pairs of states that take 0, 1, ... steps and no fewer.
    pub layers: Vec<Truth>,
    /// All of them.
    pub reached: Truth,
    /// The capability words that guests of the old and of the new side can have, where fields list their values.
    promised: [Truth; 2],
    /// Guests with as many banks as are told of; others are met where nothing else shows a difference.
    usual: Truth,
    /// Where guests come from that were not born on both sides.
    origin: Option<migrated::Origin>,
}

/// A concrete way to a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The capability word.
    pub capability: u64,
    /// Steps from power-on, or from the restores of a guest that moved.
    pub steps: Vec<Step>,
    /// How such a guest came to be what it was when it was saved.
    pub before: Option<Before>,
    /// The value that the last access writes, if it is a write.
    pub value: u64,
}

impl Path {
    /// Without its last step.
    pub fn before_the_last(&self) -> Self {
        let mut earlier = self.clone();
        earlier.steps.pop();
        earlier
    }
}

/// How a guest came to be what its record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Before {
    /// It did this, from power-on.
    Lived(Vec<Step>),
    /// By nothing that guests do: the record was restored.
    Record,
}

impl<'a> Product<'a> {
    /// Two sides over the cells of a group.
    pub fn new(setting: &Setting<'a>, group: &Group) -> Self {
        Self::with(Table::default(), setting, group)
    }

    /// The same, with a table that has answered a question before: functions that it knows are found there.
    pub fn with(mut table: Table, setting: &Setting<'a>, group: &Group) -> Self {
        table.begin();
        let side = |side: usize| Side::new(setting.views[side], setting.places[side].clone());
        let guests = setting.guests;
        let mut product = Self {
            table,
            sides: [0, 1].map(side),
            guests,
            group: group.clone(),
            cells: Vec::new(),
            still: Vec::new(),
            transitions: Vec::new(),
            layers: Vec::new(),
            reached: Truth::NO,
            promised: [Truth::YES; 2],
            usual: Truth::YES,
            origin: None,
        };
        for side in 0..2 {
            product
                .cells
                .extend(group.cells[side].iter().map(|cell| (side, *cell)));
        }
        for side in 0..2 {
            product.sides[side].capability = guests.word(&mut product.table, side);
            product.sides[side].value = product.word(VALUE);
            product.promised[side] = product.sides[side].may_promise(&mut product.table);
        }
        for side in 0..2 {
            let most = product.sides[side]
                .view
                .banks
                .as_ref()
                .map(|banks| banks.limit);
            if let Some(most) = most {
                let count = product.sides[side].bank_count(&mut product.table);
                let most = word::number(u64::from(most));
                let more = word::below(&mut product.table, &most, &count);
                product.usual = product.table.less(product.usual, more);
            }
        }
        for (at, (side, cell)) in product.cells.clone().into_iter().enumerate() {
            let still = still::still(setting.views[side], cell);
            let word: Word = std::array::from_fn(|bit| match still >> bit & 1 {
                1 => Truth::NO,
                _ => product.table.bit(product.at(product.slot(at), bit)),
            });
            product.still.push(still);
            product.sides[side].cells.insert(cell, word);
        }
        product
    }

    fn width(&self) -> u32 {
        INPUTS + 2 * self.cells.len() as u32
    }

    /// The word in which a cell's current state stands; its next state stands behind it.
    fn slot(&self, cell: usize) -> u32 {
        INPUTS + 2 * cell as u32
    }

    fn at(&self, slot: u32, bit: usize) -> Bit {
        64 + bit as u32 * self.width() + slot
    }

    fn word(&mut self, slot: u32) -> Word {
        std::array::from_fn(|bit| {
            let at = self.at(slot, bit);
            self.table.bit(at)
        })
    }

    /// What a bit of a question belongs to: none for the capability word, else slot and bit.
    fn owner(&self, bit: Bit) -> Option<(u32, usize)> {
        let at = bit.checked_sub(64)?;
        Some((at % self.width(), (at / self.width()) as usize))
    }

    /// RDMSR on both sides.
    pub fn read(&mut self, msr: u32) -> [Reading; 2] {
        [0, 1].map(|side| self.sides[side].read(&mut self.table, msr))
    }

    /// What the hypervisor takes from the register that it holds at an MSR; none if a side holds none there.
    pub fn held(&self, msr: u32) -> Option<[Word; 2]> {
        let own = |side: usize| {
            let (register, _) = *self.sides[side].places.get(&msr)?;
            let held = self.sides[side].view.register(register).held;
            let cell = Cell { register, bank: 0 };
            self.sides[side].cells.get(&cell).copied().filter(|_| held)
        };
        Some([own(0)?, own(1)?])
    }

    /// The MSR is that of a bank which a guest has by its count on one side alone.
    pub fn counted(&mut self, msr: u32) -> Truth {
        let mut has = [Truth::YES; 2];
        for (own, side) in has.iter_mut().zip(&self.sides) {
            match side.places.get(&msr) {
                Some((id, bank)) if side.view.register(*id).banked => {
                    let count = side.bank_count(&mut self.table);
                    *own = word::below(&mut self.table, &word::number(u64::from(*bank)), &count);
                }
                // There is no count by which a guest could have it.
                _ => return Truth::NO,
            }
        }
        self.table.differ(has[0], has[1])
    }

    /// WRMSR on both sides.
    pub fn write(&mut self, msr: u32) -> [Writing; 2] {
        [0, 1].map(|side| self.sides[side].write(&mut self.table, msr))
    }

    /// Finds all pairs of states that the same accesses lead to, while both sides answer in the same way.
    pub fn explore(&mut self, group: &Group) -> Result<(), Box<TooLarge>> {
        self.explore_while(group, true)
    }

    /// As [`Product::explore`]; with `agreeing` false whatever the sides answer.
    pub fn explore_while(&mut self, group: &Group, agreeing: bool) -> Result<(), Box<TooLarge>> {
        self.add_steps(group, agreeing);
        let start = self.start(&[0, 1]);
        self.explore_from(start)
    }

    /// Guests after power-on, as some sides see them.
    fn start(&mut self, sides: &[usize]) -> Truth {
        let cells = self.cells.iter().enumerate();
        let own = cells.filter(|(_, (side, _))| sides.contains(side));
        let resets: Vec<(usize, u64)> = own
            .map(|(at, (side, cell))| (at, self.reset(*side, *cell)))
            .collect();
        let mut start = Truth::YES;
        for bit in (0..64).rev() {
            let varies = |at: &usize| self.still[*at] >> bit & 1 == 0;
            let resets = resets.iter().filter(|(at, _)| varies(at));
            for (at, reset) in resets.collect::<Vec<_>>().into_iter().rev() {
                let own = self.at(self.slot(*at), bit);
                let own = self.table.bit(own);
                let want = Truth::of(reset >> bit & 1 == 1);
                let same = self.table.same(own, want);
                start = self.table.and(same, start);
            }
        }
        let promised = self.promised(sides);
        self.table.and(promised, start)
    }

    fn reset(&self, side: usize, cell: Cell) -> u64 {
        self.sides[side].view.register(cell.register).reset
    }

    fn image(&mut self, from: Truth, at: usize) -> Truth {
        let steps = self.table.and(from, self.transitions[at].relation);
        let changed = self.transitions[at].changed.clone();
        let (width, first) = (self.width(), INPUTS);
        let owner = move |bit: Bit| bit.checked_sub(64).map(|at| at % width);
        let drop = |bit: Bit| {
            owner(bit).is_some_and(|slot| {
                slot < first || changed.iter().any(|cell| first + 2 * *cell as u32 == slot)
            })
        };
        // A next state stands right behind the current one.
        let rename = |bit: Bit| match owner(bit) {
            Some(slot) if slot >= first && (slot - first) % 2 == 1 => bit - 1,
            _ => bit,
        };
        self.table.exists_then(steps, &drop, &rename)
    }

    /// Whether what was said so far is to be relied on.
    ///
    /// # Errors
    /// [`TooLarge`]: it is not.
    pub fn sure(&self) -> Result<(), Box<TooLarge>> {
        match self.table.is_full() {
            true => Err(TooLarge::of(self)),
            false => Ok(()),
        }
    }

    /// The first layer in which a condition on states (and a written value) is met.
    pub fn met(&mut self, condition: Truth) -> Option<usize> {
        if condition == Truth::NO {
            return None;
        }
        (0..self.layers.len()).find(|at| self.table.meet(self.layers[*at], condition))
    }

    /// A truth as it is in a guest after power-on: over the capability word alone.
    pub fn born(&mut self, truth: Truth) -> Truth {
        let start = self.layers.first().copied().unwrap_or(Truth::NO);
        let met = self.table.and(truth, start);
        self.table.exists(met, &|bit| bit >= 64)
    }

    /// The capability words with which a condition is met at all. What every guest's word has is left out, as far as the rest tells the
    /// same guests.
    pub fn guests_of(&mut self, condition: Truth) -> Truth {
        let met = self.table.and(condition, self.reached);
        let met = self.table.exists(met, &|bit| bit >= 64);
        let promised = self.promised(&[0, 1]);
        let listed = self.sides.iter().fold(0, |all, side| all | side.listed());
        let wide = self
            .table
            .exists(met, &|bit| bit < 64 && listed >> bit & 1 == 1);
        match self.table.and(wide, promised) == met {
            true => wide,
            false => met,
        }
    }

    /// The capability words that guests of some sides can have, where fields list their values.
    fn promised(&mut self, sides: &[usize]) -> Truth {
        let own = sides.iter().map(|side| self.promised[*side]);
        self.table.all(own)
    }

    /// The values that are written where a condition is met.
    pub fn values_of(&mut self, condition: Truth) -> Truth {
        let met = self.table.and(condition, self.reached);
        let width = self.width();
        self.table.exists(met, &move |bit| {
            bit.checked_sub(64).is_none_or(|at| at % width != VALUE)
        })
    }

    /// Where a bit of the written value stands.
    pub fn value_place(&self, bit: usize) -> Bit {
        self.at(VALUE, bit)
    }

    /// The capability word as it is on a side.
    pub fn on_side(&self, capability: u64, side: usize) -> u64 {
        capability & self.guests.varies & self.guests.has[side]
    }
}
