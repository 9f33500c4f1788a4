//! What a spec says, word for word, with the place of every word. No meaning yet: names are not resolved here.

use proc_macro2::Span;

/// A word with its place.
#[derive(Clone, Debug)]
pub struct Name {
    /// The word.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// A value with its place.
#[derive(Clone, Debug)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

/// `in 2`, `in 2..`, `in 1..=2`, `in ..=2`: the versions in which something exists.
#[derive(Clone, Copy, Debug)]
pub struct Versions {
    /// First version.
    pub from: u16,
    /// Last version; none for "and all later ones".
    pub to: Option<u16>,
    /// The range as written.
    pub span: Span,
}

impl Versions {
    /// Whether `version` is one of them.
    pub fn contain(&self, version: u16) -> bool {
        version >= self.from && self.to.is_none_or(|to| version <= to)
    }
}

/// A statement, and in which versions it counts (all those of its owner, if none).
#[derive(Clone, Debug)]
pub struct Said<T> {
    /// The statement.
    pub what: T,
    /// Where it stands.
    pub span: Span,
    /// From an enclosing `in` block.
    pub versions: Option<Versions>,
}

/// A whole spec.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// `interface NAME { ... }`; exactly one is right.
    pub interfaces: Vec<Interface>,
    /// Features, in the order of the spec.
    pub features: Vec<Feature>,
    /// Hooks.
    pub hooks: Vec<Hook>,
    /// Registers.
    pub registers: Vec<Register>,
    /// Injection sections; at most one is right.
    pub injections: Vec<Injection>,
    /// Tombstones.
    pub removed: Vec<Removed>,
    /// The words of items that could not be read: each may be the name of something.
    pub lost: Vec<String>,
    /// Some item could not be read.
    pub lost_item: bool,
}

impl Spec {
    /// Whether an item with a mistake in its words may be what is called `name`.
    pub fn may_define(&self, name: &str) -> bool {
        self.lost.iter().any(|word| word == name)
    }
}

/// `interface NAME { ... }`.
#[derive(Clone, Debug)]
pub struct Interface {
    /// Documentation.
    pub doc: String,
    /// Its name.
    pub name: Name,
    /// `vendor intel;`
    pub vendor: Vec<Name>,
    /// `version N "what is new";`
    pub versions: Vec<VersionLine>,
    /// `capability REGISTER;`
    pub capability: Vec<Name>,
    /// `banks { ... }`
    pub banks: Vec<Said<Banks>>,
    /// `extra { ... }`
    pub extra: Vec<Said<Extra>>,
    /// Waivers of warnings that concern the whole interface.
    pub waivers: Vec<Waiver>,
    /// Lines with a mistake in their words.
    pub lost: Vec<Lost>,
}

impl Interface {
    /// Whether a line with a mistake in it may be a `word` line.
    pub fn may_say(&self, word: &str) -> bool {
        self.lost.iter().any(|lost| lost.may_say(word))
    }
}

/// `version N "what is new";`
#[derive(Clone, Debug)]
pub struct VersionLine {
    /// The number.
    pub number: At<u64>,
    /// What is new.
    pub text: At<String>,
    /// `restore_only`: guests of this version are only restored, into a later one.
    pub restore_only: bool,
}

/// `banks { count REG.FIELD; limit N; stored N; beyond zero; }`
#[derive(Clone, Debug)]
pub struct Banks {
    /// How many banks the guest sees.
    pub count: Vec<Said<Expr>>,
    /// How many banks have addresses.
    pub limit: Vec<At<u64>>,
    /// How many banks have state.
    pub stored: Vec<Said<At<u64>>>,
    /// What a bank at or above the count does.
    pub beyond: Vec<Said<At<Absent>>>,
    /// Lines with a mistake in their words.
    pub lost: Vec<Lost>,
}

/// `A..=B, ...`: ranges of MSRs, the first and the last.
pub type Windows = Vec<At<(u64, u64)>>;

/// `extra { most N; msr A..=B, ...; capability BITS; }`: what an administrator may name at boot.
#[derive(Clone, Debug)]
pub struct Extra {
    /// How many in all.
    pub most: Vec<At<u64>>,
    /// Where MSRs may lie.
    pub msrs: Vec<At<Windows>>,
    /// Which bits of the capability register.
    pub capability: Vec<Bits>,
    /// Lines with a mistake in their words.
    pub lost: Vec<Lost>,
}

