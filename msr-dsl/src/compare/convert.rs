//! A record of one version as another, or every reason why not.

use super::items::{Item, items, pairs, record_of};
use super::phrases::count;
use crate::interpret::{Answer, Machine};
use crate::model::{Read, RegisterId, Scope, View};
use msr_runtime::record::{Record, crc32c, name};

/// A record as another version writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// The record.
    pub record: Vec<u8>,
    /// What the guest that it restores to no longer reads, each a sentence.
    pub lost: Vec<String>,
}

/// The record as the new version writes it. Nothing that the guest reads is lost: where the old one reads a value, the guest that
/// it restores to reads the same.
///
/// # Errors
/// All reasons, each a sentence.
pub fn convert(old: &View, new: &View, bytes: &[u8]) -> Result<Vec<u8>, Vec<String>> {
    let converted = convert_what_can_be(old, new, bytes)?;
    match converted.lost.is_empty() {
        true => Ok(converted.record),
        false => Err(converted.lost),
    }
}

/// The record as the new version writes it, with what the guest loses by it.
///
/// # Errors
/// All reasons why there is none, each a sentence: what the new version's restore refuses, and a pending machine check, or one that
/// the guest is handling, that it has no place for.
pub fn convert_what_can_be(old: &View, new: &View, bytes: &[u8]) -> Result<Converted, Vec<String>> {
    let mut guest = Machine::new(old);
    if guest.restore_either(bytes).is_err() {
        let reasons = guest.refusals(bytes);
        let refused = |reason| format!("{} version {} refuses it: {reason}", old.name, old.version);
        return Err(reasons.into_iter().map(refused).collect());
    }
    if new.restore_only {
        return Err(vec![format!(
            "no guest runs under {} version {}",
            new.name, new.version
        )]);
    }
    let scope = kind(old, bytes);
    let of_kind = |view| items(view).into_iter().filter(|item| item.scope == scope);
    let own: [Vec<Item>; 2] = [old, new].map(|view| of_kind(view).collect());
    let (mut kept, mut lost, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
    for (from, to) in pairs([old, new], &own) {
        let words = match (&from, &to) {
            (Some(from), Some(to)) => carried(&guest, from, to, &mut lost),
            (None, Some(to)) => read_back(&guest, new, to),
            (Some(from), None) => {
                reasons.extend(without_a_place(&guest, from));
                continue;
            }
            (None, None) => continue,
        };
        let Some(to) = to else { continue };
        let alone = record_of(new, scope, &[(to.tag, words.clone())]);
        reasons.extend(Machine::new(new).refusals(&alone));
        kept.push((to.tag, words));
    }
    if !reasons.is_empty() {
        // Of items without a place too, which one interface's versions read as they are.
        let all = match old.name == new.name {
            true => Machine::new(new).refusals(bytes),
            false => Vec::new(),
        };
        let further: Vec<_> = all
            .into_iter()
            .filter(|one| !reasons.contains(one))
            .collect();
        reasons.extend(further);
        return Err(reasons);
    }
    let mut there = Machine::new(new);
    let written = record_of(new, scope, &kept);
    if there.restore_either(&written).is_err() {
        return Err(there.refusals(&written));
    }
    let cut_short = handled_elsewhere(&guest, &there, scope);
    if !cut_short.is_empty() {
        return Err(cut_short);
    }
    lost.extend(reads_otherwise(&guest, &there, scope));
    let record = match scope {
        Scope::Vcpu => there.save(),
        Scope::Guest => there.save_guest(),
    };
    Ok(Converted { record, lost })
}

/// The words of an item that both sides save, as many as the new one has.
fn carried(guest: &Machine, from: &Item, to: &Item, lost: &mut Vec<String>) -> Vec<u64> {
    let mut words = guest.cells()[from.id].to_vec();
    let beyond = words.split_off(words.len().min(to.words));
    if let Some(bank) = beyond.iter().position(|word| *word != to.default) {
        let value = beyond[bank];
        let has = count(to.words, "bank", "banks");
        lost.push(format!(
            "{} holds {value:#x} in bank {}, and the other side stores {has}",
            from.name,
            to.words + bank
        ));
    }
    words.resize(to.words, to.default);
    words
}

/// The words of an item that the new side alone saves: what the guest reads there, as far as a restore takes that.
fn read_back(guest: &Machine, new: &View, to: &Item) -> Vec<u64> {
    let register = new.register(to.id);
    let addresses = &register.addresses;
    let mut words = vec![to.default; to.words];
    for (msr, index) in addresses.iter().flat_map(|address| address.msrs()) {
        let at = if register.banked { index as usize } else { 0 };
        let Answer::Value(value) = guest.read(msr) else {
            continue;
        };
        let alone = record_of(new, to.scope, &[(to.tag, vec![value])]);
        if at < words.len() && Machine::new(new).restore_either(&alone).is_ok() {
            words[at] = value;
        }
    }
    words
}

/// Hidden state that does not come along: no access shows it, so its loss would not be seen.
fn without_a_place(guest: &Machine, item: &Item) -> Option<String> {
    let own = &guest.cells()[item.id];
    let held = own.iter().find(|word| **word != item.default)?;
    item.msrs.is_empty().then(|| {
        format!(
            "{} holds {held:#x}, and the other side has no such state",
            item.name
        )
    })
}

/// What a guest in the middle of its #MC handler would not find any more: that it is there, or the error. It would take the machine
/// check for one without an error, and such a one is the end of most guests.
fn handled_elsewhere(here: &Machine, there: &Machine, scope: Scope) -> Vec<String> {
    let Some(injection) = here
        .view()
        .injection
        .as_ref()
        .filter(|_| scope == Scope::Vcpu)
    else {
        return Vec::new();
    };
    let mcip = injection.bits.mcip;
    let set = |guest: &Machine, msr: u32, mask: u64| {
        matches!(guest.read(msr), Answer::Value(value) if value & mask == mask).then_some(msr)
    };
    let msrs = |id: RegisterId| {
        let addresses = here.view().register(id).addresses.iter();
        addresses
            .flat_map(|address| address.msrs())
            .map(|(msr, _)| msr)
    };
    let handling = |msr: &u32| set(here, *msr, mcip).is_some();
    if mcip == 0 || !msrs(injection.global.0).any(|msr| handling(&msr)) {
        return Vec::new();
    }
    let flag = msrs(injection.global.0).filter(|msr| set(there, *msr, mcip).is_none());
    let errors = msrs(injection.status.0)
        .filter(|msr| set(here, *msr, VALID).is_some() && here.read(*msr) != there.read(*msr));
    let lost = flag.chain(errors).map(|msr| {
        let [own, other] = [here, there].map(|guest| super::steps::answer(guest.read(msr)));
        format!("a machine check is being handled, and {msr:#x} reads {own}, there {other}")
    });
    lost.collect()
}

/// MCi_STATUS.VAL (SDM vol. 3, 16.3.2.2).
const VALID: u64 = 1 << 63;

/// Whether a record is a vCPU's, or of what a guest's vCPUs share.
fn kind(view: &View, bytes: &[u8]) -> Scope {
    let opened = Record::open(bytes, name(&view.name), crc32c);
    match opened.and_then(|record| record.of_guest()) {
        Ok(_) => Scope::Guest,
        Err(_) => Scope::Vcpu,
    }
}

/// What the guest reads here and not there.
fn reads_otherwise(here: &Machine, there: &Machine, scope: Scope) -> Vec<String> {
    let mut reasons = Vec::new();
    for (id, register) in here.view().ids() {
        if !matches!(register.read, Read::Value(_)) || !of_record(here.view(), id, scope) {
            continue;
        }
        let msrs = register.addresses.iter().flat_map(|address| address.msrs());
        let other = |msr: u32| {
            let (own, other) = (here.read(msr), there.read(msr));
            let differ = matches!(own, Answer::Value(_)) && own != other;
            differ.then_some((msr, [own, other].map(super::steps::answer)))
        };
        if let Some((msr, [own, other])) = msrs.map(|(msr, _)| msr).find_map(other) {
            let name = &register.name;
            reasons.push(format!("{name} ({msr:#x}) reads {own}, there {other}"));
        }
    }
    reasons
}

/// What a register shows depends on nothing that is in a record of the other kind.
fn of_record(view: &View, id: RegisterId, scope: Scope) -> bool {
    let from = view.computed_from(vec![id]);
    let shared = |id: &RegisterId| view.register(*id).scope == Scope::Guest;
    match scope {
        Scope::Vcpu => !from.iter().any(shared),
        Scope::Guest => shared(&id),
    }
}
