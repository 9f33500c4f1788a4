//! Why a restore does not take a record: each reason alone, as the generated code tells the first of them, and for people.

use crate::model::{Migrate, Register, View};
use crate::words::runs;
use msr_runtime::RecordError;
use std::fmt::{self, Display, Formatter};

/// One reason. Displayed as the generated code words it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The record as a whole, or one of its items.
    Record(RecordError),
    /// What an item holds.
    Value {
        /// The item's tag.
        tag: u16,
        /// The register's name.
        register: String,
        /// The bank, of a banked register.
        bank: Option<usize>,
        /// What is wrong with it.
        wrong: Wrong,
    },
}

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// These bits are set, and not accepted.
    Bits(u64),
    /// It is none that a guest can have.
    Value(u64),
}

impl Display for Wrong {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bits(bits) => write!(f, "with bits {bits:#x} is not accepted"),
            Self::Value(value) => write!(f, "with the value {value:#x} is not accepted"),
        }
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(error) => error.fmt(f),
            Self::Value {
                tag,
                register,
                wrong,
                ..
            } => write!(f, "item {tag}: {register} {wrong}"),
        }
    }
}

impl Refusal {
    /// The same with the names that any version of the file has for the item and the bits.
    pub fn explained(&self, view: &View) -> String {
        let version = view.version;
        let item = |tag| match view.known_item(tag) {
            Some(item) => format!("item {tag} ({})", item.register.seen_by(version)),
            None => format!("item {tag}"),
        };
        match self {
            Self::Record(RecordError::UnknownItem(tag)) if view.known_item(*tag).is_some() => {
                let item = item(*tag);
                format!("{item} is unknown to version {version} and not zero")
            }
            Self::Record(RecordError::ItemLength(tag)) => {
                format!("{} has a wrong length", item(*tag))
            }
            Self::Record(RecordError::ItemTwice(tag)) => format!("{} is there twice", item(*tag)),
            Self::Record(error) => error.to_string(),
            Self::Value {
                tag,
                register,
                bank,
                wrong,
            } => {
                let bank = bank.map_or(String::new(), |bank| format!(" of bank {bank}"));
                let own = view.registers.iter().find(|one| one.name == *register);
                let wrong = match (own, wrong) {
                    (Some(own), Wrong::Bits(bits)) => {
                        format!("with {} is not accepted", bits_named(view, own, *bits))
                    }
                    (Some(own), Wrong::Value(value)) if !taken(own, *value).is_empty() => {
                        format!("{wrong}: a restore takes {}", taken(own, *value))
                    }
                    _ => wrong.to_string(),
                };
                format!("item {tag}: {register}{bank} {wrong}")
            }
        }
    }
}

/// `bits 0x8000000 (LMCE_P, since version 3)`: bits of a register, by the names that any version of the file has for them.
pub fn bits_named(view: &View, register: &Register, bits: u64) -> String {
    let item = match register.migrate {
        Migrate::Saved { tag, .. } => view.known_item(tag),
        _ => None,
    };
    let fields = item.map_or(&[][..], |item| &item.fields);
    let names: Vec<String> = fields
        .iter()
        .filter(|(_, mask)| mask & bits != 0)
        .map(|(field, _)| field.seen_by(view.version))
        .collect();
    match names.is_empty() {
        true => format!("bits {bits:#x}"),
        false => format!("bits {bits:#x} ({})", names.join("; ")),
    }
}

/// `COUNT of 0 to 10, not 11`: what a restore takes of the fields of a value, where the value has none of it.
pub fn taken(register: &Register, value: u64) -> String {
    let fields = register.fields.iter().filter_map(|field| {
        let own = (value & field.mask()) >> field.lo;
        let values = field.restored.as_ref().filter(|all| !all.contains(&own))?;
        let values = runs(values, |value| value.to_string(), " to ").join(", ");
        Some(format!("{} of {values}, not {own}", field.name))
    });
    fields.collect::<Vec<_>>().join(", ")
}
