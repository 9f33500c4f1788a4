//! What a record carries from one side to the other, and what of a new guest's own state keeps it from being taken there.

use super::items::{Item, items};
use crate::model::View;
use std::collections::HashMap;

/// The items of both sides, and the states of the old one that must be changed before any of its records crosses.
pub struct Carried {
    /// Of the old and of the new side.
    pub items: [Vec<Item>; 2],
    /// By tag and word.
    hurdles: HashMap<(u16, usize), u64>,
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
    pub fn new(views: [&View; 2]) -> Self {
        let items = views.map(items);
        let hurdles = hurdles(views, &items);
        let hurdles = hurdles.map(|hurdle| ((hurdle.tag, hurdle.word), hurdle.value));
        Self {
            hurdles: hurdles.collect(),
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

fn hurdles<'i>(
    views: [&'i View; 2],
    items: &'i [Vec<Item>; 2],
) -> impl Iterator<Item = Hurdle> + 'i {
    let there: HashMap<_, _> = items[1]
        .iter()
        .map(|item| ((item.tag, item.scope), item))
        .collect();
    let own = items[0].iter().filter(|item| !item.capability);
    own.flat_map(move |item| {
        let other = there.get(&(item.tag, item.scope)).copied();
        let dropped = views[1].dropped_tags.contains(&item.tag);
        let takes = move |word: usize, value: u64| match other {
            Some(other) if word < other.words => other.takes(value),
            None if dropped => true,
            _ => value == 0,
        };
        let reset = views[0].register(item.id).reset;
        let other_values = other.map(|other| [other.default, views[1].register(other.id).reset]);
        (0..item.words).filter_map(move |word| {
            let mut values = [0, item.default]
                .into_iter()
                .chain(other_values.into_iter().flatten());
            let value = values.find(|value| item.takes(*value) && takes(word, *value));
            let (tag, value) = (item.tag, value.filter(|_| !takes(word, reset))?);
            Some(Hurdle { tag, word, value })
        })
    })
}
