//! What a record carries from one side to the other, and what of a new guest's own state keeps it from being taken there.

use super::accesses::Setting;
use super::conversion::{Conversion, turn};
use super::items::{self, Item};
use super::symbols::Cell;
use super::truth::{Table, Truth};
use super::word::{self, Word};
use crate::model::View;
use std::collections::HashMap;

/// The items of both sides, and the states of the old one that must be changed before any of its records crosses.
pub struct Carried {
    /// Of the old and of the new side.
    pub items: [Vec<Item>; 2],
    /// Between interfaces: what the records are converted by.
    pub conversion: Option<Conversion>,
    /// By tag and word.
    hurdles: HashMap<(u16, usize), u64>,
}

/// The capability words with which guests cross and are the same guests afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crossing {
    /// Each: the other side has no such word.
    Any,
    /// Those whose bits both sides know.
    Common,
    /// This one.
    Only(u64),
    /// None: what they have is lost, and what they get is another one.
    Never,
}

impl Crossing {
    /// From the first side to the second.
    pub fn of(views: [&View; 2], items: &[Vec<Item>; 2]) -> Self {
        let word = |side: usize| items[side].iter().find(|item| item.capability);
        let is_dropped = |item: &Item| views[1].dropped_tags.contains(&item.tag);
        match [word(0), word(1)] {
            [None, None] => Self::Any,
            [Some(old), Some(new)] if old.tag == new.tag => Self::Common,
            [Some(old), None] if is_dropped(old) => Self::Any,
            // An item that is not known must be zero.
            [Some(_), None] => Self::Only(0),
            // Without an item it is the default.
            [None, Some(new)] => Self::Only(new.default),
            [Some(old), Some(new)] if is_dropped(old) || new.default == 0 => {
                Self::Only(new.default)
            }
            [Some(_), Some(_)] => Self::Never,
        }
    }
}

/// A word of an item that the other side refuses as it is after power-on, and another value that it takes.
pub struct Hurdle {
    /// The item's tag.
    pub tag: u16,
    /// Which word.
    pub word: usize,
    /// What it may be.
    pub value: u64,
}

impl Carried {
    /// From the first side to the second.
    pub fn new(setting: &Setting) -> Self {
        let items = setting.views.map(items::items);
        let [old, new] = setting.views;
        let conversion = (old.name != new.name).then(|| Conversion::new([old, new]));
        let hurdles = match &conversion {
            Some(conversion) => hurdles_of(setting, &items[0], conversion),
            None => hurdles(setting, &items),
        };
        let hurdles = hurdles.into_iter();
        let hurdles = hurdles.map(|hurdle| ((hurdle.tag, hurdle.word), hurdle.value));
        Self {
            hurdles: hurdles.collect(),
            conversion,
            items,
        }
    }

    /// What a word of an item of the old side is in a guest that has done no more than is needed for its record to be taken.
    pub fn word(&self, view: &View, item: &Item, word: usize) -> u64 {
        let hurdle = self.hurdles.get(&(item.tag, word)).copied();
        hurdle.unwrap_or(view.register(item.id).reset)
    }

    /// The hurdles among some words: the MSR at which a guest writes each, if there is one, and the value.
    pub fn to_be_written(&self, among: impl Fn(&Item, usize) -> bool) -> Vec<(Option<u32>, u64)> {
        let of = |item: &Item, word: usize| {
            let value = self.hurdles.get(&(item.tag, word))?;
            let msr = item.msrs.get(word).copied();
            among(item, word).then_some((msr, *value))
        };
        let words = |item: &Item| {
            (0..item.words)
                .filter_map(|word| of(item, word))
                .collect::<Vec<_>>()
        };
        self.items[0].iter().flat_map(words).collect()
    }
}

fn hurdles(setting: &Setting, items: &[Vec<Item>; 2]) -> Vec<Hurdle> {
    let views = setting.views;
    let there: HashMap<_, _> = items[1]
        .iter()
        .map(|item| ((item.tag, item.scope), item))
        .collect();
    let mut hurdles = Vec::new();
    for item in items[0].iter().filter(|item| !item.capability) {
        let other = there.get(&(item.tag, item.scope)).copied();
        if other.is_none() && views[1].dropped_tags.contains(&item.tag) {
            continue;
        }
        let reset = views[0].register(item.id).reset;
        for word in 0..item.words {
            let other = other.filter(|other| word < other.words);
            hurdles.extend(
                common(setting, [Some(item), other], 0, reset).map(|value| Hurdle {
                    tag: item.tag,
                    word,
                    value,
                }),
            );
        }
    }
    hurdles
}

/// The same of records that are converted.
fn hurdles_of(setting: &Setting, items: &[Item], conversion: &Conversion) -> Vec<Hurdle> {
    let mut hurdles = Vec::new();
    for item in items.iter().filter(|item| !item.capability) {
        let reset = setting.views[0].register(item.id).reset;
        for word in 0..item.words {
            let cell = Cell {
                register: item.id,
                bank: word as u32,
            };
            let value = match conversion.goes_to(cell) {
                Some((to, at)) => {
                    let turned = to.words[at].turned;
                    common(setting, [Some(item), Some(&to.item)], turned, reset)
                }
                // What no access reaches has to be as in a record without it.
                None => (item.msrs.is_empty() && reset != item.default).then_some(item.default),
            };
            let tag = item.tag;
            hurdles.extend(value.map(|value| Hurdle { tag, word, value }));
        }
    }
    hurdles
}

/// The least value that both sides take, a missing item as zero, the second one with some bits turned round; none if they take this one,
/// or none.
fn common(setting: &Setting, items: [Option<&Item>; 2], turned: u64, reset: u64) -> Option<u64> {
    let [_, other] = items;
    let plain = other.is_some_and(|other| !setting.views[1].register(other.id).held);
    let takes = |other: &Item| other.takes(reset ^ turned);
    if reset == 0 && other.is_none() || plain && other.is_some_and(takes) {
        return None;
    }
    let mut table = Table::default();
    let word: Word = std::array::from_fn(|bit| table.bit(bit as u32));
    let sides = setting.sides();
    let mut taken = Truth::YES;
    for (side, (item, turned)) in items.into_iter().zip([0, turned]).enumerate() {
        let word = turn(&mut table, &word, turned);
        let own = match item {
            Some(item) => items::taken(&mut table, &sides[side], item, &word),
            None => {
                let set = word::is_set(&mut table, &word);
                table.not(set)
            }
        };
        taken = table.and(taken, own);
    }
    // The reset value itself where it is one of them.
    let is = (0..64).rev().fold(Truth::YES, |all, bit| {
        let own = word[bit];
        match reset >> bit & 1 {
            1 => table.and(own, all),
            _ => table.less(all, own),
        }
    });
    if table.meet(is, taken) {
        return None;
    }
    let picked = table.pick(taken, &|_| false)?;
    let set = (0..64).filter(|bit| picked.get(bit) == Some(&true));
    Some(set.fold(0, |value, bit| value | 1u64 << bit))
}
