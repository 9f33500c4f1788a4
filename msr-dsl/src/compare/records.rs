//! What a saved record holds, and which records a restore takes.

use super::accesses::Setting;
use super::condition::{Condition, Demand};
use super::content::Content;
use super::crossing;
use super::finding::{About, Aspect, Finding, Witness};
use super::items::{Item, acceptable, items, pairs, record, record_of, smallest};
use super::phrases::{bits, count};
use super::rules::{self, Rule};
use super::steps::{Start, Step};
use super::truth::{Bit, Table, Truth};
use super::values::{self, Values};
use crate::interpret::Machine;
use crate::model::View;

/// All findings about records.
pub fn records(setting: &Setting) -> Vec<Finding> {
    let views = setting.views;
    let same_name = views[0].name == views[1].name;
    let mut findings = Vec::new();
    if !same_name {
        let text = format!("{} → {}", views[0].name, views[1].name);
        let about = About {
            aspect: Aspect::Interface,
            ..About::default()
        };
        let content = Content::of(views.map(|view| &view.name));
        let mut finding = Finding::new(&rules::INTERFACE_NAME, about, text).saying(content);
        let own = Machine::new(views[0]).save();
        finding.witness = Some(Witness::new(views, vec![Step::Restore(own)]));
        let condition = Some(Condition {
            affected: None,
            demand: Demand::Converted,
        });
        finding.conditions = [condition.clone(), condition];
        findings.push(finding);
    }
    let items = views.map(items);
    let pairs = pairs(views, &items);
    let records = Records { setting, same_name };
    for (old, new) in &pairs {
        match (old, new) {
            (Some(old), Some(new)) => findings.extend(records.both(old, new)),
            (Some(old), None) => findings.push(records.alone(old, 0)),
            (None, Some(new)) => findings.push(records.alone(new, 1)),
            (None, None) => {}
        }
    }
    findings.extend(records.shared());
    if same_name {
        findings.extend(records.old_items());
        findings.extend(order(&pairs));
    }
    findings
}

/// What one side alone restores.
struct Alone {
    /// The least.
    value: u64,
    values: Values,
    /// Masks with the values under them, if they are not too many.
    cases: Option<Vec<(u64, u64)>>,
}

/// Patterns of values that are told apart.
const MOST_CASES: usize = 256;

struct Records<'s, 'a> {
    setting: &'s Setting<'a>,
    same_name: bool,
}

fn about(old: Option<&Item>, new: Option<&Item>, aspect: Aspect) -> About {
    let one = new.or(old);
    About {
        msrs: one.map(|item| item.msrs.clone()).unwrap_or_default(),
        tag: one.map(|item| item.tag),
        registers: [old, new].map(|item| item.map(|item| item.name.clone())),
        aspect,
        ..About::default()
    }
}

impl Records<'_, '_> {
    fn views(&self) -> [&View; 2] {
        self.setting.views
    }

    /// An item that one side saves.
    fn alone(&self, item: &Item, side: usize) -> Finding {
        let dropped = self.same_name && self.views()[1 - side].dropped_tags.contains(&item.tag);
        let rule = match (side, dropped) {
            (0, false) => &rules::ITEM_REMOVED,
            (0, true) => &rules::ITEM_DROPPED,
            (_, false) => &rules::ITEM_ADDED,
            (_, true) => &rules::ITEM_SAVED_AGAIN,
        };
        let (old, new) = if side == 0 {
            (Some(item), None)
        } else {
            (None, Some(item))
        };
        let words = count(item.words, "word", "words");
        let text = match side {
            0 => format!(
                "item {} ({}, {words}): saved → not saved",
                item.tag, item.name
            ),
            _ => format!(
                "item {} ({}, {words}): not saved → saved",
                item.tag, item.name
            ),
        };
        let content = Content::of((item.words, item.default)).with(self.taken([(side, item)]));
        let mut finding =
            Finding::new(rule, about(old, new, Aspect::Migrate), text).saying(content);
        let demand = match dropped || !self.same_name {
            true => rely_on(item),
            false => all_clear(item),
        };
        finding.conditions[side] = Some(Condition {
            affected: None,
            demand,
        });
        let value = smallest(self.views()[side], item, |value| value != 0).unwrap_or(1);
        let values = [value, 0, item.accepts, item.default];
        finding.witness = match (self.same_name, dropped) {
            (false, _) => {
                let words = values.map(|value| vec![value; item.words]);
                crossing::witness(self.setting, item, side, 0, &words)
            }
            (true, true) => self.shown(item, side, &values),
            (true, false) => self.refused(&[(item.tag, vec![value; item.words])], side),
        };
        finding
    }

