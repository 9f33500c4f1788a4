//! RDMSR, field by field.

use super::{Answer, Machine, Place};
use crate::model::{Absent, Field, Read, RegisterId};

impl Machine<'_> {
    /// RDMSR.
    pub fn read(&self, msr: u32) -> Answer {
        match self.own_read(msr) {
            Answer::Unlisted if self.extra.has_msr(msr) => Answer::Value(0),
            answer => answer,
        }
    }

    /// RDMSR by the interface alone.
    pub(super) fn own_read(&self, msr: u32) -> Answer {
        let Some((id, index)) = self.register_at(msr) else {
            return Answer::Unlisted;
        };
        match self.missing(id, index) {
            Some(Absent::Fault) => return Answer::Fault,
            Some(Absent::Zero) => return Answer::Value(0),
            Some(Absent::Unlisted) => return Answer::Unlisted,
            None => {}
        }
        match &self.view.register(id).read {
            Read::Value(_) => Answer::Value(self.shown(id, index)),
            Read::Fault => Answer::Fault,
            Read::Unlisted => Answer::Unlisted,
            Read::Pass => Answer::Pass,
            Read::Hook(hook) => Answer::Hook(self.view.hooks[*hook].name.clone()),
        }
    }

    /// The value that a read shows, field by field.
    pub(super) fn shown(&self, id: RegisterId, index: u32) -> u64 {
        let register = self.view.register(id);
        let Read::Value(base) = &register.read else {
            return 0;
        };
        let place = self.place(id, index, 0);
        let base = self.number(base, &place);
        register.fields.iter().fold(base, |word, field| {
            let shown = match &field.read {
                _ if !self.field_present(field, &place) => 0,
                Some(expr) => self.number(expr, &place) << field.lo,
                None => base,
            };
            word & !field.mask() | shown & field.mask()
        })
    }

    pub(super) fn field_present(&self, field: &Field, place: &Place) -> bool {
        field
            .present
            .as_ref()
            .is_none_or(|condition| self.holds(condition, place))
    }

    /// What another register's expression sees: the read value, or zero.
    pub(super) fn seen(&self, id: RegisterId) -> u64 {
        if self.missing(id, 0).is_some() {
            0
        } else {
            self.shown(id, 0)
        }
    }

    /// What keeps an access from the register: a bank beyond the count, or a missing feature.
    pub(super) fn missing(&self, id: RegisterId, index: u32) -> Option<Absent> {
        let register = self.view.register(id);
        if let (true, Some(banks)) = (register.banked, &self.view.banks)
            && u64::from(index)
                >= self.number(
                    &banks.count,
                    &Place {
                        state: 0,
                        value: 0,
                        index,
                    },
                )
        {
            return Some(banks.beyond);
        }
        let (condition, absent) = register.present.as_ref()?;
        if self.holds(condition, &self.place(id, index, 0)) {
            None
        } else {
            Some(*absent)
        }
    }
}
