//! What has to hold of a guest so that a difference does not touch it.

use super::phrases::{bits, count};
use crate::interpret::Machine;
use crate::model::{RegisterId, Scope, View};
use std::fmt;

/// Guests by their capability words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affected {
    /// In words.
    pub text: String,
    /// The words: those that have, under one of the masks, the value beside it.
    pub cases: Vec<(u64, u64)>,
}

impl Affected {
    /// Whether a guest is one of them.
    pub fn contains(&self, capability: u64) -> bool {
        self.cases
            .iter()
            .any(|(mask, value)| capability & mask == *value)
    }
}

/// What an affected guest has to refrain from, or to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// There is no way: it is affected.
    Another,
    /// It must not do something, or not rely on something.
    Not(String),
    /// All that it does of a kind is of some kind.
    Only(String),
    /// What it saves has none of some values in the words of an item.
    Unlike {
        /// The register.
        register: String,
        /// The tag of the item.
        tag: u16,
        /// The values: those that have, under one of the masks, the value beside it.
        cases: Vec<(u64, u64)>,
        /// What it has instead, in words.
        text: String,
    },
    /// What it saves has these bits clear in the words of an item from one on.
    Clear {
        /// The register.
        register: String,
        /// The tag of the item.
        tag: u16,
        /// The first word that counts.
        from: usize,
        /// The bits.
        bits: u64,
    },
    /// What it saves is the value that the other side takes when there is no item.
    Default {
        /// The register.
        register: String,
        /// The tag of the item.
        tag: u16,
        /// The value of every word.
        value: u64,
    },
    /// Its record is converted.
    Converted,
    /// Its host has a capability.
    Host(String),
}

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The guests that it is about; none for all.
    pub affected: Option<Affected>,
    /// What is asked of them.
    pub demand: Demand,
}

impl Condition {
    /// No guest is one of those that it is about.
    pub fn is_about_nobody(&self) -> bool {
        let affected = self.affected.as_ref();
        affected.is_some_and(|affected| affected.cases.is_empty())
    }

    /// It is about guests like this one.
    pub fn is_about(&self, guest: &Machine) -> bool {
        let word = guest.capability().unwrap_or(0);
        self.affected
            .as_ref()
            .is_none_or(|affected| affected.contains(word))
    }

    /// Whether a guest that is about to be saved meets it; none if that depends on what it does later.
    pub fn holds(&self, guest: &Machine) -> Option<bool> {
        if !self.is_about(guest) {
            return Some(true);
        }
        match &self.demand {
            Demand::Another => Some(false),
            Demand::Clear {
                tag, from, bits, ..
            } => Some(
                cells(guest, *tag)
                    .iter()
                    .skip(*from)
                    .all(|cell| cell & bits == 0),
            ),
            Demand::Default { tag, value, .. } => {
                Some(cells(guest, *tag).iter().all(|cell| cell == value))
            }
            Demand::Unlike { tag, cases, .. } => {
                let like = |cell: &u64| cases.iter().any(|(mask, value)| cell & mask == *value);
                Some(!cells(guest, *tag).iter().any(like))
            }
            Demand::Not(_) | Demand::Only(_) | Demand::Converted | Demand::Host(_) => None,
        }
    }
}

impl Demand {
    /// The item on which it depends, if it is one about what is saved.
    pub fn tag(&self) -> Option<u16> {
        match self {
            Self::Clear { tag, .. } | Self::Default { tag, .. } | Self::Unlike { tag, .. } => {
                Some(*tag)
            }
            _ => None,
        }
    }
}

fn cells<'m>(guest: &'m Machine, tag: u16) -> &'m [u64] {
    let id = saved_as(guest.view(), tag);
    id.map_or(&[], |id| &guest.cells()[id])
}

/// The register whose state is the item.
pub fn saved_as(view: &View, tag: u16) -> Option<RegisterId> {
    let shared = view.saved_of(Scope::Guest);
    let mut all = view.saved().into_iter().chain(shared);
    all.find(|(_, known, _)| *known == tag).map(|(id, ..)| id)
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let affected = self
            .affected
            .as_ref()
            .map(|affected| affected.text.as_str());
        match (&self.demand, affected) {
            (Demand::Another, Some(text)) => write!(f, "not a guest with {text}"),
            (Demand::Another, None) => f.write_str("no guest"),
            (Demand::Not(what), Some(text)) => write!(f, "a guest with {text} does not {what}"),
            (demand, Some(text)) => write!(f, "of a guest with {text}, {demand}"),
            (demand, None) => write!(f, "{demand}"),
        }
    }
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Demand::Another => f.write_str("another guest"),
            Demand::Not(what) => write!(f, "it does not {what}"),
            Demand::Only(what) => write!(f, "every {what}"),
            Demand::Unlike { register, text, .. } => write!(f, "{register} holds {text}"),
            Demand::Clear {
                register,
                from,
                bits: mask,
                ..
            } => {
                write!(
                    f,
                    "{register} has {} clear",
                    if *mask == u64::MAX {
                        "all bits".to_owned()
                    } else {
                        bits(*mask)
                    }
                )?;
                if *from > 0 {
                    write!(f, " from bank {from} on")
                } else {
                    Ok(())
                }
            }
            Demand::Default {
                register, value, ..
            } => write!(f, "{register} is {value:#x}"),
            Demand::Converted => f.write_str("its record is converted"),
            Demand::Host(name) => write!(f, "its host has {name}"),
        }
    }
}

/// `3 banks` and the like for texts.
pub fn banks(number: u64) -> String {
    count(number as usize, "bank", "banks")
}