/// `feature NAME in VERSIONS { ... }`.
#[derive(Clone, Debug)]
pub struct Feature {
    /// Documentation.
    pub doc: String,
    /// Its name.
    pub name: Name,
    /// Versions that know it.
    pub versions: Option<Versions>,
    /// `bit REG.FIELD;`
    pub bit: Vec<Expr>,
    /// `default;` or `offered;`
    pub offer: Vec<At<Offer>>,
    /// `requires A | B;`: one of them; several lines: all.
    pub requires: Vec<Vec<Name>>,
    /// `host NAME;` or `host none;`: the host capability without which it cannot be honoured.
    pub host: Vec<Name>,
    /// Waivers.
    pub waivers: Vec<Waiver>,
}

/// Whether a guest gets a feature unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Every guest has it.
    Default,
    /// Only guests for which it is selected.
    Offered,
}

/// `hook NAME(argument: type, ...);`
#[derive(Clone, Debug)]
pub struct Hook {
    /// Documentation.
    pub doc: String,
    /// Its name.
    pub name: Name,
    /// Arguments; none when the parentheses are missing.
    pub arguments: Option<Vec<(Name, Name)>>,
}

/// `register NAME @ ADDRESS, ... { ... }`.
#[derive(Clone, Debug)]
pub struct Register {
    /// Documentation.
    pub doc: String,
    /// Its name.
    pub name: Name,
    /// One in each bank.
    pub banked: bool,
    /// `hidden`: state of the hypervisor's own, which no MSR shows.
    pub hidden: bool,
    /// Where it is reached.
    pub addresses: Vec<Address>,
    /// Versions that have it.
    pub versions: Option<Versions>,
    /// Its statements.
    pub statements: Vec<Said<Statement>>,
}

/// Where a register is reached.
#[derive(Clone, Debug)]
pub struct Address {
    /// What the address is.
    pub kind: AddressKind,
    /// Where it is written.
    pub span: Span,
}

/// See [`Address`].
#[derive(Clone, Debug)]
pub enum AddressKind {
    /// `0x179`
    One(u64),
    /// `0x800..=0x8ff`
    Range(u64, u64),
    /// `0x400 + 4 * i`
    Banked {
        /// The address for bank 0.
        base: u64,
        /// From one bank to the next.
        stride: u64,
    },
}

impl Register {
    /// Whether a line with a mistake in it may be the missing `word` line.
    pub fn may_say(&self, word: &str) -> bool {
        self.lost().any(|lost| lost.may_say(word))
    }

    /// Whether a line with a mistake in it may hold a field.
    pub fn may_have_more_fields(&self) -> bool {
        self.lost().any(|lost| lost.field)
    }

    fn lost(&self) -> impl Iterator<Item = &Lost> {
        self.statements.iter().filter_map(|said| match &said.what {
            Statement::Poisoned(lost) => Some(lost),
            _ => None,
        })
    }
}

/// What a line with a mistake in its words may have said: nothing is missed that may stand there.
#[derive(Clone, Debug)]
pub struct Lost {
    /// The words in it; none if it begins with an unknown one or holds a block: it may say anything.
    pub words: Option<Vec<String>>,
    /// It may hold a field.
    pub field: bool,
}

impl Lost {
    /// It may say anything.
    pub const ANYTHING: Self = Self {
        words: None,
        field: true,
    };

    /// Whether it may be a `word` line.
    pub fn may_say(&self, word: &str) -> bool {
        self.words
            .as_ref()
            .is_none_or(|words| words.iter().any(|one| one == word))
    }
}

/// A line of a register.
#[derive(Clone, Debug)]
pub enum Statement {
    /// A line with a mistake in its words, which has been reported.
    Poisoned(Lost),
    /// `cite "...";`
    Cite(String),
    /// `when EXPR else fault;`
    When(Expr, Absent),
    /// `reset EXPR;`
    Reset(Expr),
    /// `init keep;`, `init reset;`, `init EXPR;`
    Init(Init),
    /// `read ...;`
    Read(Read),
    /// `write ...;`
    Write(Write),
    /// `legal SET, ... else fault;`
    Legal(Vec<Set>, Illegal),
    /// `require EXPR else fault;`
    Require(Expr, Illegal),
    /// `reserved RULE;`
    Reserved(At<BitRule>),
    /// `migrate ...;`
    Migrate(Migrate),
    /// `restore accepts BITS;`
    Accepts(Bits),
    /// `restore after REG, ...;`
    After(Vec<Name>),
    /// `held;`: the hypervisor sets and takes the state.
    Held,
    /// `scope vcpu;` or `scope guest;`
    Scope(Name),
    /// `waive CODE "reason";`
    Waive(Waiver),
    /// `[hi:lo] NAME: TYPE ...`
    Field(Field),
}

