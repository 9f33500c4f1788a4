//! One side of a comparison, for all states at once: what a read shows and what a write does, as functions of the guest's
//! capability word, of the registers' states and of the written value. Written anew from the manual's words, not from the
//! interpreter's code; a test holds the two together.

use super::truth::{Table, Truth};
use super::word::{self, Word};
use crate::model::{
    Absent, BitRule, Expr, Field, Illegal, Legal, Op, Read, Register, RegisterId, Rule, Set, Type,
    View, Write,
};
use std::collections::HashMap;
use std::sync::Arc;

/// The state of a register, or that of one bank of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cell {
    /// The register.
    pub register: RegisterId,
    /// The bank; 0 for a register without banks.
    pub bank: u32,
}

/// How an access is answered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A value is read, or a write is done or dropped.
    Done,
    /// #GP.
    Fault,
    /// The interface does not list the MSR.
    Unlisted,
    /// The hardware register.
    Pass,
    /// The hypervisor.
    Hook(String),
}

/// Under which conditions an access is answered how; each state falls under one.
#[derive(Clone, Debug, Default)]
pub struct Answers(Vec<(Kind, Truth)>);

impl Answers {
    fn add(&mut self, table: &mut Table, kind: Kind, when: Truth) {
        if when == Truth::NO {
            return;
        }
        match self.0.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, known)) => *known = table.or(*known, when),
            None => self.0.push((kind, when)),
        }
    }

    /// Kinds with their conditions.
    pub fn iter(&self) -> impl Iterator<Item = &(Kind, Truth)> {
        self.0.iter()
    }

    /// The condition of a kind.
    pub fn when(&self, kind: &Kind) -> Truth {
        self.0
            .iter()
            .find(|(known, _)| known == kind)
            .map_or(Truth::NO, |(_, when)| *when)
    }
}

/// RDMSR.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The guest lacks the register.
    pub missing: Truth,
    /// How it is answered.
    pub answers: Answers,
    /// The value, where there is one.
    pub value: Word,
}

/// WRMSR.
#[derive(Clone, Debug)]
pub struct Writing {
    /// The guest lacks the register.
    pub missing: Truth,
    /// How it is answered.
    pub answers: Answers,
    /// The state that changes.
    pub next: Option<Change>,
}

/// What becomes of a state.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// The state.
    pub cell: Cell,
    /// When it changes; else it stays as it is.
    pub when: Truth,
    /// What it is then.
    pub word: Word,
}

impl Change {
    /// It changes whatever it was.
    pub fn always(cell: Cell, word: Word) -> Self {
        let when = Truth::YES;
        Self { cell, when, word }
    }
}

/// The register at an MSR, and its bank or place in a range.
pub type Places = HashMap<u32, (RegisterId, u32)>;

/// Where the registers of a version are.
pub fn places(view: &View) -> Places {
    let all = view.ids().flat_map(|(id, register)| {
        let msrs = register.addresses.iter().flat_map(|address| address.msrs());
        msrs.map(move |(msr, index)| (msr, (id, index)))
    });
    all.collect()
}

/// One side: a view and names for what varies.
pub struct Side<'a> {
    /// The version.
    pub view: &'a View,
    /// The register at an MSR, and its bank or place in a range.
    pub places: Arc<Places>,
    /// The guest's capability word.
    pub capability: Word,
    /// States; what is not here is a constant zero.
    pub cells: HashMap<Cell, Word>,
    /// The value that is written.
    pub value: Word,
}

/// What the words `state`, `value` and `i` of an expression mean.
struct Here {
    state: Word,
    value: Word,
    index: u32,
}

impl<'a> Side<'a> {
    /// A side without states.
    pub fn new(view: &'a View, places: Arc<Places>) -> Self {
        Self {
            view,
            places,
            capability: word::number(0),
            cells: HashMap::new(),
            value: word::number(0),
        }
    }

    fn state(&self, register: RegisterId, index: u32) -> Word {
        if self.view.capability == Some(register) {
            return self.capability;
        }
        let bank = if self.view.register(register).banked {
            index
        } else {
            0
        };
        let cell = Cell { register, bank };
        self.cells.get(&cell).copied().unwrap_or(word::number(0))
    }

    fn here(&self, register: RegisterId, index: u32, value: Word) -> Here {
        Here {
            state: self.state(register, index),
            value,
            index,
        }
    }

