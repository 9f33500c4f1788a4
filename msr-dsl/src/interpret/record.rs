//! The saved record: written plainly, and taken back item by item.

use super::rules::{field_at, in_sets};
use super::{Machine, Place};
use crate::model::{FieldType, Legal, Register};
use msr_runtime::{RecordError, record};
use std::collections::HashMap;

impl Machine<'_> {
    /// The record of this vCPU.
    pub fn save(&self) -> Vec<u8> {
        let mut items: Vec<u8> = Vec::new();
        for (id, tag, _) in self.view.saved() {
            let cells = &self.cells[id.0];
            items.extend(tag.to_le_bytes());
            items.extend((8 * cells.len() as u16).to_le_bytes());
            items.extend(cells.iter().flat_map(|cell| cell.to_le_bytes()));
        }
        let mut head: Vec<u8> = record::MAGIC.to_vec();
        head.extend(record::name(&self.view.name));
        head.extend(self.view.version.to_le_bytes());
        head.extend(((record::HEADER + items.len()) as u16).to_le_bytes());
        let sealed = [head.as_slice(), &items].concat();
        head.extend(record::crc32c(0, &sealed).to_le_bytes());
        head.extend(items);
        head
    }

    /// Becomes the vCPU that a record has. A refused record changes nothing.
    ///
    /// # Errors
    /// Why it is refused, for people.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
        let opened = record::Record::open(bytes, record::name(&self.view.name), record::crc32c);
        let opened = opened.map_err(|error| error.to_string())?;
        let mut items: HashMap<u16, &[u8]> = HashMap::new();
        for item in opened.items() {
            let (tag, payload) = item.map_err(|error| error.to_string())?;
            let known = self.view.saved().iter().any(|(_, known, _)| *known == tag);
            let dropped = self.extra.has_tag(tag) || payload.iter().all(|byte| *byte == 0);
            if self.view.dropped_tags.contains(&tag) || !known && dropped {
                continue;
            }
            if !known {
                return Err(RecordError::UnknownItem(tag).to_string());
            }
            if items.insert(tag, payload).is_some() {
                return Err(RecordError::ItemTwice(tag).to_string());
            }
        }
        let mut new = Self::new(self.view).with_extra(self.extra);
        for (id, tag, default) in self.view.saved() {
            let cells = &mut new.cells[id.0];
            cells.fill(default);
            let Some(payload) = items.get(&tag) else {
                continue;
            };
            if payload.is_empty()
                || payload.len() % 8 != 0
                || payload.iter().skip(8 * cells.len()).any(|byte| *byte != 0)
            {
                return Err(RecordError::ItemLength(tag).to_string());
            }
            for (at, byte) in payload.iter().enumerate().take(8 * cells.len()) {
                let shift = 8 * (at % 8);
                cells[at / 8] = cells[at / 8] & !(0xff << shift) | u64::from(*byte) << shift;
            }
            let register = self.view.register(id);
            for cell in cells.iter() {
                let legal = !register.held || self.is_legal_to_hold(register, *cell);
                let named = |bit: &u32| {
                    self.view.capability == Some(id) && self.extra.capability() >> bit & 1 == 1
                };
                let refused = (0..64).filter(|bit| {
                    let accepted = legal && acceptable(register, *cell, *bit);
                    cell >> bit & 1 == 1 && !accepted && !named(bit)
                });
                let bits: u64 = refused.map(|bit| 1 << bit).sum();
                let name = &register.name;
                if bits != 0 {
                    return Err(format!(
                        "item {tag}: {name} with bits {bits:#x} is not accepted"
                    ));
                }
            }
        }
        *self = new;
        Ok(())
    }

    /// What a held register's rules about the value alone say: it goes to hardware as it is.
    fn is_legal_to_hold(&self, register: &Register, value: u64) -> bool {
        let place = Place {
            state: 0,
            value,
            index: 0,
        };
        let rules = register.rules.iter().filter(|rule| rule.is_about_value());
        rules.into_iter().all(|rule| match &rule.legal {
            Legal::Holds(condition) => self.holds(condition, &place),
            Legal::Sets(_) => in_sets(rule, value),
        })
    }
}

/// Whether a restore takes this set bit of a cell.
fn acceptable(register: &Register, cell: u64, bit: u32) -> bool {
    let closed = field_at(register, bit).and_then(|field| match &field.ty {
        FieldType::Enum {
            values,
            other: false,
        } => Some((field, values)),
        _ => None,
    });
    let named = closed.is_none_or(|(field, values)| {
        values
            .iter()
            .any(|(_, value)| *value == (cell & field.mask()) >> field.lo)
    });
    register.accepts >> bit & 1 == 1 && named
}
