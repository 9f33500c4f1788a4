//! The items of a record, side by side, and records made by hand.

use super::steps::Step;
use super::symbols::Side;
use super::truth::{Table, Truth};
use super::word::Word;
use crate::model::{Migrate, Register, RegisterId, Scope, View};
use msr_runtime::record;

/// An item that a version saves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its tag.
    pub tag: u16,
    /// The register.
    pub id: RegisterId,
    /// The register's name.
    pub name: String,
    /// The register's MSRs.
    pub msrs: Vec<u32>,
    /// 64-bit words.
    pub words: usize,
    /// The value when a record lacks it.
    pub default: u64,
    /// Bits that a restore accepts.
    pub accepts: u64,
    /// Fields of which a restore takes some values alone: their bits, and the values in place.
    pub closed: Vec<(u64, Vec<u64>)>,
    /// It is the capability word.
    pub capability: bool,
    /// Registers that are restored before it.
    pub after: Vec<RegisterId>,
    /// It says that a machine check is pending.
    pub pending: bool,
    /// In which record it is: a vCPU's, or that of what a guest's vCPUs share.
    pub scope: Scope,
}

impl Item {
    /// The step that shows the record in which it is.
    pub fn save(&self) -> Step {
        match self.scope {
            Scope::Vcpu => Step::Save,
            Scope::Guest => Step::SaveGuest,
        }
    }

    /// A restore takes this value, as far as bits and named values go.
    pub fn takes(&self, value: u64) -> bool {
        let mut closed = self.closed.iter();
        value & !self.accepts == 0 && closed.all(|(mask, values)| values.contains(&(value & mask)))
    }
}

/// The items of a version.
pub fn items(view: &View) -> Vec<Item> {
    let saved = view.saved().into_iter();
    let all = saved
        .chain(view.saved_of(Scope::Guest))
        .map(|(id, tag, default)| {
            let register = view.register(id);
            let closed = register.fields.iter().filter_map(|field| {
                let values = field.restored.as_ref()?.iter();
                Some((
                    field.mask(),
                    values.map(|value| value << field.lo).collect(),
                ))
            });
            let injection = view.injection.as_ref();
            Item {
                tag,
                id,
                name: register.name.clone(),
                msrs: register
                    .addresses
                    .iter()
                    .flat_map(|address| address.msrs())
                    .map(|(msr, _)| msr)
                    .collect(),
                words: view.cells(register),
                default,
                accepts: register.accepts,
                closed: closed.collect(),
                capability: view.capability == Some(id),
                after: register.after.clone(),
                pending: injection.and_then(|injection| injection.pending) == Some(id),
                scope: register.scope,
            }
        });
    all.collect()
}

/// The tag under which a register is saved.
pub fn tag(register: &Register) -> Option<u16> {
    match register.migrate {
        Migrate::Saved { tag, .. } => Some(tag),
        _ => None,
    }
}

/// Which items of two versions are those of one register: it is reached at the same MSR, or, of two that no access
/// reaches, they have one tag (in records of one interface) or one meaning.
pub fn pairs(views: [&View; 2], items: &[Vec<Item>; 2]) -> Vec<(Option<Item>, Option<Item>)> {
    let same_name = views[0].name == views[1].name;
    let matches = |old: &Item, new: &Item| {
        if old.scope != new.scope {
            return false;
        }
        old.capability && new.capability
            || old.msrs.iter().any(|msr| new.msrs.contains(msr))
            || old.msrs.is_empty()
                && new.msrs.is_empty()
                && (same_name && old.tag == new.tag || old.pending && new.pending)
    };
    // One that is nowhere else has moved, whatever it is called, or the tag is another one's now.
    let moved = |old: &Item, new: &Item| same_name && (old.tag, old.scope) == (new.tag, new.scope);
    let mut pairs: Vec<(Option<Item>, Option<Item>)> = Vec::new();
    let mut left: Vec<&Item> = items[1].iter().collect();
    for old in &items[0] {
        let at = left.iter().position(|new| matches(old, new));
        pairs.push((Some(old.clone()), at.map(|at| left.remove(at).clone())));
    }
    for (old, new) in &mut pairs {
        if let (Some(old), None) = (old, &new) {
            let at = left.iter().position(|new| moved(old, new));
            *new = at.map(|at| left.remove(at).clone());
        }
    }
    pairs.extend(left.into_iter().map(|new| (None, Some(new.clone()))));
    pairs
}