    /// How a guest without the register is answered, and when it is without.
    fn missing(&self, table: &mut Table, id: RegisterId, index: u32) -> Vec<(Absent, Truth)> {
        let register = self.view.register(id);
        let mut ways = Vec::new();
        let mut there = Truth::YES;
        if let (true, Some(banks)) = (register.banked, &self.view.banks) {
            let here = Here {
                state: word::number(0),
                value: word::number(0),
                index,
            };
            let count = self.evaluate(table, &banks.count, &here);
            there = word::below(table, &word::number(u64::from(index)), &count);
            ways.push((banks.beyond, table.not(there)));
        }
        if let Some((condition, absent)) = &register.present {
            let here = self.here(id, index, word::number(0));
            let holds = self.holds(table, condition, &here);
            ways.push((*absent, table.less(there, holds)));
        }
        ways
    }

    /// RDMSR.
    pub fn read(&self, table: &mut Table, msr: u32) -> Reading {
        let mut answers = Answers::default();
        let Some((id, index)) = self.places.get(&msr).copied() else {
            answers.add(table, Kind::Unlisted, Truth::YES);
            return Reading {
                missing: Truth::YES,
                answers,
                value: word::number(0),
            };
        };
        let missing = self.answer_missing(table, id, index, &mut answers);
        let there = table.not(missing);
        let mut value = word::number(0);
        let kind = match &self.view.register(id).read {
            Read::Value(_) => {
                let shown = self.shown(table, id, index);
                value = word::choose(table, there, &shown, &value);
                Kind::Done
            }
            Read::Fault => Kind::Fault,
            Read::Unlisted => Kind::Unlisted,
            Read::Pass => Kind::Pass,
            Read::Hook(hook) => Kind::Hook(self.view.hooks[*hook].name.clone()),
        };
        answers.add(table, kind, there);
        Reading {
            missing,
            answers,
            value,
        }
    }

    fn answer_missing(
        &self,
        table: &mut Table,
        id: RegisterId,
        index: u32,
        answers: &mut Answers,
    ) -> Truth {
        let ways = self.missing(table, id, index);
        for (absent, when) in &ways {
            let kind = match absent {
                Absent::Fault => Kind::Fault,
                Absent::Zero => Kind::Done,
                Absent::Unlisted => Kind::Unlisted,
            };
            answers.add(table, kind, *when);
        }
        table.any(ways.into_iter().map(|(_, when)| when))
    }

    /// What a read shows wherever the register is there; none if reads show no value.
    pub fn shown_at(&self, table: &mut Table, msr: u32) -> Option<Word> {
        let (id, index) = *self.places.get(&msr)?;
        let shows = matches!(self.view.register(id).read, Read::Value(_));
        shows.then(|| self.shown(table, id, index))
    }

    /// What a read shows where the register is there.
    fn shown(&self, table: &mut Table, id: RegisterId, index: u32) -> Word {
        let register = self.view.register(id);
        let Read::Value(base) = &register.read else {
            return word::number(0);
        };
        let here = self.here(id, index, word::number(0));
        let mut shown = self.evaluate(table, base, &here);
        for field in &register.fields {
            let own = match &field.read {
                Some(expression) => {
                    let value = self.evaluate(table, expression, &here);
                    word::shift(table, &value, &word::number(u64::from(field.lo)), true)
                }
                None => shown,
            };
            let there = self.field_there(table, field, &here);
            for bit in field.lo..=field.hi {
                shown[bit as usize] = table.and(there, own[bit as usize]);
            }
        }
        shown
    }

    /// What an expression sees of another register.
    fn seen(&self, table: &mut Table, id: RegisterId) -> Word {
        let ways = self.missing(table, id, 0);
        let missing = table.any(ways.into_iter().map(|(_, when)| when));
        let shown = self.shown(table, id, 0);
        word::choose(table, missing, &word::number(0), &shown)
    }

    fn field_there(&self, table: &mut Table, field: &Field, here: &Here) -> Truth {
        match &field.present {
            Some(condition) => self.holds(table, condition, here),
            None => Truth::YES,
        }
    }

