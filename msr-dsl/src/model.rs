//! The checked model: one version of an interface, all names resolved. The interpreter evaluates it, the generator
//! lowers it, and they share nothing else.

mod known;

pub use crate::ast::{Absent, Illegal, Offer};
pub use known::{Known, KnownItem, known};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A whole spec: one view per version.
#[derive(Clone, Debug)]
pub struct Model {
    /// The interface's name.
    pub name: String,
    /// Documentation.
    pub doc: String,
    /// `intel`, `amd`, `any`.
    pub vendor: String,
    /// Tombstones: `tag 4`, `bit 9` (of the capability register).
    pub removed: Vec<String>,
    /// Oldest first.
    pub views: Vec<View>,
}

impl Model {
    /// The newest version.
    pub fn newest(&self) -> &View {
        &self.views[self.views.len() - 1]
    }

    /// A version by its number.
    pub fn version(&self, number: u16) -> Option<&View> {
        self.views.iter().find(|view| view.version == number)
    }
}

/// Which register of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegisterId(pub usize);

/// One version of an interface.
#[derive(Clone, Debug)]
pub struct View {
    /// The interface's name.
    pub name: String,
    /// The version.
    pub version: u16,
    /// What is new in it.
    pub text: String,
    /// Guests of this version are only restored, into a later one.
    pub restore_only: bool,
    /// The register that says what the guest has; it keeps its value over every reset.
    pub capability: Option<RegisterId>,
    /// Banks, if any register is banked.
    pub banks: Option<Banks>,
    /// Features known to this version.
    pub features: Vec<Feature>,
    /// Hooks that this version uses.
    pub hooks: Vec<Hook>,
    /// Registers, in the order of the spec.
    pub registers: Vec<Register>,
    /// What an injection may set.
    pub injection: Option<Injection>,
    /// Tags of old records that are read and dropped.
    pub dropped_tags: Vec<u16>,
    /// What an administrator may name at boot; none: nothing.
    pub extra: Option<ExtraLimits>,
    /// The items of records of every version of the file.
    pub known: Arc<[KnownItem]>,
}

impl View {
    /// What some version of the file saves under a tag.
    pub fn known_item(&self, tag: u16) -> Option<&KnownItem> {
        self.known.iter().find(|item| item.tag == tag)
    }

    /// A register.
    pub fn register(&self, id: RegisterId) -> &Register {
        &self.registers[id.0]
    }

    /// A register by its name.
    pub fn find(&self, name: &str) -> Option<RegisterId> {
        self.registers
            .iter()
            .position(|register| register.name == name)
            .map(RegisterId)
    }

    /// All registers with their numbers.
    pub fn ids(&self) -> impl Iterator<Item = (RegisterId, &Register)> {
        self.registers
            .iter()
            .enumerate()
            .map(|(i, register)| (RegisterId(i), register))
    }

    /// Whether some state is that of the whole guest.
    pub fn is_shared(&self) -> bool {
        self.registers
            .iter()
            .any(|register| register.scope == Scope::Guest)
    }

    /// The registers whose state a vCPU's record holds, with tag and default, in the order in which a restore takes them.
    pub fn saved(&self) -> Vec<(RegisterId, u16, u64)> {
        self.saved_of(Scope::Vcpu)
    }

    /// The same for the record of a vCPU, or for that of what a guest's vCPUs share.
    pub fn saved_of(&self, scope: Scope) -> Vec<(RegisterId, u16, u64)> {
        let mut waiting: Vec<RegisterId> = self.ids().map(|(id, _)| id).collect();
        let mut order = Vec::new();
        // Mostly the order of the file is one already.
        let stands_after = |(id, register): (RegisterId, &Register)| {
            register.after.iter().all(|other| other.0 < id.0)
        };
        if self.ids().all(stands_after) {
            order = std::mem::take(&mut waiting);
        }
        while !waiting.is_empty() {
            // The checker has refused circles, so one of them can always go next.
            let ready = |id: &RegisterId| {
                self.register(*id)
                    .after
                    .iter()
                    .all(|other| !waiting.contains(other))
            };
            let next = waiting.iter().position(ready).unwrap_or(0);
            order.push(waiting.remove(next));
        }
        let saved = order
            .into_iter()
            .filter(|id| self.register(*id).scope == scope)
            .filter_map(|id| match self.register(id).migrate {
                Migrate::Saved { tag, default } => Some((id, tag, default)),
                _ => None,
            });
        saved.collect()
    }

