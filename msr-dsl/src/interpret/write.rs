//! WRMSR, bit by bit.

use super::rules::{field_at, in_sets};
use super::{Answer, Machine, Place};
use crate::model::{Absent, BitRule, Illegal, Legal, Register, RegisterId, Write};

impl Machine<'_> {
    /// WRMSR.
    pub fn write(&mut self, msr: u32, value: u64) -> Answer {
        match self.own_write(msr, value) {
            Answer::Unlisted if self.extra.has_msr(msr) => Answer::Ok,
            answer => answer,
        }
    }

    /// WRMSR by the interface alone.
    fn own_write(&mut self, msr: u32, value: u64) -> Answer {
        let Some((id, index)) = self.register_at(msr) else {
            return Answer::Unlisted;
        };
        match self.missing(id, index) {
            Some(Absent::Fault) => return Answer::Fault,
            Some(Absent::Zero) => return Answer::Ok,
            Some(Absent::Unlisted) => return Answer::Unlisted,
            None => {}
        }
        let register = self.view.register(id);
        let hook = match register.write {
            Write::Fault => return Answer::Fault,
            Write::Unlisted => return Answer::Unlisted,
            Write::Pass => return Answer::Pass,
            Write::Hook(hook) => Some(hook),
            Write::Bits(hook) => hook,
        };
        let place = self.place(id, index, value);
        for rule in &register.rules {
            let legal = match &rule.legal {
                Legal::Holds(condition) => self.holds(condition, &place),
                Legal::Sets(_) => in_sets(rule, value),
            };
            match (legal, rule.otherwise) {
                (true, _) => {}
                (false, Illegal::Fault) => return Answer::Fault,
                (false, Illegal::Ignore | Illegal::Keep) => return Answer::Ok,
            }
        }
        if let Some(answer) = self.refused(id, index, &place) {
            return answer;
        }
        if matches!(register.write, Write::Bits(_)) {
            let new = (0..64).fold(0, |word, bit| {
                word | self.new_bit(register, bit, &place) << bit
            });
            let at = if register.banked { index as usize } else { 0 };
            let has_cell = self.cells[id].get_mut(at).map(|cell| *cell = new).is_some();
            if register.stored && !has_cell {
                return Answer::Ok;
            }
        }
        hook.map_or(Answer::Ok, |hook| {
            Answer::Hook(self.view.hooks[hook].name.clone())
        })
    }

    /// The rules of single bits and fields: a fault wins over an ignored write.
    fn refused(&self, id: RegisterId, index: u32, place: &Place) -> Option<Answer> {
        let register = self.view.register(id);
        for bit in 0..64 {
            let written = place.value >> bit & 1;
            let fault = match self.effective_rule(register, bit, place) {
                BitRule::FaultIfSet => written == 1,
                BitRule::FaultOnChange => written != self.shown(id, index) >> bit & 1,
                _ => false,
            };
            if fault {
                return Some(Answer::Fault);
            }
        }
        let mut ignored = false;
        for field in register
            .fields
            .iter()
            .filter(|field| self.field_present(field, place))
        {
            let value = (place.value & field.mask()) >> field.lo;
            for rule in field.rules.iter().filter(|rule| !in_sets(rule, value)) {
                match rule.otherwise {
                    Illegal::Fault => return Some(Answer::Fault),
                    Illegal::Ignore => ignored = true,
                    Illegal::Keep => {}
                }
            }
        }
        ignored.then_some(Answer::Ok)
    }

    fn effective_rule<'r>(&self, register: &'r Register, bit: u32, place: &Place) -> &'r BitRule {
        match field_at(register, bit) {
            Some(field) if self.field_present(field, place) => &field.write,
            _ => &register.reserved,
        }
    }

    fn new_bit(&self, register: &Register, bit: u32, place: &Place) -> u64 {
        let (old, written) = (place.state >> bit & 1, place.value >> bit & 1);
        if let Some(field) = field_at(register, bit)
            && self.field_present(field, place)
        {
            let value = (place.value & field.mask()) >> field.lo;
            if field
                .rules
                .iter()
                .any(|rule| rule.otherwise == Illegal::Keep && !in_sets(rule, value))
            {
                return old;
            }
        }
        match self.effective_rule(register, bit, place) {
            BitRule::Store => written,
            BitRule::Ignore | BitRule::FaultIfSet | BitRule::FaultOnChange => old,
            BitRule::OneClears => old & !written & 1,
            BitRule::OneSets | BitRule::Sticky => old | written,
            BitRule::ZeroClears => old & written,
            BitRule::Locked(by) if self.holds(by, place) => old,
            BitRule::Locked(_) => written,
        }
    }
}