    /// WRMSR of [`Side::value`].
    pub fn write(&self, table: &mut Table, msr: u32) -> Writing {
        let mut answers = Answers::default();
        let Some((id, index)) = self.places.get(&msr).copied() else {
            answers.add(table, Kind::Unlisted, Truth::YES);
            return Writing {
                missing: Truth::YES,
                answers,
                next: None,
            };
        };
        let missing = self.answer_missing(table, id, index, &mut answers);
        let there = table.not(missing);
        let register = self.view.register(id);
        let (by_bits, hook) = match &register.write {
            Write::Bits(hook) => (true, *hook),
            Write::Hook(hook) => (false, Some(*hook)),
            Write::Fault | Write::Unlisted | Write::Pass => {
                let kind = match register.write {
                    Write::Fault => Kind::Fault,
                    Write::Unlisted => Kind::Unlisted,
                    _ => Kind::Pass,
                };
                answers.add(table, kind, there);
                return Writing {
                    missing,
                    answers,
                    next: None,
                };
            }
        };
        let here = self.here(id, index, self.value);
        let taken = self.taken(table, register, (id, index), &here, there, &mut answers);
        let hook = hook.map_or(Kind::Done, |hook| {
            Kind::Hook(self.view.hooks[hook].name.clone())
        });
        if !by_bits {
            answers.add(table, hook, taken);
            return Writing {
                missing,
                answers,
                next: None,
            };
        }
        let cell = Cell {
            register: id,
            bank: if register.banked { index } else { 0 },
        };
        let stored = (cell.bank as usize) < self.view.cells(register);
        let lost = register.stored && !stored;
        answers.add(table, if lost { Kind::Done } else { hook }, taken);
        let next = stored.then(|| {
            let word = self.stored(table, register, &here);
            Change {
                cell,
                when: taken,
                word,
            }
        });
        Writing {
            missing,
            answers,
            next,
        }
    }

    /// When no rule refuses or drops the write; the others are answered.
    fn taken(
        &self,
        table: &mut Table,
        register: &Register,
        at: (RegisterId, u32),
        here: &Here,
        there: Truth,
        answers: &mut Answers,
    ) -> Truth {
        let mut open = there;
        for rule in &register.rules {
            let legal = self.legal(table, rule, here);
            let refused = table.less(open, legal);
            let kind = if rule.otherwise == Illegal::Fault {
                Kind::Fault
            } else {
                Kind::Done
            };
            answers.add(table, kind, refused);
            open = table.and(open, legal);
        }
        let mut fault = self.faulting_bits(table, register, at, here);
        let mut ignored = Truth::NO;
        for field in &register.fields {
            let there = self.field_there(table, field, here);
            for rule in &field.rules {
                let legal = self.field_legal(table, field, rule, here);
                let illegal = table.less(there, legal);
                match rule.otherwise {
                    Illegal::Fault => fault = table.or(fault, illegal),
                    Illegal::Ignore => ignored = table.or(ignored, illegal),
                    Illegal::Keep => {}
                }
            }
        }
        let faults = table.and(open, fault);
        answers.add(table, Kind::Fault, faults);
        let open = table.less(open, fault);
        let dropped = table.and(open, ignored);
        answers.add(table, Kind::Done, dropped);
        table.less(open, ignored)
    }

    /// Some bit's own rule faults.
    fn faulting_bits(
        &self,
        table: &mut Table,
        register: &Register,
        (id, index): (RegisterId, u32),
        here: &Here,
    ) -> Truth {
        let changes = |rule: &BitRule| matches!(rule, BitRule::FaultOnChange);
        let compares = changes(&register.reserved)
            || register.fields.iter().any(|field| changes(&field.write));
        let shown = if compares {
            self.shown(table, id, index)
        } else {
            word::number(0)
        };
        let mut all = Truth::NO;
        for bit in (0..64).rev() {
            let faults = |table: &mut Table, rule: &BitRule| match rule {
                BitRule::FaultIfSet => here.value[bit],
                BitRule::FaultOnChange => table.differ(here.value[bit], shown[bit]),
                _ => Truth::NO,
            };
            let own = self.by_rule(table, register, bit as u32, here, &faults);
            all = table.or(all, own);
        }
        all
    }

    /// A function of the rule of a bit: the field's where the guest has it, the reserved bits' elsewhere.
    fn by_rule(
        &self,
        table: &mut Table,
        register: &Register,
        bit: u32,
        here: &Here,
        of: &dyn Fn(&mut Table, &BitRule) -> Truth,
    ) -> Truth {
        let reserved = of(table, &register.reserved);
        let Some(field) = register
            .fields
            .iter()
            .find(|field| (field.lo..=field.hi).contains(&bit))
        else {
            return reserved;
        };
        let there = self.field_there(table, field, here);
        let own = of(table, &field.write);
        table.choose(there, own, reserved)
    }