    /// Bytes of a register's item in a record: tag and length, and a word for each cell.
    pub fn item_length(&self, id: RegisterId) -> usize {
        4 + 8 * self.cells(self.register(id))
    }

    /// Bytes of a vCPU's record, or of that of what a guest's vCPUs share, which begins with an item of its own.
    pub fn record_length(&self, scope: Scope) -> usize {
        let before = match scope {
            Scope::Vcpu => 20,
            Scope::Guest => 20 + 12,
        };
        let items = self.saved_of(scope).into_iter();
        before + items.map(|(id, ..)| self.item_length(id)).sum::<usize>()
    }

    /// These registers, and all from which what they show is made.
    pub fn computed_from(&self, from: Vec<RegisterId>) -> BTreeSet<RegisterId> {
        let (mut seen, mut waiting) = (BTreeSet::new(), from);
        while let Some(id) = waiting.pop() {
            if seen.insert(id) {
                waiting.extend(self.shown_from(id));
            }
        }
        seen
    }

    /// The registers that a read of one looks at.
    fn shown_from(&self, id: RegisterId) -> Vec<RegisterId> {
        let register = self.register(id);
        let mut all: Vec<&Expr> = register.present.iter().map(|(when, _)| when).collect();
        if let Read::Value(value) = &register.read {
            all.push(value);
        }
        let fields = register.fields.iter();
        all.extend(fields.flat_map(|field| field.read.iter().chain(&field.present)));
        if let (true, Some(banks)) = (register.banked, &self.banks) {
            all.push(&banks.count);
        }
        all.into_iter().flat_map(Expr::registers).collect()
    }

    /// Every expression of the view: what it asks of the guest and of written values.
    pub fn expressions(&self) -> impl Iterator<Item = &Expr> {
        let banks = self.banks.iter().map(|banks| &banks.count);
        let local = self
            .injection
            .iter()
            .filter_map(|injection| injection.local.as_ref());
        let registers = self.registers.iter().flat_map(Register::expressions);
        banks.chain(local).chain(registers)
    }

    /// Cells of a register: one, or one for each bank with state.
    pub fn cells(&self, register: &Register) -> usize {
        match (register.stored, register.banked, &self.banks) {
            (false, ..) => 0,
            (true, false, _) => 1,
            (true, true, banks) => banks.as_ref().map_or(0, |banks| banks.stored as usize),
        }
    }
}

/// What an administrator may name at boot: capability bits and tags that a restore then accepts, and MSRs that then read zero
/// and ignore writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraLimits {
    /// How many bits, tags and ranges of MSRs in all.
    pub most: usize,
    /// Where the MSRs may lie, inclusive at both ends.
    pub msrs: Vec<(u32, u32)>,
    /// Bits of the capability register.
    pub capability: u64,
}

/// The banks of a view.
#[derive(Clone, Debug)]
pub struct Banks {
    /// How many the guest sees.
    pub count: Expr,
    /// Banks at or above this have no addresses.
    pub limit: u32,
    /// Banks at or above this have no state: they read as if it were zero, and writes are dropped.
    pub stored: u32,
    /// What a bank at or above the count, below the limit, does.
    pub beyond: Absent,
}

/// A feature.
#[derive(Clone, Debug)]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// Documentation.
    pub doc: String,
    /// The capability register's bit.
    pub bit: u32,
    /// Whether guests get it unasked.
    pub offer: Offer,
    /// All of these; of each list, one.
    pub requires: Vec<Vec<String>>,
    /// The host capability without which it cannot be honoured.
    pub host: Option<String>,
}

/// A hook.
#[derive(Clone, Debug)]
pub struct Hook {
    /// Its name.
    pub name: String,
    /// Documentation.
    pub doc: String,
    /// Its arguments.
    pub arguments: Vec<Argument>,
}

/// An argument of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// The value written.
    Value,
    /// The MSR's number.
    Msr,
    /// The bank, or the place in the register's range.
    Index,
}

