//! A record of one version as another, or every reason why not.

use super::conversion::{Conversion, From, Target};
use super::hidden::{Hidden, has_conditions};
use super::items::{Item, record_of};
use super::phrases::count;
use super::symbols::Cell;
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
/// it restores to reads the same, now and once a register is there that is not there now.
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
    let conversion = Conversion::new([old, new]);
    let (mut kept, mut lost, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
    for (from, to) in &conversion.pairs {
        let one = from.as_ref().or(to.as_ref().map(|to| &to.item));
        if one.is_none_or(|one| one.scope != scope) {
            continue;
        }
        if let Some(from) = from {
            lost.extend(beyond(&guest, from, to.as_ref()));
        }
        let Some(to) = to else {
            reasons.extend(from.iter().filter_map(|from| without_a_place(&guest, from)));
            continue;
        };
        let words: Vec<u64> = (0..to.words.len())
            .map(|at| word(&guest, new, to, at))
            .collect();
        let alone = record_of(new, scope, &[(to.item.tag, words.clone())]);
        reasons.extend(Machine::new(new).refusals(&alone));
        kept.push((to.item.tag, words));
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
    lost.extend(reads_otherwise([&guest, &there], &conversion, scope));
    let record = match scope {
        Scope::Vcpu => there.save(),
        Scope::Guest => there.save_guest(),
    };
    Ok(Converted { record, lost })
}

/// A word of an item of the new version.
fn word(guest: &Machine, new: &View, to: &Target, at: usize) -> u64 {
    let Target { item, words } = to;
    match words[at].from {
        From::Item(Cell { register, bank }) => {
            guest.cells()[register][bank as usize] ^ words[at].turned
        }
        From::Read(msr) => match guest.read(msr) {
            Answer::Value(value) => {
                let value = value ^ words[at].turned;
                let alone = record_of(new, item.scope, &[(item.tag, vec![value])]);
                let taken = Machine::new(new).restore_either(&alone).is_ok();
                if taken { value } else { item.default }
            }
            _ => item.default,
        },
        From::Nothing => item.default,
    }
}

/// What an item of the old version holds in banks for which the new one has no place.
fn beyond(guest: &Machine, from: &Item, to: Option<&Target>) -> Option<String> {
    let to = &to?.item;
    let mut beyond = guest.cells()[from.id].iter().enumerate().skip(to.words);
    let (bank, value) = beyond.find(|(_, word)| **word != to.default)?;
    let has = count(to.words, "bank", "banks");
    Some(format!(
        "{} holds {value:#x} in bank {bank}, and the other side stores {has}",
        from.name
    ))
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

/// What the guest reads here and not there, or would read once it has more registers or fields, or holds where no read shows it.
fn reads_otherwise(
    [here, there]: [&Machine; 2],
    conversion: &Conversion,
    scope: Scope,
) -> Vec<String> {
    let view = here.view();
    let stays = |register: RegisterId| {
        let cells = here.cells()[register].iter().enumerate();
        let bank = |at: usize| Cell {
            register,
            bank: at as u32,
        };
        let mut words = cells.map(|(at, _)| bank(at));
        words.all(|cell| conversion.goes_to(cell).is_some())
    };
    let (mut reasons, mut hidden) = (Vec::new(), None);
    for (id, register) in view.ids() {
        // What it shows depends on what another record brings: of it this one has the state.
        let own = register.scope == scope && register.stored;
        if own && asks_another(view, id, scope) && !stays(id) {
            reasons.extend(held_otherwise([here, there], id));
            continue;
        }
        if !of_record(view, id, scope) {
            continue;
        }
        let msrs = || register.addresses.iter().flat_map(|address| address.msrs());
        if !matches!(register.read, Read::Value(_)) {
            reasons.extend(held_otherwise([here, there], id));
            continue;
        }
        let other = |(msr, _): (u32, u32)| {
            let (own, other) = (here.read(msr), there.read(msr));
            let differ = matches!(own, Answer::Value(_)) && own != other;
            differ.then_some((msr, [own, other].map(super::steps::answer)))
        };
        let name = &register.name;
        if let Some((msr, [own, other])) = msrs().find_map(other) {
            reasons.push(format!("{name} ({msr:#x}) reads {own}, there {other}"));
        } else if has_conditions(view, id) {
            let hidden = hidden.get_or_insert_with(|| Hidden::new([here, there]));
            let mut otherwise = msrs().map(|(msr, _)| hidden.reads_otherwise(name, msr));
            reasons.extend(otherwise.find_map(|reason| reason));
        }
    }
    reasons
}

/// State of a register that no read shows, and that is not what the other side begins with or has.
fn held_otherwise([here, there]: [&Machine; 2], id: RegisterId) -> Option<String> {
    let register = here.view().register(id);
    let mut msrs = register.addresses.iter().flat_map(|address| address.msrs());
    msrs.find_map(|(msr, index)| {
        let own = super::groups::own(here.view(), id, index)?;
        let value = here.cells()[id][own.bank as usize];
        let place = places_of(there.view(), msr);
        let other = place.map_or(register.reset, |cell| {
            there.cells()[cell.register][cell.bank as usize]
        });
        let name = &register.name;
        (value != other).then(|| format!("{name} ({msr:#x}) holds {value:#x}, there {other:#x}"))
    })
}

/// The state behind an MSR.
fn places_of(view: &View, msr: u32) -> Option<Cell> {
    view.ids().find_map(|(id, register)| {
        let mut msrs = register.addresses.iter().flat_map(|address| address.msrs());
        let (_, index) = msrs.find(|(own, _)| *own == msr)?;
        super::groups::own(view, id, index)
    })
}

/// What a register shows depends on something that is in a record of the other kind: the guest's, or a vCPU's with the capability word.
fn asks_another(view: &View, id: RegisterId, scope: Scope) -> bool {
    let from = view.computed_from(vec![id]);
    from.iter().any(|id| view.register(*id).scope != scope)
}

/// A register can be judged by a record of one kind.
fn of_record(view: &View, id: RegisterId, scope: Scope) -> bool {
    let from = view.computed_from(vec![id]);
    let shared = |id: &RegisterId| view.register(*id).scope == Scope::Guest;
    match scope {
        Scope::Vcpu => !from.iter().any(shared),
        Scope::Guest => shared(&id),
    }
}