/// The values that a restore takes, over bits 0 to 63.
pub fn acceptable(table: &mut Table, side: &Side, item: &Item) -> Truth {
    let bits = std::array::from_fn(|bit| table.bit(bit as u32));
    taken(table, side, item, &bits)
}

/// When a restore takes a word of an item.
pub fn taken(table: &mut Table, side: &Side, item: &Item, bits: &Word) -> Truth {
    let register = side.view.register(item.id);
    let taken = fields_taken(table, item, bits);
    if !register.held {
        return taken;
    }
    // Of what is held the rules count too.
    let legal = side.may_hold(table, register, bits);
    table.and(taken, legal)
}

/// The bits that a restore accepts, and the named values of closed fields.
fn fields_taken(table: &mut Table, item: &Item, bits: &Word) -> Truth {
    let refused = (0..64).rev().filter(|bit| item.accepts >> bit & 1 == 0);
    let refused = table.any(refused.map(|bit| bits[bit]));
    let mut taken = table.not(refused);
    for (mask, values) in &item.closed {
        let own: Vec<usize> = (0..64).filter(|bit| mask >> bit & 1 == 1).collect();
        let mut named = Truth::NO;
        for value in values {
            let is = own.iter().rev().fold(Truth::YES, |all, bit| {
                let same = if value >> bit & 1 == 1 {
                    bits[*bit]
                } else {
                    table.not(bits[*bit])
                };
                table.and(same, all)
            });
            named = table.or(named, is);
        }
        taken = table.and(taken, named);
    }
    taken
}

/// The smallest value that a restore takes and that suits.
pub fn smallest(view: &View, item: &Item, suits: impl Fn(u64) -> bool) -> Option<u64> {
    let named = item
        .closed
        .iter()
        .flat_map(|(_, values)| values.iter().copied());
    let mut values: Vec<u64> = (0..64)
        .map(|bit| 1 << bit)
        .chain(named)
        .filter(|value| suits(*value))
        .collect();
    values.sort_unstable();
    values.into_iter().find(|value| {
        let record = record(view, &[(item.tag, vec![*value; item.words])]);
        crate::interpret::Machine::new(view)
            .restore_either(&record)
            .is_ok()
    })
}

/// A record of a version with these items. If one of them is of what a guest's vCPUs share, the record is of that alone.
pub fn record(view: &View, items: &[(u16, Vec<u64>)]) -> Vec<u8> {
    let saved = view.saved_of(Scope::Guest);
    let shared = |tag: u16| saved.iter().any(|(_, own, _)| *own == tag);
    let own: Vec<_> = items
        .iter()
        .filter(|(tag, _)| shared(*tag))
        .cloned()
        .collect();
    match own.is_empty() {
        true => record_of(view, Scope::Vcpu, items),
        false => record_of(view, Scope::Guest, &own),
    }
}

/// A record of a version, of one of the two kinds, with these items.
pub fn record_of(view: &View, scope: Scope, items: &[(u16, Vec<u64>)]) -> Vec<u8> {
    let kind = (scope == Scope::Guest).then(|| (record::KIND, vec![record::OF_GUEST]));
    let mut body: Vec<u8> = Vec::new();
    for (tag, words) in kind.iter().chain(items) {
        body.extend(tag.to_le_bytes());
        body.extend((8 * words.len() as u16).to_le_bytes());
        body.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }
    let mut head: Vec<u8> = record::MAGIC.to_vec();
    head.extend(record::name(&view.name));
    head.extend(view.version.to_le_bytes());
    head.extend(((record::HEADER + body.len()) as u16).to_le_bytes());
    let sealed = [head.as_slice(), &body].concat();
    head.extend(record::crc32c(0, &sealed).to_le_bytes());
    head.extend(body);
    head
}