/// A register of a view.
#[derive(Clone, Debug)]
pub struct Register {
    /// Its name.
    pub name: String,
    /// Documentation.
    pub doc: String,
    /// The line of the spec in which it begins.
    pub line: usize,
    /// Where its behaviour is laid down.
    pub cite: Vec<String>,
    /// One in each bank.
    pub banked: bool,
    /// Where it is reached; for a banked one, the MSR of bank 0, 1, ... of each range.
    pub addresses: Vec<Address>,
    /// It has state (a cell, or one for each bank with state).
    pub stored: bool,
    /// Whose state that is.
    pub scope: Scope,
    /// The hypervisor sets and takes its state, which lives elsewhere or is not the guest's to change.
    pub held: bool,
    /// The condition under which a guest has it, and what accesses do otherwise.
    pub present: Option<(Expr, Absent)>,
    /// The state after power-on.
    pub reset: u64,
    /// The state after INIT; none: kept.
    pub init: Option<u64>,
    /// What RDMSR does.
    pub read: Read,
    /// What WRMSR does.
    pub write: Write,
    /// Whole values that are refused, in this order, before anything else.
    pub rules: Vec<Rule>,
    /// Fields, highest bit first.
    pub fields: Vec<Field>,
    /// What a write does to bits that have no field.
    pub reserved: BitRule,
    /// Bits that have no field.
    pub reserved_mask: u64,
    /// What migration does.
    pub migrate: Migrate,
    /// Bits that a restored value may have set.
    pub accepts: u64,
    /// Registers that are restored before it.
    pub after: Vec<RegisterId>,
}

impl Register {
    fn expressions(&self) -> impl Iterator<Item = &Expr> {
        let present = self.present.iter().map(|(condition, _)| condition);
        let read = match &self.read {
            Read::Value(value) => Some(value),
            _ => None,
        };
        let rules = self.rules.iter().filter_map(|rule| match &rule.legal {
            Legal::Holds(condition) => Some(condition),
            Legal::Sets(_) => None,
        });
        let fields = self.fields.iter().flat_map(|field| {
            let locked = field.write.lock().into_iter();
            field.present.iter().chain(&field.read).chain(locked)
        });
        let reserved = self.reserved.lock().into_iter();
        present
            .chain(read)
            .chain(rules)
            .chain(fields)
            .chain(reserved)
    }

    /// No access reaches it: it is the hypervisor's own.
    pub fn hidden(&self) -> bool {
        self.addresses.is_empty()
    }
}

/// Whose state a register has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Each vCPU has its own.
    Vcpu,
    /// All vCPUs of a guest have one.
    Guest,
}

/// Where a register is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The first MSR.
    pub first: u32,
    /// Steps: the number of MSRs.
    pub count: u32,
    /// From one to the next.
    pub stride: u32,
}

impl Address {
    /// Its MSRs with their index (bank, or place in a range).
    pub fn msrs(self) -> impl Iterator<Item = (u32, u32)> {
        (0..self.count).map(move |i| (self.first + i * self.stride, i))
    }

    /// The index of an MSR, if it is one of these.
    pub fn index_of(self, msr: u32) -> Option<u32> {
        let beyond = msr.checked_sub(self.first)?;
        let index = beyond.checked_div(self.stride).unwrap_or(0);
        (index < self.count && index * self.stride == beyond).then_some(index)
    }
}

/// What RDMSR does.
#[derive(Clone, Debug)]
pub enum Read {
    /// This value, into which the fields' own values are put.
    Value(Expr),
    /// #GP.
    Fault,
    /// Not listed.
    Unlisted,
    /// Hardware.
    Pass,
    /// The hypervisor.
    Hook(usize),
}

/// What WRMSR does.
#[derive(Clone, Debug)]
pub enum Write {
    /// By fields and reserved bits; then the hook.
    Bits(Option<usize>),
    /// #GP.
    Fault,
    /// Not listed.
    Unlisted,
    /// Hardware.
    Pass,
    /// The hypervisor, after the rules.
    Hook(usize),
}

/// A condition on a written value.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What is legal.
    pub legal: Legal,
    /// What happens otherwise.
    pub otherwise: Illegal,
}

