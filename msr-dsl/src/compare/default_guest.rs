//! What a verdict means for the plainest guests of a side: those that are created without any option.

use super::condition::{Condition, Demand, saved_as};
use super::convert::convert_what_can_be;
use super::rules;
use super::verdict::{Reason, Verdict};
use crate::interpret::{Machine, at_reset};
use crate::model::{Expr, RegisterId, View};
use std::fmt;

/// Whether it goes on under the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefaultGuest {
    /// It does, and misses nothing.
    GoesOn,
    /// It does, and misses nothing of which all of this holds.
    GoesOnIf(Vec<String>),
    /// It is not taken: why.
    Refused(Vec<String>),
}

/// What happens to it from one version to another, by a verdict; none if no guest is created under the first, or if that is not decided.
pub fn default_guest([from, to]: [&View; 2], verdict: &Verdict) -> Option<DefaultGuest> {
    if from.restore_only {
        return None;
    }
    if to.restore_only {
        let reason = format!("no guest runs under {} version {}", to.name, to.version);
        return Some(DefaultGuest::Refused(vec![reason]));
    }
    let guest = Machine::new(from);
    if let Some(reason) = unknown_bits(&guest, to) {
        return Some(DefaultGuest::Refused(vec![reason]));
    }
    let restored = match from.name == to.name {
        true => restored(&guest, to).map(|()| Vec::new()),
        false => converted(&guest, to),
    };
    let lost = match restored {
        Ok(lost) => lost,
        Err(reasons) => return Some(DefaultGuest::Refused(reasons)),
    };
    if matches!(verdict, Verdict::Undecided(_)) {
        return None;
    }
    let brought = |reason: &&Reason| reason.rule == rules::RESTORED_CHANGES.id;
    let reasons = verdict.reasons().iter().filter(|reason| !brought(reason));
    // What it saves may have changed since it was created.
    let open = reasons.filter(|reason| {
        let condition = reason.condition.as_ref();
        condition.is_none_or(|condition| !always_met(condition, &guest))
    });
    // It is one of those that the condition is about: which they are need not be said.
    let words = |reason: &Reason| match &reason.condition {
        Some(condition) if condition.demand == Demand::Converted => by_loss(condition, &lost),
        Some(condition) if condition.affected.is_some() => condition.demand.to_string(),
        _ => reason.text.clone(),
    };
    let conditions: Vec<String> = open.map(words).collect();
    Some(match conditions.is_empty() {
        true => DefaultGuest::GoesOn,
        false => DefaultGuest::GoesOnIf(conditions),
    })
}

/// Whatever a guest like this one does.
fn always_met(condition: &Condition, guest: &Machine) -> bool {
    let stays = |tag: u16| {
        let view = guest.view();
        saved_as(view, tag).is_none_or(|id| view.capability == Some(id) || is_never_there(view, id))
    };
    let met = condition.holds(guest) == Some(true);
    met && (!condition.is_about(guest) || condition.demand.tag().is_none_or(stays))
}

/// By the capability word of new guests alone; nothing else writes it.
fn is_never_there(view: &View, id: RegisterId) -> bool {
    let register = view.register(id);
    let sets = view.injection.iter().any(|injection| injection.sets(id));
    let of_word = |when: &Expr| {
        when.registers()
            .iter()
            .all(|of| view.capability == Some(*of))
    };
    let absent = |when: &Expr| of_word(when) && at_reset(view, when) == 0;
    let present = register.present.as_ref();
    !register.held && !register.banked && !sets && present.is_some_and(|(when, _)| absent(when))
}

/// Its records are taken: the vCPU's, and that of what the guest's vCPUs share if there is one.
fn restored(guest: &Machine, to: &View) -> Result<(), Vec<String>> {
    let mut there = Machine::new(to);
    let mut each = records(guest).into_iter();
    let taken = each.try_for_each(|record| there.restore_either(&record));
    taken.map_err(|reason| vec![reason])
}

/// The same once they are converted: what it loses by that.
fn converted(guest: &Machine, to: &View) -> Result<Vec<String>, Vec<String>> {
    let mut lost = Vec::new();
    for record in records(guest) {
        lost.extend(convert_what_can_be(guest.view(), to, &record)?.lost);
    }
    Ok(lost)
}

fn records(guest: &Machine) -> Vec<Vec<u8>> {
    let shared = guest.view().is_shared().then(|| guest.save_guest());
    std::iter::once(guest.save()).chain(shared).collect()
}

/// What converting its record means: where that takes something away, the guest has to be asked.
fn by_loss(condition: &Condition, lost: &[String]) -> String {
    match lost {
        [] => condition.to_string(),
        [one] => format!("{condition} with --lossy and it does not rely on this: {one}"),
        [first, rest @ ..] => format!(
            "{condition} with --lossy and it does not rely on {} things, of which the first is: {first}",
            rest.len() + 1
        ),
    }
}

/// `capability bits 0x800, TES_P`: those of a guest that another version does not know.
fn unknown_bits(guest: &Machine, to: &View) -> Option<String> {
    let from = guest.view();
    let accepts = to.capability.map(|id| to.register(id).accepts)?;
    let unknown = guest.capability()? & !accepts;
    let names = from.register(from.capability?).fields.iter();
    let names: Vec<&str> = names
        .filter(|field| field.mask() & unknown != 0)
        .map(|field| field.name.as_str())
        .collect();
    (unknown != 0).then(|| {
        format!(
            "capability bits {unknown:#x} are not known there: {}",
            names.join(", ")
        )
    })
}

impl DefaultGuest {
    /// A word for machines.
    pub fn word(&self) -> &'static str {
        match self {
            Self::GoesOn => "safe",
            Self::GoesOnIf(_) => "conditional",
            Self::Refused(_) => "refused",
        }
    }

    /// Its conditions, or why it is refused.
    pub fn reasons(&self) -> &[String] {
        match self {
            Self::GoesOn => &[],
            Self::GoesOnIf(reasons) | Self::Refused(reasons) => reasons,
        }
    }
}

impl fmt::Display for DefaultGuest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GoesOn => f.write_str("goes on"),
            Self::Refused(reasons) => write!(f, "refused ({})", reasons.join("; ")),
            Self::GoesOnIf(conditions) => match conditions.as_slice() {
                [one] => write!(f, "goes on if {one}"),
                [first, rest @ ..] => write!(f, "goes on if {first}, and {} more", rest.len()),
                [] => f.write_str("goes on"),
            },
        }
    }
}
