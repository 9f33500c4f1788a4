//! What a guest meets that was saved under one side and is restored under the other, besides what it would have met had it
//! been born there: state that did not come along.

use super::accesses::{Likeness, Setting, likeness};
use super::alike::Alike;
use super::condition::Demand;
use super::differences::after_a_move;
use super::finding::{Finding, Witness};
use super::groups::{Group, groups};
use super::items::{Item, items};
use super::merge::merge;
use super::product::{Product, TooLarge};
use super::rules::{self, Effect, Rule};
use super::steps::Step;
use super::symbols::Cell;
use crate::interpret::Machine;
use crate::model::{BitRule, Expr, Field, Read, View, Write};
use std::collections::HashMap;

/// Both directions. `known` are the findings about accesses and records.
pub fn migrated(setting: &Setting, known: &[Finding]) -> Result<Vec<Finding>, Box<TooLarge>> {
    let [old, new] = setting.views;
    // Between interfaces a record is converted, which takes nothing away.
    if old.name != new.name || !one_word(setting.views) {
        return Ok(Vec::new());
    }
    let mut all = one_way(setting, known, 0)?;
    let back = Setting::new([new, old]);
    all.extend(one_way(&back, known, 1)?.into_iter().map(turned));
    Ok(all)
}

/// Both sides have the capability word in the same item, or none.
fn one_word(views: [&View; 2]) -> bool {
    let tags = views.map(|view| {
        let own = items(view).into_iter().find(|item| item.capability);
        own.map(|item| item.tag)
    });
    tags[0] == tags[1]
}

/// From the first side of a setting to the second, which is a direction of what is known.
fn one_way(
    setting: &Setting,
    known: &[Finding],
    direction: usize,
) -> Result<Vec<Finding>, Box<TooLarge>> {
    if setting.views[1].restore_only {
        return Ok(Vec::new());
    }
    let alike = Alike::new(setting.views);
    let own = setting.views.map(items);
    let mut first: Vec<(Option<Vec<Likeness>>, Vec<Finding>)> = Vec::new();
    let mut others: HashMap<usize, Vec<u32>> = HashMap::new();
    for group in linked(groups(setting.views), &own) {
        let along = saved_alike(&group, &own);
        if along && (alike.same(&group) || bit_by_bit(setting, &group)) {
            continue;
        }
        let like = likeness(setting, &group);
        let same = first
            .iter()
            .position(|(other, _)| like.is_some() && *other == like);
        if let Some(same) = same {
            others.entry(same).or_default().extend(&group.msrs);
            continue;
        }
        first.push((like, of_group(setting, &group, known, direction)?));
    }
    for (at, msrs) in others {
        let findings = &mut first[at].1;
        findings
            .iter_mut()
            .for_each(|finding| finding.about.msrs.extend(&msrs));
    }
    let all = first.into_iter().flat_map(|(_, findings)| findings);
    Ok(merge(all.collect()))
}

/// Guests as they come to be by themselves, and those that only a record brings.
fn of_group<'a>(
    setting: &Setting<'a>,
    group: &Group,
    known: &[Finding],
    direction: usize,
) -> Result<Vec<Finding>, Box<TooLarge>> {
    let mut product = Product::new(setting, group);
    let untold = |product: &mut Product<'a>| {
        let msrs = group.msrs.iter();
        let mut findings: Vec<Finding> = msrs
            .flat_map(|msr| after_a_move(setting, product, *msr))
            .collect();
        findings.retain(|finding| !told(finding, known, direction) && arrives(finding, setting));
        findings
    };
    product.migrate(group)?;
    let lived = untold(&mut product);
    let mut recorded = match product.migrate_records(group)? {
        true => untold(&mut product),
        false => Vec::new(),
    };
    product.sure()?;
    recorded.retain(|finding| !told(finding, &lived, 0));
    let named = |rule| move |finding| named(finding, rule);
    let lived = lived.into_iter().map(named(&rules::MOVE_CHANGES));
    let recorded = recorded.into_iter().map(named(&rules::RESTORED_CHANGES));
    Ok(lived.chain(recorded).collect())
}

