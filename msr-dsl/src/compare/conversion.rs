//! What a converted record holds: where each word of the new version's items comes from. That is the same for every record of the old
//! version, so what becomes of all its guests can be asked at once.

use super::accesses::Setting;
use super::alike::Alike;
use super::groups::{Needs, needs};
use super::items::{Item, items, pairs, taken};
use super::symbols::{Cell, Kind, Side};
use super::truth::Table;
use super::word::{self, Word};
use crate::model::{Expr, Migrate, Read, Register, Scope, View};
use std::collections::{BTreeSet, HashMap};

/// Of records of one version as another writes them.
pub struct Conversion {
    /// Items of the old version, and what becomes of them; last, what the new version alone saves.
    pub pairs: Vec<(Option<Item>, Option<Target>)>,
    /// Where the words of the old version's items go: which pair, which word.
    places: HashMap<Cell, (usize, usize)>,
    /// The states that a read of the old version looks at.
    needs: Needs,
}

/// An item of the new version.
pub struct Target {
    /// It.
    pub item: Item,
    /// Its words.
    pub words: Vec<Source>,
}

/// Where a word comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// From where.
    pub from: From,
    /// The bits that the new version keeps the other way round: with these it reads as the old one.
    pub turned: u64,
}

/// What of the old version a word comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// A word of an item.
    Item(Cell),
    /// What the guest reads at an MSR, where a restore takes that.
    Read(u32),
    /// Nothing: it is the item's default.
    Nothing,
}

/// A question of two registers is given up when it has met more functions than this; then nothing is turned.
const MOST: usize = 100_000;

impl Conversion {
    /// From the first version to the second.
    pub fn new(views: [&View; 2]) -> Self {
        let own = views.map(items);
        let target = |from: &Option<Item>, item: Item| {
            let words = (0..item.words).map(|at| Source {
                from: origin(views, from.as_ref(), &item, at),
                turned: 0,
            });
            Target {
                words: words.collect(),
                item,
            }
        };
        let pairs = pairs(views, &own).into_iter();
        let pairs = pairs.map(|(from, to)| {
            let to = to.map(|item| target(&from, item));
            (from, to)
        });
        let mut conversion = Self {
            pairs: pairs.collect(),
            places: HashMap::new(),
            needs: Needs::new(),
        };
        conversion.find_places();
        let reads = conversion.targets().any(|target| {
            let words = target.words.iter();
            words
                .into_iter()
                .any(|word| matches!(word.from, From::Read(_)))
        });
        let computed = (conversion.targets()).any(|target| !shows_state(views, &target.item));
        if reads || computed {
            conversion.needs = needs(views[0]);
        }
        if computed {
            conversion.turn(views);
        }
        conversion
    }

    fn find_places(&mut self) {
        for (pair, (_, to)) in self.pairs.iter().enumerate() {
            for (at, word) in to.iter().flat_map(|to| to.words.iter().enumerate()) {
                if let From::Item(cell) = word.from {
                    self.places.insert(cell, (pair, at));
                }
            }
        }
    }