    /// The state after a write that is taken.
    fn stored(&self, table: &mut Table, register: &Register, here: &Here) -> Word {
        let mut next = std::array::from_fn(|bit| {
            let (old, written) = (here.state[bit], here.value[bit]);
            let new = |table: &mut Table, rule: &BitRule| match rule {
                BitRule::Store => written,
                BitRule::Ignore | BitRule::FaultIfSet | BitRule::FaultOnChange => old,
                BitRule::OneClears => table.less(old, written),
                BitRule::OneSets | BitRule::Sticky => table.or(old, written),
                BitRule::ZeroClears => table.and(old, written),
                BitRule::Locked(by) => {
                    let locked = self.holds(table, by, here);
                    table.choose(locked, old, written)
                }
            };
            self.by_rule(table, register, bit as u32, here, &new)
        });
        for field in &register.fields {
            for rule in field
                .rules
                .iter()
                .filter(|rule| rule.otherwise == Illegal::Keep)
            {
                let legal = self.field_legal(table, field, rule, here);
                let there = self.field_there(table, field, here);
                let keep = table.less(there, legal);
                let own = field.lo as usize..=field.hi as usize;
                for (next, old) in next[own.clone()].iter_mut().zip(&here.state[own]) {
                    *next = table.choose(keep, *old, *next);
                }
            }
        }
        next
    }

    fn legal(&self, table: &mut Table, rule: &Rule, here: &Here) -> Truth {
        match &rule.legal {
            Legal::Holds(condition) => self.holds(table, condition, here),
            Legal::Sets(sets) => in_sets(table, sets, &here.value),
        }
    }

    fn field_legal(&self, table: &mut Table, field: &Field, rule: &Rule, here: &Here) -> Truth {
        let Legal::Sets(sets) = &rule.legal else {
            return Truth::YES;
        };
        let value = part(&here.value, field.hi, field.lo);
        in_sets(table, sets, &value)
    }

    /// When a value is one that the hypervisor may put into a held register: its rules about the value alone, and what a restore takes.
    pub fn may_hold(&self, table: &mut Table, register: &Register, value: &Word) -> Truth {
        let here = Here {
            state: word::number(0),
            value: *value,
            index: 0,
        };
        let refused = (0..64).rev().filter(|bit| register.accepts >> bit & 1 == 0);
        let refused = table.any(refused.map(|bit| value[bit]));
        let mut taken = table.not(refused);
        let listed = listed(table, register, value);
        taken = table.and(taken, listed);
        let rules = register.rules.iter().filter(|rule| rule.is_about_value());
        rules.fold(taken, |all, rule| {
            let legal = self.legal(table, rule, &here);
            table.and(all, legal)
        })
    }

    /// When the capability word is one that a guest can have: of fields whose values a restore lists.
    pub fn may_promise(&self, table: &mut Table) -> Truth {
        match self.view.capability {
            Some(id) => listed(table, self.view.register(id), &self.capability),
            None => Truth::YES,
        }
    }

    /// Bits of the capability word that are in such fields.
    pub fn listed(&self) -> u64 {
        let register = self.view.capability.map(|id| self.view.register(id));
        let fields = register.into_iter().flat_map(|register| &register.fields);
        let listed = fields.filter(|field| field.restored.is_some());
        listed.fold(0, |bits, field| bits | field.mask())
    }

    /// The state after INIT.
    pub fn init(&self, cell: Cell) -> Word {
        let register = self.view.register(cell.register);
        let old = self.state(cell.register, cell.bank);
        let Some(value) = register.init else {
            return old;
        };
        let new = word::number(value);
        std::array::from_fn(|bit| {
            let field = register
                .fields
                .iter()
                .find(|field| field.mask() >> bit & 1 == 1);
            let rule = field.map_or(&register.reserved, |field| &field.write);
            if matches!(rule, BitRule::Sticky) {
                old[bit]
            } else {
                new[bit]
            }
        })
    }

    /// Whether this guest has enabled local delivery; none if the interface has no such thing.
    pub fn local(&self, table: &mut Table) -> Truth {
        let local = self
            .view
            .injection
            .as_ref()
            .and_then(|injection| injection.local.as_ref());
        let here = Here {
            state: word::number(0),
            value: word::number(0),
            index: 0,
        };
        local.map_or(Truth::NO, |condition| self.holds(table, condition, &here))
    }

    /// The number of banks that this guest sees.
    pub fn bank_count(&self, table: &mut Table) -> Word {
        let here = Here {
            state: word::number(0),
            value: word::number(0),
            index: 0,
        };
        match &self.view.banks {
            Some(banks) => self.evaluate(table, &banks.count, &here),
            None => word::number(0),
        }
    }

