//! What a guest's accesses tell: group by group, both sides run at once, and every MSR is compared over all states that
//! they reach.

use super::alike::Alike;
use super::differences::differences;
use super::finding::Finding;
use super::groups::{Group, groups, own};
use super::merge::merge;
use super::product::{Guests, Product, TooLarge};
use super::symbols::{Places, Side, places};
use super::truth::{Table, Truth};
use super::word;
use crate::model::{Expr, Injection, RegisterId, View};
use std::collections::HashMap;
use std::rc::Rc;

/// What both comparisons of accesses and of banks need to know.
pub struct Setting<'a> {
    /// Old and new.
    pub views: [&'a View; 2],
    /// Guests that both sides have.
    pub guests: Guests,
    /// Every guest has the same number of banks on both sides.
    pub same_count: bool,
    /// Bits of the capability word that hold the count.
    pub count_bits: u64,
    /// The most banks that a guest can have on both sides.
    most_banks: u32,
    /// The registers at MSRs.
    pub places: [Rc<Places>; 2],
}

impl<'a> Setting<'a> {
    /// Of two versions.
    pub fn new(views: [&'a View; 2]) -> Self {
        let guests = guests(views);
        let places = views.map(|view| Rc::new(places(view)));
        let (same_count, most_banks) = counts(views, guests, &places);
        Self {
            views,
            guests,
            same_count,
            count_bits: count_bits(views),
            most_banks,
            places,
        }
    }

    /// Both sides without states.
    pub fn sides(&self) -> [Side<'a>; 2] {
        [0, 1].map(|side| Side::new(self.views[side], self.places[side].clone()))
    }
}

/// All findings about accesses.
pub fn accesses(setting: &Setting) -> Result<Vec<Finding>, Box<TooLarge>> {
    let alike = Alike::new(setting.views);
    let mut known: HashMap<Vec<Likeness>, Vec<u32>> = HashMap::new();
    let mut first: Vec<(Vec<Likeness>, Vec<Finding>)> = Vec::new();
    for group in groups(setting.views) {
        if alike.same(&group) {
            continue;
        }
        let likeness = likeness(setting, &group);
        match (
            &likeness,
            likeness.as_ref().and_then(|like| known.get_mut(like)),
        ) {
            (_, Some(others)) => others.extend(&group.msrs),
            (like, None) => {
                let mut product = Product::new(setting, &group);
                product.explore(&group)?;
                let mut findings = Vec::new();
                for msr in &group.msrs {
                    findings.extend(differences(setting, &mut product, *msr));
                    product.sure()?;
                }
                if let Some(like) = like {
                    known.insert(like.clone(), Vec::new());
                }
                first.push((likeness.unwrap_or_default(), findings));
            }
        }
    }
    // What holds for one bank holds for those that are like it.
    for (like, findings) in &mut first {
        if let Some(others) = known.get(like) {
            findings
                .iter_mut()
                .for_each(|finding| finding.about.msrs.extend(others));
        }
    }
    Ok(merge(
        first
            .into_iter()
            .flat_map(|(_, findings)| findings)
            .collect(),
    ))
}

/// Guests that exist on both sides. A feature that one side alone knows is left out on the other.
fn guests(views: [&View; 2]) -> Guests {
    let registers = views.map(|view| view.capability.map(|id| view.register(id)));
    let accepts = registers.map(|register| register.map(|register| register.accepts));
    let flags = registers.map(|register| {
        let fields = register.into_iter().flat_map(|register| &register.fields);
        fields
            .filter(|field| field.hi == field.lo)
            .fold(0, |mask, field| mask | field.mask())
    });
    let new = registers[0]
        .or(registers[1])
        .map_or(0, |register| register.reset);
    match accepts {
        [Some(old), Some(new_side)] => {
            let known = [old & flags[0], new_side & flags[1]];
            let varies = old & new_side | known[0] | known[1];
            Guests {
                varies,
                has: [old, new_side],
                new,
            }
        }
        [old, new_side] => {
            let varies = old.or(new_side).unwrap_or(0);
            Guests {
                varies,
                has: [old.unwrap_or(0), new_side.unwrap_or(0)],
                new,
            }
        }
    }
}

/// Whether every guest has the same number of banks on both sides, and the most that one can have.
fn counts(views: [&View; 2], guests: Guests, places: &[Rc<Places>; 2]) -> (bool, u32) {
    let mut table = Table::default();
    let counts: Vec<_> = [0, 1]
        .into_iter()
        .filter(|side| views[*side].banks.is_some())
        .map(|side| {
            let mut one = Side::new(views[side], places[side].clone());
            one.capability = guests.word(&mut table, side);
            one.bank_count(&mut table)
        })
        .collect();
    let limit = views
        .iter()
        .filter_map(|view| Some(view.banks.as_ref()?.limit))
        .max();
    let most = (0..limit.unwrap_or(0)).take_while(|bank| {
        let bank = word::number(u64::from(*bank));
        counts
            .iter()
            .any(|count| word::below(&mut table, &bank, count) != Truth::NO)
    });
    let most = most.count() as u32;
    (counts.iter().all(|count| *count == counts[0]), most)
}

fn count_bits(views: [&View; 2]) -> u64 {
    let mut bits = 0;
    for view in views {
        let count = view.banks.iter().map(|banks| &banks.count);
        count.for_each(|count| {
            count.walk(&mut |part| {
                if let Expr::Field(of, hi, lo) = part
                    && matches!(**of, Expr::Register(id) if Some(id) == view.capability)
                {
                    bits |= crate::model::mask(*hi, *lo);
                }
            });
        });
    }
    bits
}

/// What of an MSR decides how it behaves, its bank apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Likeness {
    register: [Option<RegisterId>; 2],
    stored: [bool; 2],
    injected: [bool; 2],
    reachable: bool,
}

/// Groups of one likeness have the same findings. None if the bank's number itself counts.
pub(super) fn likeness(setting: &Setting, group: &Group) -> Option<Vec<Likeness>> {
    group
        .msrs
        .iter()
        .map(|msr| likeness_of(setting, *msr))
        .collect()
}

fn likeness_of(setting: &Setting, msr: u32) -> Option<Likeness> {
    let mut like = Likeness {
        register: [None; 2],
        stored: [false; 2],
        injected: [false; 2],
        reachable: true,
    };
    for (side, view) in setting.views.into_iter().enumerate() {
        let Some((id, index)) = setting.places[side].get(&msr).copied() else {
            continue;
        };
        let register = view.register(id);
        if register.banked && !setting.same_count || Alike::asks_for_index(register) {
            return None;
        }
        like.register[side] = Some(id);
        like.stored[side] = own(view, id, index).is_some();
        let at = |injection: &Injection| register.banked && injection.bank == index;
        like.injected[side] = view.injection.as_ref().is_some_and(at);
        like.reachable &= !register.banked || index < setting.most_banks;
    }
    Some(like)
}
