//! The reference interpreter: what an access does, read off the checked model bit by bit, with no thought of speed.
//! It shares nothing with the generator but the model; that they agree is the proof of both.

use crate::model::{
    Absent, BitRule, Expr, Field, FieldType, Illegal, Legal, Op, Read, Register, RegisterId, Rule,
    Set, Type, View, Write,
};
use msr_runtime::{Extra, MachineCheckEvent, RecordError, Reset, record};
use std::collections::HashMap;
use std::rc::Rc;

/// What an access does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// RDMSR gives this.
    Value(u64),
    /// WRMSR is done (or dropped).
    Ok,
    /// #GP(0).
    Fault,
    /// The spec does not list the MSR.
    Unlisted,
    /// The hypervisor acts.
    Hook(String),
    /// To the hardware register.
    Pass,
}

/// The state of one vCPU under one version.
#[derive(Clone, Debug)]
pub struct Machine<'a> {
    view: &'a View,
    /// Per register, its cells.
    cells: Vec<Vec<u64>>,
    /// The register at an MSR, and its bank (or place in a range).
    places: Rc<HashMap<u32, (RegisterId, u32)>>,
    /// What the administrator has named.
    extra: Extra,
}

/// What an expression is evaluated against.
struct Place {
    state: u64,
    value: u64,
    index: u32,
}

impl<'a> Machine<'a> {
    /// A new guest's vCPU, with the features that every guest has.
    pub fn new(view: &'a View) -> Self {
        let cells = view
            .registers
            .iter()
            .map(|register| vec![register.reset; view.cells(register)])
            .collect();
        let places = view.ids().flat_map(|(id, register)| {
            let msrs = register.addresses.iter().flat_map(|address| address.msrs());
            msrs.map(move |(msr, index)| (msr, (id, index)))
        });
        Self {
            view,
            cells,
            places: Rc::new(places.collect()),
            extra: Extra::NONE,
        }
    }

    /// The same where the administrator has named these: their MSRs read zero and ignore writes, unless they are listed, and a
    /// restore accepts their bits and tags.
    #[must_use]
    pub fn with_extra(mut self, extra: Extra) -> Self {
        self.extra = extra;
        self
    }