impl Rule {
    /// It asks for nothing but the value: what a restore of a held register can check too.
    pub fn is_about_value(&self) -> bool {
        let Legal::Holds(condition) = &self.legal else {
            return true;
        };
        let mut alone = true;
        condition.walk(&mut |one| {
            alone &= !matches!(
                one,
                Expr::State | Expr::Index | Expr::Register(_) | Expr::Cell(..)
            );
        });
        alone
    }
}

/// See [`Rule`].
#[derive(Clone, Debug)]
pub enum Legal {
    /// The expression holds.
    Holds(Expr),
    /// The value is in one of the sets.
    Sets(Vec<Set>),
}

/// A set of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Set {
    /// `low..=high`
    Range(u64, u64),
    /// All ones, with any of these bits clear.
    AllOnesLess(u64),
}

impl Set {
    /// The bits that are set in some value of the set.
    pub fn bits(&self) -> u64 {
        match self {
            Self::AllOnesLess(_) => u64::MAX,
            // Below the highest bit in which the ends differ, every bit is set in some value between them.
            Self::Range(low, high) => match (low ^ high).checked_ilog2() {
                Some(top) => *high | mask(top, 0),
                None => *high,
            },
        }
    }
}

/// A field.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Documentation.
    pub doc: String,
    /// Highest bit.
    pub hi: u32,
    /// Lowest bit.
    pub lo: u32,
    /// Its type.
    pub ty: FieldType,
    /// In a guest for which this does not hold, the bits are reserved (and read zero).
    pub present: Option<Expr>,
    /// What a read gives, if not the register's value.
    pub read: Option<Expr>,
    /// What a write does to each bit.
    pub write: BitRule,
    /// Values of the field that are refused.
    pub rules: Vec<Rule>,
    /// The only values that a restore takes, if it does not take all: the names of a closed enumeration, and what the record of an
    /// older version can hold in these bits.
    pub restored: Option<Vec<u64>>,
}

impl Field {
    /// Its bits in the register.
    pub fn mask(&self) -> u64 {
        mask(self.hi, self.lo)
    }

    /// Its width in bits.
    pub fn width(&self) -> u32 {
        self.hi - self.lo + 1
    }
}

/// Bits `hi` to `lo`.
pub fn mask(hi: u32, lo: u32) -> u64 {
    (u64::MAX >> (63 - (hi - lo))) << lo
}

/// The type of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// One bit.
    Bool,
    /// A number.
    Unsigned,
    /// Named values.
    Enum {
        /// Names and values.
        values: Vec<(String, u64)>,
        /// Other values are legal too.
        other: bool,
    },
    /// Always this value.
    Const(u64),
}

/// What a write does to each bit.
#[derive(Clone, Debug)]
pub enum BitRule {
    /// Takes the written value.
    Store,
    /// Keeps its value.
    Ignore,
    /// #GP if set.
    FaultIfSet,
    /// #GP if it differs from what a read gives.
    FaultOnChange,
    /// A one clears.
    OneClears,
    /// A one sets.
    OneSets,
    /// A zero clears.
    ZeroClears,
    /// A one sets; kept over INIT.
    Sticky,
    /// Stored while the condition is false.
    Locked(Expr),
}

impl BitRule {
    /// Whether a write can change the bit.
    pub fn changes(&self) -> bool {
        !matches!(self, Self::Ignore | Self::FaultIfSet | Self::FaultOnChange)
    }

    /// The condition that keeps writes off.
    pub fn lock(&self) -> Option<&Expr> {
        match self {
            Self::Locked(by) => Some(by),
            _ => None,
        }
    }
}

/// What migration does with a register.
#[derive(Clone, Debug)]
pub enum Migrate {
    /// Saved.
    Saved {
        /// The tag of its item.
        tag: u16,
        /// The value when a record lacks it.
        default: u64,
    },
    /// Not saved.
    Transient(String),
    /// Follows from other state, or there is none.
    Derived,
}