    /// What it makes.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.pairs.iter().filter_map(|(_, to)| to.as_ref())
    }

    /// The item of the new version that has a state of it, and which word.
    pub fn target(&self, cell: Cell) -> Option<(&Target, usize)> {
        let mut targets = self.targets();
        let own = targets.find(|target| target.item.id == cell.register)?;
        let at = cell.bank as usize;
        (at < own.words.len()).then_some((own, at))
    }

    /// The item, and the word of it, that a word of the old version's items becomes.
    pub fn goes_to(&self, cell: Cell) -> Option<(&Target, usize)> {
        let (pair, at) = *self.places.get(&cell)?;
        Some((self.pairs[pair].1.as_ref()?, at))
    }

    /// The states of the old version on which one of the new version depends.
    pub fn origins(&self, cell: Cell) -> Vec<Cell> {
        let source = self.target(cell).map(|(target, at)| target.words[at].from);
        match source {
            Some(From::Item(cell)) => vec![cell],
            Some(From::Read(msr)) => self
                .needs
                .get(&msr)
                .into_iter()
                .flatten()
                .copied()
                .collect(),
            Some(From::Nothing) | None => Vec::new(),
        }
    }

    /// A word of what it makes of all guests of the old side.
    pub fn word(&self, table: &mut Table, sides: &[Side; 2], target: &Target, at: usize) -> Word {
        let [old, new] = sides;
        let Source { from, turned } = target.words[at];
        let default = word::number(target.item.default);
        match from {
            From::Nothing => default,
            From::Item(cell) if old.view.capability == Some(cell.register) => old.capability,
            From::Item(cell) => {
                let reset = word::number(old.view.register(cell.register).reset);
                let held = old.cells.get(&cell).copied().unwrap_or(reset);
                turn(table, &held, turned)
            }
            From::Read(msr) => {
                let read = as_recorded(old, target.item.scope).read(table, msr);
                let value = turn(table, &read.value, turned);
                let taken = taken(table, new, &target.item, &value);
                let known = table.and(read.answers.when(&Kind::Done), taken);
                word::choose(table, known, &value, &default)
            }
        }
    }

    /// Finds out which bits the new version keeps the other way round.
    fn turn(&mut self, views: [&View; 2]) {
        let setting = Setting::new(views);
        let new_needs = needs(views[1]);
        let first = |target: &Target| target.item.msrs.first().copied();
        let size = |target: &Target| {
            first(target)
                .and_then(|msr| new_needs.get(&msr))
                .map_or(0, BTreeSet::len)
        };
        let computed = |(at, (_, to)): (usize, &(Option<Item>, Option<Target>))| {
            let to = to.as_ref()?;
            let asks = !to.item.capability && !shows_state(views, &to.item);
            asks.then(|| (size(to), at))
        };
        let all = self.pairs.iter().enumerate();
        let mut all: Vec<(usize, usize)> = all.filter_map(computed).collect();
        // What a read looks at besides comes first.
        all.sort_unstable();
        for (_, pair) in all {
            let Some(target) = &self.pairs[pair].1 else {
                continue;
            };
            let register = views[1].register(target.item.id);
            let each = Alike::asks_for_index(register);
            let mut turned: Vec<u64> = Vec::new();
            for at in 0..target.words.len() {
                let same = turned.last().filter(|_| {
                    let kind = |at: usize| matches!(target.words[at].from, From::Item(_));
                    !each && kind(at) == kind(at - 1)
                });
                let own = same.copied();
                turned.push(own.unwrap_or_else(|| self.turned(&setting, &new_needs, target, at)));
            }
            let words = self.pairs[pair].1.iter_mut().flat_map(|to| &mut to.words);
            words
                .zip(turned)
                .for_each(|(word, turned)| word.turned = turned);
        }
    }

    /// The bits of a word with which the new version reads as the old one if they are turned round, and not as they are.
    fn turned(&self, setting: &Setting, new_needs: &Needs, target: &Target, at: usize) -> u64 {
        let Some(msr) = msr_of(setting.views[1].register(target.item.id), at) else {
            return 0;
        };
        let of = |needs: &Needs| needs.get(&msr).cloned().unwrap_or_default();
        let there = of(new_needs);
        let origins = there.iter().flat_map(|cell| self.origins(*cell));
        let here: BTreeSet<Cell> = of(&self.needs).into_iter().chain(origins).collect();
        let mut table = Table::up_to(MOST);
        let mut sides = setting.sides();
        for (number, side) in sides.iter_mut().enumerate() {
            side.capability = setting.guests.word(&mut table, number);
        }
        let count = here.len() as u32;
        for (number, cell) in here.into_iter().enumerate() {
            let bit = |bit: usize| 64 + bit as u32 * count + number as u32;
            let register = setting.views[0].register(cell.register);
            // What is not saved is as after power-on.
            let word = match register.migrate {
                Migrate::Saved { .. } => std::array::from_fn(|at| table.bit(bit(at))),
                _ => word::number(register.reset),
            };
            sides[0].cells.insert(cell, word);
        }
        for cell in there {
            let word = match self.target(cell) {
                Some((target, at)) => self.word(&mut table, &sides, target, at),
                None => word::number(setting.views[1].register(cell.register).reset),
            };
            sides[1].cells.insert(cell, word);
        }
        let Some(wanted) = sides[0].shown_at(&mut table, msr) else {
            return 0;
        };
        let own = Cell {
            register: target.item.id,
            bank: at as u32,
        };
        let kept = sides[1].cells.get(&own).copied().unwrap_or(word::number(0));
        let mut wrong = |bits: u64| {
            let word = turn(&mut table, &kept, bits);
            sides[1].cells.insert(own, word);
            let shown = sides[1].shown_at(&mut table, msr)?;
            let wrong = (0..64).filter(|bit| shown[*bit] != wanted[*bit]);
            let wrong = wrong.fold(0, |all, bit| all | 1u64 << bit);
            (!table.is_full()).then_some(wrong)
        };
        let mut better = || {
            let first = wrong(0).filter(|first| *first != 0)?;
            let turned = first & !wrong(first)?;
            let left = wrong(turned)?;
            (turned != 0 && left & !first == 0).then_some(turned)
        };
        better().unwrap_or(0)
    }
}

