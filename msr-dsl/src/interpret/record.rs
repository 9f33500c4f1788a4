//! The saved record: written plainly, and taken back item by item.

use super::refusal::{Refusal, Wrong};
use super::{Cells, Machine, allows};
use crate::model::{Register, RegisterId, Scope};
use msr_runtime::{RecordError, record};
use std::collections::BTreeMap;

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
    /// Why it is refused, for people: the first reason, as the generated code words it.
    pub fn restore_either(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.restore_of(self.kind(bytes), bytes)
    }

    /// Every reason why a record of either kind is refused, each a sentence with the names that any version of the file has; none
    /// if it is taken.
    pub fn refusals(&self, bytes: &[u8]) -> Vec<String> {
        let taken = self.taken(self.kind(bytes), bytes);
        let reasons = taken.err().unwrap_or_default();
        let said = reasons.iter().map(|reason| reason.explained(self.view));
        said.collect()
    }

    /// Becomes the vCPU that a record has; what the guest's vCPUs share stays. A refused record changes nothing.
    ///
    /// # Errors
    /// As [`Self::restore_either`].
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.restore_of(Scope::Vcpu, bytes)
    }

    /// What the guest's vCPUs share becomes what a record of it has; the vCPUs stay. A refused record changes nothing.
    ///
    /// # Errors
    /// As [`Self::restore_either`].
    pub fn restore_guest(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.restore_of(Scope::Guest, bytes)
    }

    /// Of what a record is.
    fn kind(&self, bytes: &[u8]) -> Scope {
        let name = record::name(&self.view.name);
        let opened = record::Record::open(bytes, name, record::crc32c);
        let of_guest = opened.and_then(|record| record.of_guest()).is_ok();
        match self.view.is_shared() && of_guest {
            true => Scope::Guest,
            false => Scope::Vcpu,
        }
    }

    fn restore_of(&mut self, scope: Scope, bytes: &[u8]) -> Result<(), String> {
        self.cells = self.taken(scope, bytes).map_err(|reasons| {
            let first = reasons.first().map(Refusal::to_string);
            first.unwrap_or_default()
        })?;
        Ok(())
    }

    /// The states after a restore, or every reason why there is none, in the order in which they are met.
    fn taken(&self, scope: Scope, bytes: &[u8]) -> Result<Cells, Vec<Refusal>> {
        let (items, mut reasons) = self.items(scope, bytes);
        let mut cells = self.cells.clone();
        for (id, register) in self.view.ids() {
            if register.scope == scope {
                cells[id].fill(register.reset);
            }
        }
        for (id, tag, default) in self.view.saved_of(scope) {
            let cells = &mut cells[id];
            cells.fill(default);
            if let Some(payload) = items.get(&tag) {
                reasons.extend(self.take(id, tag, payload, cells));
            }
        }
        match reasons.is_empty() {
            true => Ok(cells),
            false => Err(reasons),
        }
    }

    /// The items of a record, by tag, and what is wrong with their kind and number. Those that are dropped are left out.
    fn items<'r>(&self, scope: Scope, bytes: &'r [u8]) -> (BTreeMap<u16, &'r [u8]>, Vec<Refusal>) {
        let mut items: BTreeMap<u16, &[u8]> = BTreeMap::new();
        let mut reasons: Vec<Refusal> = Vec::new();
        let mut wrong = |error| reasons.push(Refusal::Record(error));
        let opened = record::Record::open(bytes, record::name(&self.view.name), record::crc32c);
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => {
                wrong(error);
                return (items, reasons);
            }
        };
        let mut read = opened.items();
        if scope == Scope::Guest {
            let kind = (record::KIND, &record::OF_GUEST.to_le_bytes()[..]);
            if read.next() != Some(Ok(kind)) {
                wrong(RecordError::NotOfGuest);
                return (items, reasons);
            }
        }
        let saved = self.view.saved_of(scope);
        let mut saved: Vec<u16> = saved.into_iter().map(|(_, tag, _)| tag).collect();
        saved.sort_unstable();
        for item in read {
            let (tag, payload) = match item {
                Ok(item) => item,
                // It ends the record.
                Err(error) => {
                    wrong(error);
                    continue;
                }
            };
            let known = saved.binary_search(&tag).is_ok();
            let dropped = self.extra.has_tag(tag) || payload.iter().all(|byte| *byte == 0);
            if self.view.dropped_tags.contains(&tag) || !known && dropped {
                continue;
            }
            if !known {
                wrong(RecordError::UnknownItem(tag));
            } else if items.insert(tag, payload).is_some() {
                wrong(RecordError::ItemTwice(tag));
            }
        }
        (items, reasons)
    }

    /// Takes the words of an item, and says what a restore refuses of them.
    fn take(&self, id: RegisterId, tag: u16, payload: &[u8], cells: &mut [u64]) -> Vec<Refusal> {
        if payload.is_empty()
            || !payload.len().is_multiple_of(8)
            || payload.iter().skip(8 * cells.len()).any(|byte| *byte != 0)
        {
            return vec![Refusal::Record(RecordError::ItemLength(tag))];
        }
        let (words, _) = payload.as_chunks::<8>();
        for (cell, word) in cells.iter_mut().zip(words) {
            *cell = u64::from_le_bytes(*word);
        }
        let register = self.view.register(id);
        let named = match self.view.capability == Some(id) {
            true => self.extra.capability(),
            false => 0,
        };
        let of_bank = |(bank, cell): (usize, &u64)| {
            let bank = register.banked.then_some(bank);
            let all = refused(register, *cell, named).into_iter();
            all.map(move |wrong| Refusal::Value {
                tag,
                register: register.name.clone(),
                bank,
                wrong,
            })
        };
        cells.iter().enumerate().flat_map(of_bank).collect()
    }
}

/// What a restore refuses of a cell; bits of `named` it takes all the same.
pub(super) fn refused(register: &Register, cell: u64, named: u64) -> Vec<Wrong> {
    let bits = cell & !(register.accepts | named);
    let possible = takes_value(register, cell);
    let outside = (bits != 0).then_some(Wrong::Bits(bits));
    let illegal = (!possible).then_some(Wrong::Value(cell));
    outside.into_iter().chain(illegal).collect()
}

/// Whether a restore takes the values of the fields, and a held register's the value as a whole; which bits it takes aside.
pub fn takes_value(register: &Register, cell: u64) -> bool {
    is_possible(register, cell) && (!register.held || is_legal_to_hold(register, cell))
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