/// A field of a register.
#[derive(Clone, Debug)]
pub struct Field {
    /// Documentation.
    pub doc: String,
    /// Highest bit.
    pub hi: u64,
    /// Lowest bit.
    pub lo: u64,
    /// `[hi:lo]`
    pub bits_span: Span,
    /// Its name.
    pub name: Name,
    /// Its type.
    pub ty: At<FieldType>,
    /// Versions that have it.
    pub versions: Option<Versions>,
    /// Its statements.
    pub statements: Vec<Said<FieldStatement>>,
}

/// The type of a field.
#[derive(Clone, Debug)]
pub enum FieldType {
    /// `bool`
    Bool,
    /// `u1` to `u64`
    Unsigned(u64),
    /// `enum { NAME = N, ..., _ }`
    Enum {
        /// Its named values.
        values: Vec<(Name, At<u64>)>,
        /// `_`: other values are legal too.
        other: bool,
    },
    /// `const N`
    Const(u64),
}

/// A line of a field.
#[derive(Clone, Debug)]
pub enum FieldStatement {
    /// A line with a mistake in its words, which has been reported.
    Poisoned,
    /// `when EXPR;`: in a guest without, the bits are reserved.
    When(Expr),
    /// `read EXPR;`
    Read(Expr),
    /// `write RULE;`
    Write(At<BitRule>),
    /// `legal SET, ... else fault;`
    Legal(Vec<Set>, Illegal),
    /// `restore accepts SET, ...;`: the only values that a restore takes.
    Accepts(Vec<Set>),
}

/// What a write does to each bit.
#[derive(Clone, Debug)]
pub enum BitRule {
    /// The bit takes the written value.
    Store,
    /// The bit keeps its value.
    Ignore,
    /// #GP if the written bit is set.
    FaultIfSet,
    /// #GP if the written bit differs from what a read gives.
    FaultOnChange,
    /// A written one clears, a zero keeps.
    OneClears,
    /// A written one sets, a zero keeps.
    OneSets,
    /// A written zero clears, a one keeps.
    ZeroClears,
    /// As `one_sets`, and the bit is kept over INIT.
    Sticky,
    /// Stored while the named bit is clear, kept while it is set.
    Locked(Expr),
}

/// `write ...`
#[derive(Clone, Debug)]
pub enum Write {
    /// By bits, and then perhaps a hook.
    Bits(At<BitRule>, Option<Name>),
    /// #GP.
    Fault,
    /// As if the spec did not list the MSR.
    Unlisted,
    /// To the hardware register.
    Pass,
    /// The hypervisor acts.
    Hook(Name),
}

/// `read ...`
#[derive(Clone, Debug)]
pub enum Read {
    /// A value.
    Value(Expr),
    /// #GP.
    Fault,
    /// As if the spec did not list the MSR.
    Unlisted,
    /// To the hardware register.
    Pass,
    /// The hypervisor acts.
    Hook(Name),
}

/// What an access to something absent does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// #GP.
    Fault,
    /// Reads zero, writes are dropped.
    Zero,
    /// As if the spec did not list the MSR.
    Unlisted,
}

/// What an illegal value does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Illegal {
    /// #GP.
    Fault,
    /// The whole write is dropped.
    Ignore,
    /// The field keeps its value, the rest of the write counts.
    Keep,
}

/// What happens at INIT.
#[derive(Clone, Debug)]
pub enum Init {
    /// The value stays.
    Keep,
    /// As at power-on.
    Reset,
    /// This value.
    Value(Expr),
}

/// `migrate ...`
#[derive(Clone, Debug)]
pub enum Migrate {
    /// Saved under a tag, with a value for records that lack it.
    Saved {
        /// The tag.
        tag: At<u64>,
        /// What a restore takes when the record has no such item; the reset value if not said.
        default: Option<Expr>,
    },
    /// Not saved, and why.
    Transient(String),
    /// Follows from other state.
    Derived,
}

