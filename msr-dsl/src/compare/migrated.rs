//! What a guest meets that was saved under one side and is restored under the other, besides what it would have met had it
//! been born there: state that did not come along.

use super::accesses::Setting;
use super::alike::Alike;
use super::bitwise;
use super::carried::Carried;
use super::condition::Demand;
use super::conversion::Conversion;
use super::differences::after_a_move;
use super::finding::{Finding, Witness};
use super::groups::{Group, groups};
use super::items::Item;
use super::known::Known;
use super::likeness::{Asked, Told};
use super::parallel::{self, Answered, Question};
use super::product::Product;
use super::rules::{self, Rule};
use super::steps::Step;
use super::symbols::Cell;
use super::truth::Table;
use super::undecided::Undecided;
use std::sync::Arc;

/// Both directions. `known` are the findings about accesses and records.
pub fn migrated(setting: &Setting, known: &[Finding], undecided: &mut Undecided) -> Vec<Finding> {
    let mut all = one_way(setting, known, 0, undecided);
    let back = setting.turned();
    all.extend(one_way(&back, known, 1, undecided).into_iter().map(turned));
    all
}

/// From the first side of a setting to the second, which is a direction of what is known.
fn one_way(
    setting: &Setting,
    known: &[Finding],
    direction: usize,
    undecided: &mut Undecided,
) -> Vec<Finding> {
    let [old, new] = setting.views;
    let is_lost = old.name != new.name && old.is_shared() && !new.is_shared();
    if new.restore_only || is_lost {
        return Vec::new();
    }
    let alike = Alike::new(setting.views);
    let carried = Arc::new(Carried::new(setting));
    let mut told = Told::default();
    let mut questions = Vec::new();
    for group in groups(setting.views, &|cell| restored_from(cell, &carried)) {
        let along = saved_alike(setting, &group, &carried);
        if along && (alike.same(&group) || bitwise::shows_from_power_on(setting, &alike, &group)) {
            continue;
        }
        let asked = told.untold(setting, &group);
        let asked: Vec<(Asked, Known)> = asked
            .into_iter()
            .map(|one| {
                let known = Known::of(known, direction, one.msr);
                (one, known)
            })
            .filter(|(_, known)| !known.whole)
            .collect();
        let shape = alike.shape(&group);
        questions.push(Question {
            group,
            asked,
            shape,
        });
    }
    questions.retain(|question| !question.asked.is_empty());
    let decide = |group: &Group, asked: &Vec<(Asked, Known)>, table: Table| {
        of_group(setting, group, &carried, asked, table)
    };
    parallel::each(questions, undecided, decide, |asked, found: Vec<_>| {
        let each = asked.into_iter().zip(found);
        each.for_each(|((one, _), findings)| told.tell(one, findings));
    });
    told.findings()
}

/// The states of the first side from which one of the second begins after a move.
fn restored_from(cell: Cell, carried: &Carried) -> Vec<Cell> {
    match &carried.conversion {
        Some(conversion) => conversion.origins(cell),
        None => same_item(cell, &carried.items).into_iter().collect(),
    }
}

/// The state of the first side that is in the same item.
fn same_item(cell: Cell, items: &[Vec<Item>; 2]) -> Option<Cell> {
    let item = items[1].iter().find(|item| item.id == cell.register)?;
    let same = |other: &&Item| other.tag == item.tag && other.scope == item.scope;
    let from = items[0].iter().find(same)?;
    ((cell.bank as usize) < from.words && !from.capability).then_some(Cell {
        register: from.id,
        bank: cell.bank,
    })
}

/// Guests as they come to be by themselves, and those that only a record brings: what is found of each MSR that is asked about.
fn of_group(
    setting: &Setting,
    group: &Group,
    carried: &Arc<Carried>,
    asked: &[(Asked, Known)],
    table: Table,
) -> Answered<Vec<Vec<Finding>>> {
    let mut product = Product::with(table, setting, group);
    product.migrate(group, carried.clone())?;
    let mut all: Vec<Vec<Finding>> = Vec::new();
    for (one, known) in asked {
        let mut findings = after_a_move(setting, &mut product, one.msr, known);
        findings.retain(|finding| !known.tells(finding) && arrives(finding, setting));
        let named = findings.into_iter().map(named(&rules::MOVE_CHANGES));
        all.push(named.collect());
    }
    if product.migrate_records()? {
        for ((one, known), lived) in asked.iter().zip(&mut all) {
            let met = Known::of(lived, 0, one.msr);
            let mut findings = after_a_move(setting, &mut product, one.msr, known);
            findings.retain(|finding| {
                !known.tells(finding) && arrives(finding, setting) && !met.tells(finding)
            });
            lived.extend(findings.into_iter().map(named(&rules::RESTORED_CHANGES)));
        }
    }
    product.sure()?;
    Ok((all, product.table))
}