    /// A record of one side, and its items, that the other side refuses.
    fn refused(&self, items: &[(u16, Vec<u64>)], side: usize) -> Option<Witness> {
        let record = record(self.views()[side], items);
        Some(Witness::new(self.views(), vec![Step::Restore(record)])).filter(Witness::tells)
    }

    /// A record with an item whose value, once restored, a guest sees on one side alone.
    fn shown(&self, item: &Item, side: usize, values: &[u64]) -> Option<Witness> {
        let capability = self.views()[side]
            .capability
            .map(|id| self.views()[side].register(id));
        let common = self.setting.guests.has[0] & self.setting.guests.has[1];
        let flags = (0..64)
            .map(|bit| 1u64 << bit)
            .filter(|flag| common & flag != 0);
        let words: Vec<u64> = std::iter::once(0).chain(flags).collect();
        for value in values {
            for more in &words {
                let mut items = vec![(item.tag, vec![*value; item.words])];
                if let Some((tag, register)) =
                    capability.and_then(|register| Some((super::items::tag(register)?, register)))
                {
                    items.push((tag, vec![(register.reset | more) & common]));
                }
                let restore = Step::Restore(record(self.views()[side], &items));
                for msr in item.msrs.iter().take(2) {
                    let witness =
                        Witness::new(self.views(), vec![restore.clone(), Step::Read(*msr)]);
                    if witness.tells() {
                        return Some(witness);
                    }
                }
            }
        }
        Some(Witness::new(self.views(), vec![item.save()]))
    }