/// A set of legal values.
#[derive(Clone, Debug)]
pub enum Set {
    /// One value.
    One(Expr),
    /// `A..=B`
    Range(u64, u64),
    /// `all_ones less [0] [10]`: all ones, or with any of these bits clear.
    AllOnesLess(Vec<BitItem>),
}

/// Bits of a register: `FIELD | [hi:lo] | 0x...`, `all`, `none`, `all less [hi:lo] FIELD`.
#[derive(Clone, Debug)]
pub struct Bits {
    /// Start from all bits and take the items away.
    pub all_less: bool,
    /// The items.
    pub items: Vec<BitItem>,
    /// Where it is written.
    pub span: Span,
}

/// See [`Bits`].
#[derive(Clone, Debug)]
pub enum BitItem {
    /// A field of the register.
    Field(Name),
    /// `[hi:lo]`
    Range(u64, u64, Span),
    /// A mask.
    Mask(u64, Span),
}

/// `injection { ... }`
#[derive(Clone, Debug)]
pub struct Injection {
    /// The word `injection`.
    pub span: Span,
    /// `deliver broadcast;` or `deliver one;`
    pub deliver: Vec<Name>,
    /// `bank N;`
    pub bank: Vec<At<u64>>,
    /// `global`, `status`, `address`, `misc`: which register, and the bits that an injection may set.
    pub roles: Vec<Said<(Name, Name, Bits)>>,
    /// `pending REGISTER;`: the hidden register that says that a machine check is not delivered yet.
    pub pending: Vec<Said<Name>>,
    /// `local EXPR;`: local delivery is enabled by the guest.
    pub local: Vec<Said<Expr>>,
    /// Lines with a mistake in their words.
    pub lost: Vec<Lost>,
}

/// `removed tag N "why";`, `removed bit REG [n] "why";`
#[derive(Clone, Debug)]
pub struct Removed {
    /// Where it stands.
    pub span: Span,
    /// What is gone.
    pub what: RemovedThing,
    /// Why.
    pub why: String,
}

/// See [`Removed`].
#[derive(Clone, Debug)]
pub enum RemovedThing {
    /// A tag of the saved record; with `accepted`, records that hold it are still read (and the item dropped).
    Tag {
        /// The tag.
        tag: At<u64>,
        /// Old records that hold it restore.
        accepted: bool,
        /// In these versions; none: in all.
        versions: Option<Versions>,
    },
    /// A bit of a register.
    Bit(Name, At<u64>),
}

impl std::fmt::Display for RemovedThing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tag { tag, .. } => write!(f, "tag {}", tag.value),
            Self::Bit(_, bit) => write!(f, "bit {}", bit.value),
        }
    }
}

/// `waive CODE "reason";`
#[derive(Clone, Debug)]
pub struct Waiver {
    /// The warning.
    pub code: Name,
    /// Why it does not apply.
    pub reason: String,
}

/// An expression over registers and constants.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it is written.
    pub span: Span,
}

/// See [`Expr`].
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// A number, `zero`, `all_ones`.
    Number(u64),
    /// `true`, `false`
    Bool(bool),
    /// `NAME`, `NAME[1]`, `NAME.FIELD`, `NAME[1].FIELD`
    Path {
        /// Register, field, feature, or one of `value`, `state`, `i`.
        base: Name,
        /// Bank.
        index: Option<At<u64>>,
        /// Field.
        field: Option<Name>,
    },
    /// `!E`
    Not(Box<Expr>),
    /// `A op B`
    Binary(Op, Box<Expr>, Box<Expr>),
    /// `A if C else B`
    If(Box<Expr>, Box<Expr>, Box<Expr>),
}

/// Binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `|`
    Or,
    /// `&`
    And,
    /// `<<`
    Shl,
    /// `>>`
    Shr,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `&&`
    Both,
    /// `||`
    Either,
}

impl Op {
    /// `==`, `!=`, `<`, `<=`, `>`, `>=`
    pub const fn compares(self) -> bool {
        matches!(
            self,
            Self::Eq | Self::Ne | Self::Lt | Self::Le | Self::Gt | Self::Ge
        )
    }
}