    /// When a condition that a register asks holds, in one of its banks or places.
    pub fn asks(
        &self,
        table: &mut Table,
        register: RegisterId,
        index: u32,
        condition: &Expr,
    ) -> Truth {
        let here = self.here(register, index, self.value);
        self.holds(table, condition, &here)
    }

    fn holds(&self, table: &mut Table, condition: &Expr, here: &Here) -> Truth {
        let value = self.evaluate(table, condition, here);
        word::is_set(table, &value)
    }

    fn evaluate(&self, table: &mut Table, expr: &Expr, here: &Here) -> Word {
        match expr {
            Expr::Number(value) => word::number(*value),
            Expr::Bool(value) => word::flag(Truth::of(*value)),
            Expr::Value => here.value,
            Expr::State => here.state,
            Expr::Index => word::number(u64::from(here.index)),
            Expr::Register(id) => self.seen(table, *id),
            Expr::Cell(id, bank) => self.state(*id, *bank),
            Expr::Field(of, hi, lo) => {
                let of = self.evaluate(table, of, here);
                part(&of, *hi, *lo)
            }
            Expr::IsSet(of) => {
                let of = self.evaluate(table, of, here);
                word::flag(word::is_set(table, &of))
            }
            Expr::AsBit(of) => self.evaluate(table, of, here),
            Expr::Not(of) => {
                let value = self.evaluate(table, of, here);
                match of.ty() {
                    Type::Bool => word::flag(table.not(value[0])),
                    Type::Bits => std::array::from_fn(|bit| table.not(value[bit])),
                }
            }
            Expr::If(condition, yes, no) => {
                let condition = self.holds(table, condition, here);
                let (yes, no) = (
                    self.evaluate(table, yes, here),
                    self.evaluate(table, no, here),
                );
                word::choose(table, condition, &yes, &no)
            }
            Expr::Binary(op, a, b) => {
                let (a, b) = (self.evaluate(table, a, here), self.evaluate(table, b, here));
                binary(table, *op, &a, &b)
            }
        }
    }
}

fn binary(table: &mut Table, op: Op, a: &Word, b: &Word) -> Word {
    let truth = match op {
        Op::Or | Op::Either => return word::zip(table, a, b, Table::or),
        Op::And | Op::Both => return word::zip(table, a, b, Table::and),
        Op::Shl | Op::Shr => return word::shift(table, a, b, op == Op::Shl),
        Op::Eq => word::equal(table, a, b),
        Op::Ne => {
            let equal = word::equal(table, a, b);
            table.not(equal)
        }
        Op::Lt => word::below(table, a, b),
        Op::Gt => word::below(table, b, a),
        Op::Le => {
            let above = word::below(table, b, a);
            table.not(above)
        }
        Op::Ge => {
            let below = word::below(table, a, b);
            table.not(below)
        }
    };
    word::flag(truth)
}

/// Bits `hi..=lo`, shifted down.
fn part(of: &Word, hi: u32, lo: u32) -> Word {
    std::array::from_fn(|bit| {
        if bit as u32 <= hi - lo {
            of[bit + lo as usize]
        } else {
            Truth::NO
        }
    })
}

/// The value is in one of the sets.
pub fn in_sets(table: &mut Table, sets: &[Set], value: &Word) -> Truth {
    sets.iter().fold(Truth::NO, |any, set| {
        let within = match set {
            Set::Range(low, high) => {
                let under = word::below(table, value, &word::number(*low));
                let over = word::below(table, &word::number(*high), value);
                let outside = table.or(under, over);
                table.not(outside)
            }
            Set::AllOnesLess(free) => (0..64).rev().fold(Truth::YES, |all, bit| {
                if free >> bit & 1 == 1 {
                    all
                } else {
                    table.and(all, value[bit])
                }
            }),
        };
        table.or(any, within)
    })
}

/// When the fields of a value have what a restore takes.
fn listed(table: &mut Table, register: &Register, value: &Word) -> Truth {
    register.fields.iter().fold(Truth::YES, |all, field| {
        let Some(values) = &field.restored else {
            return all;
        };
        let sets: Vec<Set> = values.iter().map(|one| Set::Range(*one, *one)).collect();
        let named = in_sets(table, &sets, &part(value, field.hi, field.lo));
        table.and(all, named)
    })
}