    /// An item that both sides save.
    fn both(&self, old: &Item, new: &Item) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.same_name && old.tag != new.tag {
            findings.push(self.retagged(old, new));
        }
        findings.extend(self.owner(old, new));
        if old.words != new.words {
            findings.push(self.length(old, new));
        }
        // Between interfaces a record is converted by what its own side takes it for.
        if self.same_name && old.default != new.default {
            let text = format!(
                "{} of a record without item {}: {:#x} → {:#x}",
                new.name, new.tag, old.default, new.default
            );
            let mut finding = Finding::new(
                &rules::DEFAULT_CHANGED,
                about(Some(old), Some(new), Aspect::Migrate),
                text,
            )
            .saying(Content::of((old.default, new.default)));
            finding.witness = self.without(new);
            findings.push(finding);
        }
        // Which bits the capability word may have has findings of its own.
        if !old.capability || old.closed != new.closed {
            findings.extend(self.accepts(old, new));
        }
        findings
    }

    fn retagged(&self, old: &Item, new: &Item) -> Finding {
        let text = format!("{}: item {} → item {}", new.name, old.tag, new.tag);
        let mut finding = Finding::new(
            &rules::ITEM_RETAGGED,
            about(Some(old), Some(new), Aspect::Migrate),
            text,
        )
        .saying(Content::of((old.tag, new.tag)));
        // The other side reads the tag: as another register's, or to drop it.
        let reads = |side: usize, tag: u16| {
            let view = self.views()[side];
            view.dropped_tags.contains(&tag) || items(view).iter().any(|item| item.tag == tag)
        };
        let condition = |own: &Item, other: usize| {
            let demand = match reads(other, own.tag) {
                true => rely_on(own),
                false => all_clear(own),
            };
            Some(Condition {
                affected: None,
                demand,
            })
        };
        finding.conditions = [condition(old, 1), condition(new, 0)];
        let value = smallest(self.views()[0], old, |value| value != 0).unwrap_or(1);
        finding.witness = self
            .refused(&[(old.tag, vec![value; old.words])], 0)
            .or_else(|| self.elsewhere(old, new, value));
        finding
    }

    /// The item of a register that the other side has, too, is another one's there.
    fn owner(&self, old: &Item, new: &Item) -> Option<Finding> {
        let is_there = |side: usize, item: &Item| {
            let first = item.msrs.first();
            first.is_some_and(|msr| self.setting.places[side].contains_key(msr))
        };
        let moved = old.msrs.iter().all(|msr| !new.msrs.contains(msr));
        let both = [old, new]
            .iter()
            .all(|item| is_there(0, item) && is_there(1, item));
        if !self.same_name || old.tag != new.tag || !moved || !both {
            return None;
        }
        let mut about = about(Some(old), Some(new), Aspect::Migrate);
        about.msrs = old.msrs.iter().chain(&new.msrs).copied().collect();
        let text = format!("item {}: {}'s → {}'s", old.tag, old.name, new.name);
        let content = Content::of((&old.msrs, &new.msrs));
        let mut finding = Finding::new(&rules::ITEM_OWNER, about, text).saying(content);
        finding.conditions = [old, new].map(|own| {
            Some(Condition {
                affected: None,
                demand: rely_on(own),
            })
        });
        let value = smallest(self.views()[0], old, |value| value != 0).unwrap_or(1);
        finding.witness = self.elsewhere(old, new, value);
        Some(finding)
    }

    /// A record whose item is another register's on the new side.
    fn elsewhere(&self, old: &Item, new: &Item, value: u64) -> Option<Witness> {
        let restore = Step::Restore(record(
            self.views()[0],
            &[(old.tag, vec![value; old.words])],
        ));
        let reads = old.msrs.iter().chain(&new.msrs).map(|msr| Step::Read(*msr));
        let mut witnesses = reads
            .chain([old.save()])
            .map(|last| Witness::new(self.views(), vec![restore.clone(), last]));
        witnesses.find(Witness::tells)
    }

    fn length(&self, old: &Item, new: &Item) -> Finding {
        let (rule, long, side) = match old.words < new.words {
            true => (&rules::ITEM_LONGER, new, 1),
            false => (&rules::ITEM_SHORTER, old, 0),
        };
        let text = format!(
            "item {} ({}): {} → {} words",
            new.tag, new.name, old.words, new.words
        );
        let from = old.words.min(new.words);
        let mut about = about(Some(old), Some(new), Aspect::Migrate);
        if !self.same_name {
            about.msrs = self.msrs_behind(long, side, from);
        }
        let content = Content::of((old.words, new.words));
        let mut finding = Finding::new(rule, about, text).saying(content);
        let demand = if self.same_name {
            Demand::Clear {
                register: long.name.clone(),
                tag: long.tag,
                from,
                bits: u64::MAX,
            }
        } else {
            Demand::Not(format!(
                "rely on what {} holds from bank {from} on",
                long.name
            ))
        };
        finding.conditions[side] = Some(Condition {
            affected: None,
            demand,
        });
        let value = smallest(self.views()[side], long, |value| value != 0).unwrap_or(1);
        finding.witness = match self.same_name {
            true => self.refused(&[(long.tag, vec![value; long.words])], side),
            false => {
                let common = vec![long.default; from];
                let words = [value, long.default]
                    .map(|value| [&common[..], &vec![value; long.words - from]].concat());
                crossing::witness(self.setting, long, side, from, &words)
            }
        };
        finding
    }

    /// The MSRs of an item's banks from one on.
    fn msrs_behind(&self, item: &Item, side: usize, from: usize) -> Vec<u32> {
        let register = self.views()[side].register(item.id);
        let msrs = register.addresses.iter().flat_map(|address| address.msrs());
        let own = msrs.filter(|(_, index)| *index as usize >= from);
        own.map(|(msr, _)| msr).collect()
    }

    fn without(&self, item: &Item) -> Option<Witness> {
        let restore = Step::Restore(record_of(self.views()[0], item.scope, &[]));
        let reads = item.msrs.iter().take(2).map(|msr| Step::Read(*msr));
        let mut witnesses = reads
            .chain([item.save()])
            .map(|last| Witness::new(self.views(), vec![restore.clone(), last]));
        witnesses.find(Witness::tells)
    }

    /// Values that one side alone restores.
    fn accepts(&self, old: &Item, new: &Item) -> Vec<Finding> {
        let mut table = Table::default();
        let sides = self.setting.sides();
        let taken =
            [(0, old), (1, new)].map(|(side, item)| acceptable(&mut table, &sides[side], item));
        let mut findings = Vec::new();
        for (rule, side) in [(&rules::ACCEPTS_MORE, 1), (&rules::ACCEPTS_LESS, 0)] {
            let mut alone = table.less(taken[side], taken[1 - side]);
            if old.capability {
                // Of the words whose bits both sides know; that the others are clear need not be said.
                let common = old.accepts & new.accepts;
                let others = (0..64).filter(|bit| common >> bit & 1 == 0);
                let bits: Vec<Truth> = others.rev().map(|bit| table.bit(bit)).collect();
                let others = table.any(bits);
                alone = table.less(alone, others);
                alone = table.exists(alone, &|bit| bit < 64 && common >> bit & 1 == 0);
            }
            if let Some(value) = example(&table, alone) {
                let places = std::array::from_fn(|bit| bit as Bit);
                let alone = Alone {
                    value,
                    values: values::describe(&mut table, &places, alone),
                    cases: values::cases(&mut table, &places, alone, MOST_CASES),
                };
                findings.push(self.accepts_alone(rule, [old, new], side, &alone));
            }
        }
        findings
    }

    fn accepts_alone(
        &self,
        rule: &'static Rule,
        items: [&Item; 2],
        side: usize,
        alone: &Alone,
    ) -> Finding {
        let own = items[side];
        let Values {
            text, bits: mask, ..
        } = &alone.values;
        let what = match mask {
            0 => text.clone(),
            mask => bits(*mask),
        };
        let text = format!(
            "item {} ({}): {what} {}",
            own.tag,
            own.name,
            if side == 1 {
                "refused → restored"
            } else {
                "restored → refused"
            }
        );
        let mut about = about(Some(items[0]), Some(items[1]), Aspect::Accepts);
        about.bits = *mask;
        let content = self.taken([(0, items[0]), (1, items[1])]);
        let mut finding = Finding::new(rule, about, text).saying(content);
        let (register, tag) = (own.name.clone(), own.tag);
        let demand = match (mask, &alone.cases) {
            (0, Some(cases)) => Demand::Unlike {
                register,
                tag,
                cases: cases.clone(),
                text: match &alone.values.but {
                    Some(others) => others.clone(),
                    None => format!("none of {what}"),
                },
            },
            (0, None) => Demand::Not(format!("have {register} with one of {what}")),
            (mask, _) => Demand::Clear {
                register,
                tag,
                from: 0,
                bits: *mask,
            },
        };
        finding.conditions[side] = Some(Condition {
            affected: None,
            demand,
        });
        let mut words = vec![0; own.words];
        if let Some(word) = words.first_mut() {
            *word = alone.value;
        }
        finding.witness = match self.same_name {
            true => self.refused(&[(own.tag, words)], side),
            false => {
                // One that both take tells that it is the value.
                let common = match own.capability {
                    true => items[0].accepts & items[1].accepts,
                    false => u64::MAX,
                };
                let words = [words, vec![own.default & common; own.words]];
                crossing::witness(self.setting, own, side, 0, &words)
            }
        };
        finding
    }

    /// What restores take of items.
    fn taken<const N: usize>(&self, items: [(usize, &Item); N]) -> Content {
        let mut table = Table::default();
        let sides = self.setting.sides();
        let taken = items.map(|(side, item)| {
            let taken = acceptable(&mut table, &sides[side], item);
            (format!("side {side} takes"), taken)
        });
        Content::of_truths(&table, &taken, &|bit| format!("value {bit}"))
    }

    /// One side alone has a record of what a guest's vCPUs share.
    fn shared(&self) -> Option<Finding> {
        let (rule, side, text) = match self.views().map(View::is_shared) {
            [true, false] => (&rules::SHARED_REMOVED, 0, "taken → refused"),
            [false, true] => (&rules::SHARED_ADDED, 1, "refused → taken"),
            _ => return None,
        };
        let about = About {
            aspect: Aspect::Interface,
            ..About::default()
        };
        let text = format!("the record of what a guest's vCPUs share: {text}");
        let mut finding = Finding::new(rule, about, text);
        let own = Machine::new(self.views()[side]).save_guest();
        let mut start = [Start::default(), Start::default()];
        if !self.same_name {
            start[1 - side].from = Some(self.views()[side].name.clone());
        }
        finding.witness = Some(Witness::of(self.views(), start, vec![Step::Restore(own)]));
        Some(finding)
    }

    /// Tags of older versions' records, which neither side writes.
    fn old_items(&self) -> Vec<Finding> {
        let [old, new] = self.views();
        let writes =
            |view: &View, tag: u16| super::items::items(view).iter().any(|own| own.tag == tag);
        let mut findings = Vec::new();
        for (rule, own, other, side) in [
            (&rules::OLD_ITEM_ACCEPTED, new, old, 1),
            (&rules::OLD_ITEM_REFUSED, old, new, 0),
        ] {
            for tag in &own.dropped_tags {
                if writes(other, *tag) || writes(own, *tag) || other.dropped_tags.contains(tag) {
                    continue;
                }
                let text = format!(
                    "item {tag} of old records: {}",
                    if side == 1 {
                        "refused → dropped"
                    } else {
                        "dropped → refused"
                    }
                );
                let about = About {
                    tag: Some(*tag),
                    aspect: Aspect::Interface,
                    ..About::default()
                };
                let mut finding = Finding::new(rule, about, text);
                finding.witness = self.refused(&[(*tag, vec![1])], side);
                findings.push(finding);
            }
        }
        findings
    }
}