/// What an injection may set.
#[derive(Clone, Debug)]
pub struct Injection {
    /// Every vCPU is told.
    pub broadcast: bool,
    /// The bank that takes the error.
    pub bank: u32,
    /// MCG_STATUS and its bits.
    pub global: (RegisterId, u64),
    /// MCi_STATUS and its bits.
    pub status: (RegisterId, u64),
    /// MCi_ADDR and its bits.
    pub address: (RegisterId, u64),
    /// MCi_MISC and its bits.
    pub misc: (RegisterId, u64),
    /// The hidden register that says that a machine check is not delivered yet.
    pub pending: Option<RegisterId>,
    /// The guest has enabled local delivery.
    pub local: Option<Expr>,
    /// Bits of `global` by meaning.
    pub bits: GlobalBits,
}

impl Injection {
    /// The registers that a machine check shows to the guest, each with the bits that it may set.
    pub fn shown(&self) -> [(RegisterId, u64); 4] {
        [self.global, self.status, self.address, self.misc]
    }

    /// Whether a machine check sets bits of the register.
    pub fn sets(&self, id: RegisterId) -> bool {
        self.shown().iter().any(|(own, _)| *own == id) || self.pending == Some(id)
    }
}

/// The bits of MCG_STATUS, as masks; zero where the register has none.
#[derive(Clone, Copy, Debug, Default)]
pub struct GlobalBits {
    /// Restart IP valid.
    pub ripv: u64,
    /// Error IP valid.
    pub eipv: u64,
    /// Machine check in progress.
    pub mcip: u64,
    /// Signalled to this processor alone.
    pub lmce_s: u64,
}

/// An expression, typed and resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// A number.
    Number(u64),
    /// A truth value.
    Bool(bool),
    /// The value that is being written.
    Value,
    /// The register's own cell.
    State,
    /// The bank, or the place in a range.
    Index,
    /// What a guest reads from this register; zero where it is absent.
    Register(RegisterId),
    /// The cell of one bank.
    Cell(RegisterId, u32),
    /// Bits `hi..=lo` of a value, shifted down.
    Field(Box<Expr>, u32, u32),
    /// A value is not zero.
    IsSet(Box<Expr>),
    /// A truth value as 0 or 1.
    AsBit(Box<Expr>),
    /// Bitwise or logical not, by type.
    Not(Box<Expr>),
    /// Bitwise or logical, by type.
    Binary(Op, Box<Expr>, Box<Expr>),
    /// Condition, then, else.
    If(Box<Expr>, Box<Expr>, Box<Expr>),
}

pub use crate::ast::Op;

/// The type of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// 64 bits.
    Bits,
    /// True or false.
    Bool,
}

impl Expr {
    /// Its type.
    pub fn ty(&self) -> Type {
        match self {
            Self::Bool(_) | Self::IsSet(_) => Type::Bool,
            Self::Number(_) | Self::Value | Self::State | Self::Index => Type::Bits,
            Self::Register(_) | Self::Cell(..) | Self::Field(..) | Self::AsBit(_) => Type::Bits,
            Self::Not(inner) => inner.ty(),
            Self::If(_, yes, _) => yes.ty(),
            Self::Binary(op, left, _) => match op {
                Op::Or | Op::And | Op::Shl | Op::Shr => left.ty(),
                _ => Type::Bool,
            },
        }
    }

    /// The registers that it names.
    pub fn registers(&self) -> Vec<RegisterId> {
        let mut found = Vec::new();
        self.walk(&mut |one| {
            if let Self::Register(id) | Self::Cell(id, _) = one {
                found.push(*id);
            }
        });
        found
    }

    /// It asks for nothing, neither of the guest nor of the value: what it gives is always the same.
    pub fn is_constant(&self) -> bool {
        let mut constant = true;
        self.walk(&mut |one| {
            constant &= !matches!(
                one,
                Self::Value | Self::State | Self::Index | Self::Register(_) | Self::Cell(..)
            );
        });
        constant
    }

    /// Calls `visit` for it and everything in it.
    pub fn walk(&self, visit: &mut dyn FnMut(&Expr)) {
        visit(self);
        match self {
            Self::Field(inner, ..) | Self::IsSet(inner) | Self::AsBit(inner) | Self::Not(inner) => {
                inner.walk(visit)
            }
            Self::Binary(_, a, b) => [a, b].into_iter().for_each(|e| e.walk(visit)),
            Self::If(a, b, c) => [a, b, c].into_iter().for_each(|e| e.walk(visit)),
            _ => {}
        }
    }
}