/// Where a word of an item comes from.
fn origin(views: [&View; 2], from: Option<&Item>, item: &Item, at: usize) -> From {
    let old = from.filter(|old| at < old.words).map(|old| Cell {
        register: old.id,
        bank: at as u32,
    });
    let msr = msr_of(views[1].register(item.id), at);
    match (old, msr) {
        (Some(cell), _) => From::Item(cell),
        (None, Some(msr)) => From::Read(msr),
        (None, None) => From::Nothing,
    }
}

/// Where a guest reaches a word of a register's state.
fn msr_of(register: &Register, at: usize) -> Option<u32> {
    let mut msrs = register.addresses.iter().flat_map(|address| address.msrs());
    let own = msrs.find(|(_, index)| !register.banked || *index as usize == at);
    own.map(|(msr, _)| msr)
}

/// The register at the MSRs of an item is read as its state is, on both sides.
fn shows_state(views: [&View; 2], item: &Item) -> bool {
    let of = |view: &View| {
        let reaches = |register: &&Register| {
            let mut msrs = register.addresses.iter().flat_map(|address| address.msrs());
            item.msrs
                .first()
                .is_none_or(|msr| msrs.any(|(own, _)| own == *msr))
        };
        let register = view.registers.iter().find(reaches);
        register.is_none_or(|register| {
            let fields = register.fields.iter();
            matches!(register.read, Read::Value(Expr::State))
                && fields.clone().all(|field| field.read.is_none())
        })
    };
    item.msrs.is_empty() || views.into_iter().all(of)
}

/// Some bits the other way round.
pub fn turn(table: &mut Table, word: &Word, bits: u64) -> Word {
    std::array::from_fn(|bit| match bits >> bit & 1 {
        1 => table.not(word[bit]),
        _ => word[bit],
    })
}

/// A guest as a record of one of the two kinds alone makes it.
fn as_recorded<'a>(side: &Side<'a>, scope: Scope) -> Side<'a> {
    let mut own = Side::new(side.view, side.places.clone());
    let reset = |register: &Register| word::number(register.reset);
    own.capability = match side.view.capability.map(|id| side.view.register(id)) {
        Some(register) if register.scope != scope => reset(register),
        _ => side.capability,
    };
    for (cell, word) in &side.cells {
        let register = side.view.register(cell.register);
        let saved = matches!(register.migrate, Migrate::Saved { .. });
        let word = match saved && register.scope == scope {
            true => *word,
            false => reset(register),
        };
        own.cells.insert(*cell, word);
    }
    own
}
