//! The saved record: written plainly, and taken back item by item.

use super::{Cells, Machine, allows};
use crate::model::{Register, RegisterId, Scope};
use msr_runtime::{RecordError, record};
use std::collections::HashMap;

impl Machine<'_> {
    /// The record of this vCPU.
    pub fn save(&self) -> Vec<u8> {
        self.save_of(Scope::Vcpu)
    }

    /// The record of what the guest's vCPUs share.
    pub fn save_guest(&self) -> Vec<u8> {
        self.save_of(Scope::Guest)
    }

    fn save_of(&self, scope: Scope) -> Vec<u8> {
        let saved = self.view.saved_of(scope);
        let saved = saved.into_iter();
        let own = saved.map(|(id, tag, _)| (tag, self.cells[id].to_vec()));
        let kind = (scope == Scope::Guest).then(|| (record::KIND, vec![record::OF_GUEST]));
        let mut items: Vec<u8> = Vec::new();
        for (tag, words) in kind.into_iter().chain(own) {
            items.extend(tag.to_le_bytes());
            items.extend((8 * words.len() as u16).to_le_bytes());
            items.extend(words.iter().flat_map(|word| word.to_le_bytes()));
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

    /// What a record of either kind says: this vCPU, or what the guest's vCPUs share. A refused record changes nothing.
    ///
    /// # Errors
    /// Why it is refused, for people.
    pub fn restore_either(&mut self, bytes: &[u8]) -> Result<(), String> {
        let name = record::name(&self.view.name);
        let opened = record::Record::open(bytes, name, record::crc32c);
        let of_guest = opened.and_then(|record| record.of_guest()).is_ok();
        match self.view.is_shared() && of_guest {
            true => self.restore_guest(bytes),
            false => self.restore(bytes),
        }
    }

    /// Becomes the vCPU that a record has; what the guest's vCPUs share stays. A refused record changes nothing.
    ///
    /// # Errors
    /// Why it is refused, for people.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.restore_of(Scope::Vcpu, bytes)
    }

    /// What the guest's vCPUs share becomes what a record of it has; the vCPUs stay. A refused record changes nothing.
    ///
    /// # Errors
    /// Why it is refused, for people.
    pub fn restore_guest(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.restore_of(Scope::Guest, bytes)
    }

    fn restore_of(&mut self, scope: Scope, bytes: &[u8]) -> Result<(), String> {
        let items = self.items(scope, bytes)?;
        let mut cells = self.cells.clone();
        let new = Cells::new(self.view);
        cells.copy_scope(self.view, scope, &new);
        for (id, tag, default) in self.view.saved_of(scope) {
            let cells = &mut cells[id];
            cells.fill(default);
            if let Some(payload) = items.get(&tag) {
                self.take(id, tag, payload, cells)?;
            }
        }
        self.cells = cells;
        Ok(())
    }

    /// The items of a record, by tag. Those that are dropped are left out.
    fn items<'r>(&self, scope: Scope, bytes: &'r [u8]) -> Result<HashMap<u16, &'r [u8]>, String> {
        let opened = record::Record::open(bytes, record::name(&self.view.name), record::crc32c);
        let opened = opened.map_err(|error| error.to_string())?;
        let mut read = opened.items();
        if scope == Scope::Guest {
            let kind = (record::KIND, &record::OF_GUEST.to_le_bytes()[..]);
            if read.next() != Some(Ok(kind)) {
                return Err(RecordError::NotOfGuest.to_string());
            }
        }
        let saved = self.view.saved_of(scope);
        let mut items: HashMap<u16, &[u8]> = HashMap::new();
        for item in read {
            let (tag, payload) = item.map_err(|error| error.to_string())?;
            let known = saved.iter().any(|(_, known, _)| *known == tag);
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
        Ok(items)
    }

    /// The words of an item, if a restore takes them.
    fn take(
        &self,
        id: RegisterId,
        tag: u16,
        payload: &[u8],
        cells: &mut [u64],
    ) -> Result<(), String> {
        if payload.is_empty()
            || !payload.len().is_multiple_of(8)
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
            let named = match self.view.capability == Some(id) {
                true => self.extra.capability(),
                false => 0,
            };
            if let Some(reason) = refused(register, *cell, named) {
                return Err(format!("item {tag}: {reason}"));
            }
        }
        Ok(())
    }
}

/// Why a restore does not take a cell; bits of `named` it takes all the same.
pub(super) fn refused(register: &Register, cell: u64, named: u64) -> Option<String> {
    let refused = (0..64).filter(|bit| {
        let accepted = (register.accepts | named) >> bit & 1 == 1;
        cell >> bit & 1 == 1 && !accepted
    });
    let bits: u64 = refused.map(|bit| 1 << bit).sum();
    let name = &register.name;
    if bits != 0 {
        return Some(format!("{name} with bits {bits:#x} is not accepted"));
    }
    let possible =
        is_possible(register, cell) && (!register.held || is_legal_to_hold(register, cell));
    (!possible).then(|| format!("{name} with the value {cell:#x} is not accepted"))
}

/// What a held register's rules about the value alone say: it goes to hardware as it is.
fn is_legal_to_hold(register: &Register, value: u64) -> bool {
    let mut rules = register.rules.iter().filter(|rule| rule.is_about_value());
    rules.all(|rule| allows(rule, value))
}

/// Whether every field has a value that a guest can have.
fn is_possible(register: &Register, cell: u64) -> bool {
    register.fields.iter().all(|field| match &field.restored {
        Some(values) => values.contains(&((cell & field.mask()) >> field.lo)),
        None => true,
    })
}