fn named(rule: &'static Rule) -> impl Fn(Finding) -> Finding {
    move |finding| renamed(finding, rule)
}

/// The rule says only that a move does it.
fn renamed(finding: Finding, rule: &'static Rule) -> Finding {
    let text = match finding.text.contains(" after the move") {
        true => finding.text,
        false => format!("after the move, {}", finding.text),
    };
    let mut finding = Finding {
        rule,
        text,
        ..finding
    };
    if *rule == rules::RESTORED_CHANGES {
        for condition in finding.conditions.iter_mut().flatten() {
            if let Demand::Not(what) | Demand::Only(what) = &mut condition.demand {
                what.push_str(" in a state that only a record brings");
            }
        }
    }
    finding
}

/// The same difference seen from the other direction.
fn turned(mut finding: Finding) -> Finding {
    finding.rule = finding.rule.mirrored();
    finding.about.registers.reverse();
    finding.conditions.reverse();
    finding.text = finding.text.replace("after the move", "after a move back");
    if let Some(witness) = &mut finding.witness {
        let [here, there] = witness.answers.clone();
        let (was, is) = (format!("{here} → {there}"), format!("{there} → {here}"));
        finding.text = finding.text.replace(&was, &is);
        witness.start.reverse();
        witness.answers.reverse();
    }
    finding
}

/// The other side takes the record of the witness.
fn arrives(finding: &Finding, setting: &Setting) -> bool {
    let takes = |witness: &Witness| {
        (0..2).all(|side| {
            let guest = witness.start[side].guest_of(setting.views, side);
            guest.is_ok_and(|mut guest| {
                witness.steps.iter().all(|step| match step {
                    Step::Restore(record) => guest.restore(record).is_ok(),
                    _ => true,
                })
            })
        })
    };
    finding
        .witness
        .as_ref()
        .is_some_and(|witness| takes(witness) && witness.tells())
}

/// What both sides save of a group is the same, and of the same MSRs.
fn saved_alike(setting: &Setting, group: &Group, carried: &Carried) -> bool {
    match &carried.conversion {
        Some(conversion) => comes_along(group, &carried.items, conversion),
        None => same_items(setting, group, &carried.items),
    }
}

/// Every state of a group comes along as it is, and a restore takes the same values of it.
fn comes_along(group: &Group, items: &[Vec<Item>; 2], conversion: &Conversion) -> bool {
    let item = |side: usize, cell: &Cell| items[side].iter().find(|item| item.id == cell.register);
    let saved = group.cells[0].iter().filter(|cell| item(0, cell).is_some());
    let same = |cell: &&Cell| {
        let Some((target, at)) = conversion.goes_to(**cell) else {
            return false;
        };
        let there = Cell {
            register: target.item.id,
            bank: at as u32,
        };
        let takes = |item: &Item| (item.accepts, item.closed.clone());
        target.words[at].turned == 0
            && group.cells[1].contains(&there)
            && item(0, cell).map(takes) == item(1, &there).map(takes)
    };
    let brought = group.cells[1].iter().filter(|cell| item(1, cell).is_some());
    saved.clone().all(|cell| same(&cell)) && saved.count() == brought.count()
}

fn same_items(setting: &Setting, group: &Group, items: &[Vec<Item>; 2]) -> bool {
    let of = |side: usize| {
        let cells = group.cells[side].iter();
        let own = cells.map(|cell| {
            let register = setting.views[side].register(cell.register);
            let msr = register.addresses.first().map(|address| address.first);
            let item = items[side].iter().find(|item| item.id == cell.register)?;
            let Item {
                tag,
                words,
                default,
                accepts,
                ..
            } = item;
            let saved = (*tag, *words, *default, *accepts, &item.closed);
            Some((msr, cell.bank, saved))
        });
        let mut own: Vec<_> = own.collect();
        own.sort();
        own
    };
    of(0) == of(1)
}
