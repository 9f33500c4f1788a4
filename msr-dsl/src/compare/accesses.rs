//! What a guest's accesses tell: every MSR is compared over all states that both sides reach when they run at once.

use super::alike::Alike;
use super::capability;
use super::differences::differences;
use super::finding::Finding;
use super::groups::{Group, groups};
use super::likeness::{Asked, Told};
use super::parallel::{self, Decided, Question};
use super::product::{Guests, Product};
use super::symbols::{Places, Side, places};
use super::truth::{Table, Truth};
use super::undecided::Undecided;
use super::word;
use crate::model::{Expr, View};
use std::sync::Arc;

/// What both comparisons of accesses and of banks need to know.
pub struct Setting<'a> {
    /// Old and new.
    pub views: [&'a View; 2],
    /// Guests that both sides have.
    pub guests: Guests,
    /// Every guest has the same number of banks on both sides.
    pub same_count: bool,
    /// The finding that guests have not, if one was made: registers of banks that a guest has on one side alone need none then.
    pub count_source: Option<Finding>,
    /// Bits of the capability word that hold the count.
    pub count_bits: u64,
    /// The fewest and the most banks that a guest can have on both sides.
    pub banks: [u32; 2],
    /// The registers at MSRs.
    pub places: [Arc<Places>; 2],
}

impl<'a> Setting<'a> {
    /// Of two versions.
    pub fn new(views: [&'a View; 2]) -> Self {
        let guests = guests(views);
        let places = views.map(|view| Arc::new(places(view)));
        let (same_count, banks) = counts(views, guests, &places);
        let mut setting = Self {
            views,
            guests,
            same_count,
            count_source: None,
            count_bits: count_bits(views),
            banks,
            places,
        };
        setting.count_source = capability::source(&setting);
        setting
    }

    /// The other way round. What is said of the count stays said.
    pub fn turned(&self) -> Self {
        let [old, new] = self.views;
        let count_source = self.count_source.clone();
        Self {
            count_source,
            ..Self::new([new, old])
        }
    }

    /// Both sides without states.
    pub fn sides(&self) -> [Side<'a>; 2] {
        [0, 1].map(|side| Side::new(self.views[side], self.places[side].clone()))
    }
}

/// All findings about accesses.
pub fn accesses(setting: &Setting, undecided: &mut Undecided) -> Vec<Finding> {
    let alike = Alike::new(setting.views);
    let mut told = Told::default();
    let mut questions = Vec::new();
    for group in groups(setting.views, &|_| Vec::new()) {
        if !alike.same(&group) {
            let asked = told.untold(setting, &group);
            let shape = alike.shape(&group);
            questions.push(Question {
                group,
                asked,
                shape,
            });
        }
    }
    questions.retain(|question| !question.asked.is_empty());
    let decide = |group: &Group, asked: &Vec<Asked>, table: Table| {
        let mut product = Product::with(table, setting, group);
        product.explore(group)?;
        let of_one = |one: &Asked| {
            let findings = differences(setting, &mut product, one.msr);
            product.sure()?;
            Ok(findings)
        };
        let findings: Decided<Vec<_>> = asked.iter().map(of_one).collect();
        Ok((findings?, product.table))
    };
    parallel::each(questions, undecided, decide, |asked, found: Vec<_>| {
        let each = asked.into_iter().zip(found);
        each.for_each(|(one, findings)| told.tell(one, findings));
    });
    told.findings()
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

/// Whether every guest has the same number of banks on both sides, and the fewest and the most that one can have.
fn counts(views: [&View; 2], guests: Guests, places: &[Arc<Places>; 2]) -> (bool, [u32; 2]) {
    let mut table = Table::default();
    let mut exist = Truth::YES;
    let counts: Vec<_> = [0, 1]
        .into_iter()
        .filter(|side| views[*side].banks.is_some())
        .map(|side| {
            let mut one = Side::new(views[side], places[side].clone());
            one.capability = guests.word(&mut table, side);
            let own = one.may_promise(&mut table);
            exist = table.and(exist, own);
            one.bank_count(&mut table)
        })
        .collect();
    let limit = views
        .iter()
        .filter_map(|view| Some(view.banks.as_ref()?.limit))
        .max();
    // Which guests have a bank, on any side and on all.
    let mut has = |bank: u32| {
        let bank = word::number(u64::from(bank));
        let below: Vec<Truth> = counts
            .iter()
            .map(|count| word::below(&mut table, &bank, count))
            .collect();
        let (any, all) = (table.any(below.iter().copied()), table.all(below));
        (table.meet(exist, any), table.implies(exist, all))
    };
    let limit = limit.unwrap_or(0);
    let most = (0..limit).take_while(|bank| has(*bank).0).count();
    let fewest = (0..limit).take_while(|bank| has(*bank).1).count();
    let mut differ = Truth::NO;
    for (own, first) in counts.iter().flat_map(|count| count.iter().zip(&counts[0])) {
        let one = table.differ(*own, *first);
        differ = table.or(differ, one);
    }
    let same = !table.meet(exist, differ);
    (same, [fewest, most].map(|count| count as u32))
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