fn rely_on(item: &Item) -> Demand {
    Demand::Not(format!("rely on what {} holds", item.name))
}

/// It is taken without being known.
fn all_clear(item: &Item) -> Demand {
    Demand::Clear {
        register: item.name.clone(),
        tag: item.tag,
        from: 0,
        bits: u64::MAX,
    }
}

/// The smallest value of a set.
fn example(table: &Table, values: Truth) -> Option<u64> {
    let picked = table.pick(values, &|_| false)?;
    Some(
        (0..64)
            .filter(|bit| picked.get(bit) == Some(&true))
            .fold(0, |value, bit| value | 1 << bit),
    )
}

/// Which item has to come after which: only that is an order, not the lines of a file.
fn order(pairs: &[(Option<Item>, Option<Item>)]) -> Option<Finding> {
    let both: Vec<(&Item, &Item)> = pairs
        .iter()
        .filter_map(|(old, new)| Some((old.as_ref()?, new.as_ref()?)))
        .collect();
    let (mut changed, mut pairs_of_tags) = (Vec::new(), Vec::new());
    for (old, new) in &both {
        for (first_old, first_new) in &both {
            let [was, is] = [
                old.after.contains(&first_old.id),
                new.after.contains(&first_new.id),
            ];
            if was != is {
                let words = if is { "now" } else { "no longer" };
                pairs_of_tags.push((new.tag, first_new.tag, is));
                changed.push(format!("{} {words} after {}", new.name, first_new.name));
            }
        }
    }
    let about = About {
        aspect: Aspect::Interface,
        ..About::default()
    };
    (!changed.is_empty()).then(|| {
        pairs_of_tags.sort_unstable();
        Finding::new(&rules::RESTORE_ORDER, about, changed.join(", "))
            .saying(Content::of(pairs_of_tags))
    })
}