/// The rule says only that a move does it.
fn named(finding: Finding, rule: &'static Rule) -> Finding {
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

/// Something else says already that a guest in this direction meets it.
fn told(finding: &Finding, known: &[Finding], direction: usize) -> bool {
    let whole: [&Rule; 7] = [
        &rules::ITEM_DROPPED,
        &rules::ITEM_SAVED_AGAIN,
        &rules::SCOPE_GUEST,
        &rules::SCOPE_VCPU,
        &rules::REGISTER_ADDED,
        &rules::REGISTER_REMOVED,
        &rules::ADDRESS_MOVED,
    ];
    let about_it = known.iter().filter(|other| {
        let msrs = &other.about.msrs;
        other.effects()[direction] != Effect::Safe
            && finding.about.msrs.iter().all(|msr| msrs.contains(msr))
    });
    let rule = match direction {
        0 => finding.rule,
        _ => finding.rule.mirrored(),
    };
    let mut bits = 0;
    for other in about_it {
        if whole.contains(&other.rule) || other.rule == rule && finding.about.bits == 0 {
            return true;
        }
        if other.about.tag.is_none() {
            bits |= other.about.bits;
        }
    }
    finding.about.bits != 0 && finding.about.bits & !bits == 0
}

/// The other side takes the record of the witness.
fn arrives(finding: &Finding, setting: &Setting) -> bool {
    let takes = |witness: &Witness| {
        setting.views.into_iter().all(|view| {
            let mut guest = Machine::new(view);
            witness.steps.iter().all(|step| match step {
                Step::Restore(record) => guest.restore_either(record).is_ok(),
                _ => true,
            })
        })
    };
    finding
        .witness
        .as_ref()
        .is_some_and(|witness| takes(witness) && witness.tells())
}

/// What both sides save of a group is the same.
fn saved_alike(group: &Group, items: &[Vec<Item>; 2]) -> bool {
    let of = |side: usize| {
        let cells = group.cells[side].iter();
        let own = cells.map(|cell| {
            let item = items[side].iter().find(|item| item.id == cell.register)?;
            let Item {
                tag,
                words,
                default,
                accepts,
                ..
            } = item;
            Some((*tag, *words, *default, *accepts, &item.closed, cell.bank))
        });
        let mut own: Vec<_> = own.collect();
        own.sort();
        own
    };
    of(0) == of(1)
}

/// One register that comes along as it is, and that both sides show as it is; they differ at most in what a write does to each
/// bit by itself. A bit that the old side can change, and that the new one would change otherwise, shows that from power-on.
fn bit_by_bit(setting: &Setting, group: &Group) -> bool {
    let register = |side: usize| {
        let msr = group.msrs.first()?;
        let (id, _) = setting.places[side].get(msr)?;
        let register = setting.views[side].register(*id);
        let field = |field: &Field| {
            field.present.is_none()
                && field.read.is_none()
                && field.rules.is_empty()
                && by_itself(&field.write)
        };
        let plain = matches!(register.read, Read::Value(Expr::State))
            && matches!(register.write, Write::Bits(None))
            && register.rules.is_empty()
            && register.present.is_none()
            && register.fields.iter().all(field)
            && by_itself(&register.reserved)
            && !register.banked
            && setting.views[side].capability != Some(*id);
        plain.then_some((register.reset, register.init, register.scope))
    };
    let alone = group.msrs.len() == 1 && group.cells.iter().all(|cells| cells.len() == 1);
    alone && register(0).is_some() && register(0) == register(1)
}

/// What becomes of the bit, and whether the write faults, depends on no other state.
fn by_itself(rule: &BitRule) -> bool {
    !matches!(rule, BitRule::Locked(_) | BitRule::FaultOnChange)
}

/// Groups in which each state of the second side stands with the one of the first that it is restored from.
fn linked(groups: Vec<Group>, items: &[Vec<Item>; 2]) -> Vec<Group> {
    let mut linked: Vec<Group> = Vec::new();
    for mut group in groups {
        let from = group.cells[1].iter().filter_map(|cell| {
            let item = items[1].iter().find(|item| item.id == cell.register)?;
            let same = |other: &&Item| other.tag == item.tag && other.scope == item.scope;
            let other = items[0].iter().find(same)?;
            ((cell.bank as usize) < other.words && !other.capability).then_some(Cell {
                register: other.id,
                bank: cell.bank,
            })
        });
        let from: Vec<Cell> = from.collect();
        group.cells[0].extend(from);
        // One that has a state in common is the same group.
        let (same, rest): (Vec<Group>, Vec<Group>) = linked
            .into_iter()
            .partition(|other| !other.cells[0].is_disjoint(&group.cells[0]));
        linked = rest;
        for other in same {
            group.msrs.extend(other.msrs);
            for (own, more) in group.cells.iter_mut().zip(other.cells) {
                own.extend(more);
            }
        }
        linked.push(group);
    }
    linked
}
