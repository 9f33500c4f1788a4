//! A record of one version as another, or every reason why not.

use super::items::{Item, items, pairs, record_of};
use super::phrases::count;
use crate::interpret::{Answer, Machine};
use crate::model::{Read, RegisterId, Scope, View};
use msr_runtime::record::{Record, crc32c, name};

/// The record as the new version writes it. Nothing that the guest reads is lost: where the old one reads a value, the guest that
/// it restores to reads the same.
///
/// # Errors
/// All reasons, each a sentence.
pub fn convert(old: &View, new: &View, bytes: &[u8]) -> Result<Vec<u8>, Vec<String>> {
    let mut guest = Machine::new(old);
    guest.restore_either(bytes).map_err(|reason| {
        vec![format!(
            "{} version {} refuses it: {reason}",
            old.name, old.version
        )]
    })?;
    if new.restore_only {
        return Err(vec![format!(
            "no guest runs under {} version {}",
            new.name, new.version
        )]);
    }
    let scope = kind(old, bytes);
    let of_kind = |view| items(view).into_iter().filter(|item| item.scope == scope);
    let own: [Vec<Item>; 2] = [old, new].map(|view| of_kind(view).collect());
    let (mut kept, mut reasons) = (Vec::new(), Vec::new());
    for (from, to) in pairs([old, new], &own) {
        let (Some(from), Some(to)) = (from, to) else {
            continue;
        };
        let mut words = guest.cells()[from.id.0].clone();
        let beyond = words.split_off(words.len().min(to.words));
        if let Some(bank) = beyond.iter().position(|word| *word != to.default) {
            let value = beyond[bank];
            let has = count(to.words, "bank", "banks");
            reasons.push(format!(
                "{} holds {value:#x} in bank {}, and the other side stores {has}",
                from.name,
                to.words + bank
            ));
        }
        words.resize(to.words, to.default);
        let alone = record_of(new, scope, &[(to.tag, words.clone())]);
        if let Err(reason) = Machine::new(new).restore_either(&alone) {
            reasons.push(reason);
        }
        kept.push((to.tag, words));
    }
    if reasons.is_empty() {
        let written = record_of(new, scope, &kept);
        let mut there = Machine::new(new);
        match there.restore_either(&written) {
            Ok(()) => reasons.extend(lost(&guest, &there, scope)),
            Err(reason) => reasons.push(reason),
        }
        if reasons.is_empty() {
            return Ok(match scope {
                Scope::Vcpu => there.save(),
                Scope::Guest => there.save_guest(),
            });
        }
    }
    Err(reasons)
}

/// Whether a record is a vCPU's, or of what a guest's vCPUs share.
fn kind(view: &View, bytes: &[u8]) -> Scope {
    let opened = Record::open(bytes, name(&view.name), crc32c);
    match opened.and_then(|record| record.of_guest()) {
        Ok(_) => Scope::Guest,
        Err(_) => Scope::Vcpu,
    }
}

/// What the guest reads here and not there, and hidden state that does not come along.
fn lost(here: &Machine, there: &Machine, scope: Scope) -> Vec<String> {
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
    let items_of = |view| items(view).into_iter().filter(|item| item.scope == scope);
    for item in items_of(here.view()).filter(|item| item.msrs.is_empty()) {
        let own = &here.cells()[item.id.0];
        let kept = items(there.view()).iter().any(|to| {
            there.cells()[to.id.0] == *own && (to.tag == item.tag || to.pending == item.pending)
        });
        if !kept && own.iter().any(|word| *word != item.default) {
            reasons.push(format!(
                "{} holds {:#x}, and the other side has no such state",
                item.name, own[0]
            ));
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