    /// The version it runs.
    pub fn view(&self) -> &'a View {
        self.view
    }

    /// The capability register's value.
    pub fn capability(&self) -> Option<u64> {
        self.view.capability.map(|id| self.cells[id.0][0])
    }

    /// Gives the guest another capability word (as a restore or a selected feature does).
    pub fn set_capability(&mut self, value: u64) {
        if let Some(id) = self.view.capability {
            self.cells[id.0][0] = value;
        }
    }

    /// Gives the guest a feature; if there is no such one, the names that there are.
    pub fn add_feature(&mut self, name: &str) -> Result<(), Vec<String>> {
        match self
            .view
            .features
            .iter()
            .find(|feature| feature.name == name)
        {
            Some(feature) => {
                self.set_capability(self.capability().unwrap_or(0) | 1 << feature.bit);
                Ok(())
            }
            None => Err(self
                .view
                .features
                .iter()
                .map(|feature| feature.name.clone())
                .collect()),
        }
    }

    /// The first feature of the guest that lacks what it requires, and one of what it needs.
    pub fn unmet_requirement(&self) -> Option<(&'a str, &'a [String])> {
        let word = self.capability().unwrap_or(0);
        let has = |name: &String| {
            self.view
                .features
                .iter()
                .any(|f| f.name == *name && word >> f.bit & 1 == 1)
        };
        let mut own = self
            .view
            .features
            .iter()
            .filter(|feature| has(&feature.name));
        own.find_map(|feature| {
            let unmet = feature
                .requires
                .iter()
                .find(|one_of| !one_of.iter().any(has))?;
            Some((feature.name.as_str(), unmet.as_slice()))
        })
    }

    /// All cells, register by register: what a comparison looks at.
    pub fn cells(&self) -> &[Vec<u64>] {
        &self.cells
    }

    /// Power-on or INIT. The capability register keeps its value over both: it is what the guest was promised.
    pub fn reset(&mut self, reset: Reset) {
        for (id, register) in self.view.ids() {
            if self.view.capability == Some(id) {
                continue;
            }
            for cell in &mut self.cells[id.0] {
                let old = *cell;
                *cell = match (reset, register.init) {
                    (Reset::PowerOn, _) => register.reset,
                    (Reset::Init, None) => old,
                    (Reset::Init, Some(value)) => (0..64).fold(0, |word, bit| {
                        let sticky = matches!(rule_of(register, bit), BitRule::Sticky);
                        word | if sticky { old } else { value } & 1 << bit
                    }),
                };
            }
        }
    }

    /// What keeps an access from the register: a bank beyond the count, or a missing feature.
    fn missing(&self, id: RegisterId, index: u32) -> Option<Absent> {
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

    fn cell(&self, id: RegisterId, index: u32) -> u64 {
        let at = if self.view.register(id).banked {
            index as usize
        } else {
            0
        };
        self.cells[id.0].get(at).copied().unwrap_or(0)
    }

    fn place(&self, id: RegisterId, index: u32, value: u64) -> Place {
        Place {
            state: self.cell(id, index),
            value,
            index,
        }
    }

    /// RDMSR.
    pub fn read(&self, msr: u32) -> Answer {
        match self.own_read(msr) {
            Answer::Unlisted if self.extra.has_msr(msr) => Answer::Value(0),
            answer => answer,
        }
    }

    /// RDMSR by the interface alone.
    fn own_read(&self, msr: u32) -> Answer {
        let Some((id, index)) = self.places.get(&msr).copied() else {
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

    /// The value that a read shows, bit by bit.
    fn shown(&self, id: RegisterId, index: u32) -> u64 {
        let register = self.view.register(id);
        let Read::Value(base) = &register.read else {
            return 0;
        };
        let place = self.place(id, index, 0);
        let base = self.number(base, &place);
        (0..64).fold(0, |word, bit| {
            let shown = match field_at(register, bit) {
                Some(field) if !self.field_present(field, &place) => 0,
                Some(Field {
                    read: Some(expr),
                    lo,
                    ..
                }) => self.number(expr, &place) >> (bit - lo) & 1,
                _ => base >> bit & 1,
            };
            word | shown << bit
        })
    }

    fn field_present(&self, field: &Field, place: &Place) -> bool {
        field
            .present
            .as_ref()
            .is_none_or(|condition| self.holds(condition, place))
    }

    /// What another register's expression sees: the read value, or zero.
    fn seen(&self, id: RegisterId) -> u64 {
        if self.missing(id, 0).is_some() {
            0
        } else {
            self.shown(id, 0)
        }
    }

    /// WRMSR.
    pub fn write(&mut self, msr: u32, value: u64) -> Answer {
        match self.own_write(msr, value) {
            Answer::Unlisted if self.extra.has_msr(msr) => Answer::Ok,
            answer => answer,
        }
    }

    /// WRMSR by the interface alone.
    fn own_write(&mut self, msr: u32, value: u64) -> Answer {
        let Some((id, index)) = self.places.get(&msr).copied() else {
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
            let has_cell = self.cells[id.0]
                .get_mut(at)
                .map(|cell| *cell = new)
                .is_some();
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

    /// Sets the state of a held register; false if there is none of that name.
    pub fn hold(&mut self, name: &str, value: u64) -> bool {
        let id = self.view.find(name);
        match id.filter(|id| self.view.register(*id).held) {
            Some(id) => {
                self.cells[id.0] = vec![value];
                true
            }
            None => false,
        }
    }

    /// MCIP is set.
    pub fn in_progress(&self) -> bool {
        self.view
            .injection
            .as_ref()
            .is_some_and(|injection| self.cell(injection.global.0, 0) & injection.bits.mcip != 0)
    }

    /// A machine check is injected and not delivered yet.
    pub fn pending(&self) -> bool {
        let pending = self
            .view
            .injection
            .as_ref()
            .and_then(|injection| injection.pending);
        pending.is_some_and(|id| self.cell(id, 0) & 1 == 1)
    }

    /// The machine check was delivered, or is not yet.
    pub fn set_pending(&mut self, pending: bool) {
        if let Some(id) = self
            .view
            .injection
            .as_ref()
            .and_then(|injection| injection.pending)
        {
            self.cells[id.0][0] = u64::from(pending);
        }
    }

    /// The guest has enabled local delivery.
    pub fn local_enabled(&self) -> bool {
        let local = self
            .view
            .injection
            .as_ref()
            .and_then(|injection| injection.local.as_ref());
        local.is_some_and(|condition| {
            self.holds(
                condition,
                &Place {
                    state: 0,
                    value: 0,
                    index: 0,
                },
            )
        })
    }

    /// A machine check as this vCPU is to see it. False if the version takes none.
    pub fn inject(&mut self, event: &MachineCheckEvent) -> bool {
        let Some(injection) = &self.view.injection else {
            return false;
        };
        let bits = &injection.bits;
        let told = [
            (event.restart_ip_valid, bits.ripv),
            (event.error_ip_valid, bits.eipv),
            (true, bits.mcip),
            (event.local, bits.lmce_s),
        ];
        let status: u64 = told
            .iter()
            .map(|(set, bit)| if *set { *bit } else { 0 })
            .sum();
        self.cells[injection.global.0.0][0] = status & injection.global.1;
        if let Some(record) = &event.record {
            let parts = [
                (injection.status, record.status),
                (injection.address, record.address),
                (injection.misc, record.misc),
            ];
            for ((id, mask), value) in parts {
                self.cells[id.0][injection.bank as usize] = value & mask;
            }
        }
        true
    }

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

    fn holds(&self, expr: &Expr, place: &Place) -> bool {
        self.number(expr, place) != 0
    }

    /// Evaluates; a truth value is 0 or 1.
    fn number(&self, expr: &Expr, place: &Place) -> u64 {
        let read = |of: Of| match of {
            Of::State => place.state,
            Of::Value => place.value,
            Of::Index => u64::from(place.index),
            Of::Register(id) => self.seen(id),
            Of::Cell(id, bank) => self.cells[id.0].get(bank as usize).copied().unwrap_or(0),
        };
        evaluate(expr, &read)
    }
}

/// What an expression may ask for.
enum Of {
    State,
    Value,
    Index,
    Register(RegisterId),
    Cell(RegisterId, u32),
}

fn evaluate(expr: &Expr, read: &dyn Fn(Of) -> u64) -> u64 {
    match expr {
        Expr::Number(number) => *number,
        Expr::Bool(value) => u64::from(*value),
        Expr::Value => read(Of::Value),
        Expr::State => read(Of::State),
        Expr::Index => read(Of::Index),
        Expr::Register(id) => read(Of::Register(*id)),
        Expr::Cell(id, bank) => read(Of::Cell(*id, *bank)),
        Expr::Field(of, hi, lo) => (evaluate(of, read) & crate::model::mask(*hi, *lo)) >> lo,
        Expr::IsSet(of) => u64::from(evaluate(of, read) != 0),
        Expr::AsBit(of) => evaluate(of, read),
        Expr::Not(of) if of.ty() == Type::Bool => 1 - evaluate(of, read),
        Expr::Not(of) => !evaluate(of, read),
        Expr::If(condition, yes, no) => evaluate(
            if evaluate(condition, read) != 0 {
                yes
            } else {
                no
            },
            read,
        ),
        Expr::Binary(op, a, b) => {
            let (a, b) = (evaluate(a, read), evaluate(b, read));
            match op {
                Op::Or | Op::Either => a | b,
                Op::And | Op::Both => a & b,
                Op::Shl => a << b,
                Op::Shr => a >> b,
                Op::Eq => u64::from(a == b),
                Op::Ne => u64::from(a != b),
                Op::Lt => u64::from(a < b),
                Op::Le => u64::from(a <= b),
                Op::Gt => u64::from(a > b),
                Op::Ge => u64::from(a >= b),
            }
        }
    }
}

/// The value of an expression that names nothing.
pub fn constant(expr: &Expr) -> u64 {
    evaluate(expr, &|_| 0)
}

/// The value of an expression about a new guest.
pub fn at_reset(view: &View, expr: &Expr) -> u64 {
    Machine::new(view).number(
        expr,
        &Place {
            state: 0,
            value: 0,
            index: 0,
        },
    )
}

/// Whether a condition holds in a new guest with this capability word.
pub fn holds_with(view: &View, capability: u64, condition: &Expr) -> bool {
    let mut guest = Machine::new(view);
    guest.set_capability(capability);
    guest.holds(
        condition,
        &Place {
            state: 0,
            value: 0,
            index: 0,
        },
    )
}

/// Whether a value is in the rule's sets (a condition is not about sets: true).
pub fn in_sets(rule: &Rule, value: u64) -> bool {
    let Legal::Sets(sets) = &rule.legal else {
        return true;
    };
    sets.iter().any(|set| match set {
        Set::Range(low, high) => (*low..=*high).contains(&value),
        Set::AllOnesLess(bits) => (0..64).all(|bit| value >> bit & 1 == 1 || bits >> bit & 1 == 1),
    })
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

fn field_at(register: &Register, bit: u32) -> Option<&Field> {
    register
        .fields
        .iter()
        .find(|field| (field.lo..=field.hi).contains(&bit))
}

fn rule_of(register: &Register, bit: u32) -> &BitRule {
    field_at(register, bit).map_or(&register.reserved, |field| &field.write)
}
