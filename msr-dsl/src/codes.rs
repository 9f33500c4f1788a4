//! The table of findings: the checker's messages carry these codes, `msr check --explain CODE` prints the entry, and
//! the manual's list is made from it.

/// An entry of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// `E...` for errors, `W...` for warnings.
    pub id: &'static str,
    /// A short name.
    pub title: &'static str,
    /// What it means and why it is refused.
    pub explanation: &'static str,
}

macro_rules! codes {
    ($($id:ident $name:ident $title:literal $explanation:literal;)*) => {
        $(
            #[doc = $title]
            pub static $name: Code = Code { id: stringify!($id), title: $title, explanation: $explanation };
        )*
        /// The whole table, in the order of the manual.
        pub static ALL: &[&Code] = &[$(&$name),*];
    };
}

/// An entry by its code.
pub fn find(id: &str) -> Option<&'static Code> {
    ALL.iter()
        .copied()
        .find(|code| code.id.eq_ignore_ascii_case(id))
}

codes! {
    E001 SYNTAX "words or their order"
        "The text does not follow the grammar. The message says what was expected at that place.";
    E002 LEXICAL "not made of words"
        "An unbalanced bracket, an unfinished text or comment, or a character that belongs to no word. From the macro rustc itself reports it.";
    E003 NOT_ALONE "more than one invocation"
        "A spec file is exactly one `interface! { ... }`. `include!` would compile whatever else stands in the file, unchecked by the language.";

    E101 NO_INTERFACE "one interface per file"
        "A file says `interface NAME { ... }` exactly once: name, vendor, versions, banks.";
    E102 LONG_NAME "name too long"
        "A saved record has eight bytes for the interface's name.";
    E103 UNKNOWN_NAME "unknown name"
        "Nothing of that name can stand here. The help names the closest one that can.";
    E104 NAME_TWICE "name used twice"
        "Two things with one name exist in the same version; or a field has the name of a feature or of a register, which it would hide inside of its register.";
    E105 NAME_TAKEN "name with a meaning of its own"
        "`value`, `state` and `i` mean the written value, the register's state and the bank.";
    E106 SAID_TWICE "said twice"
        "A line that counts once stands twice for the same version. Neither wins: which one is meant is for the author to say.";
    E107 HALF_SAID "half said"
        "A section lacks a line without which it has no meaning.";

    E108 RUST_NAME "name in Rust"
        "Names become names of Rust types and functions, where capitals and underscores count for less; two of them become one, or one that is taken.";

    E109 SAYS_NOTHING "a text that says nothing"
        "A citation says where the behaviour is laid down, a tombstone why something is gone: an empty text says neither.";

    E111 NO_VERSION "no version"
        "A guest lives under one version of an interface; there has to be one.";
    E112 VERSION_ORDER "order of versions"
        "Versions are listed once each, the oldest first.";
    E113 VERSION_TEXT "what is new"
        "Each version says in a few words what is new in it, for those who choose one.";
    E114 UNKNOWN_VERSION "unknown version"
        "`in ...` names a version that the interface does not list.";
    E115 ALL_VERSIONS "every version"
        "`in ...` that holds for every version says nothing and hides that the line always counts.";
    E116 NOT_IN_VERSION "not in this version"
        "The line counts in a version in which the thing that it names does not exist.";
    E117 RESTORE_ONLY_LAST "restore_only and newest"
        "A guest of a restore_only version goes on under a later one after it was restored.";

    E118 SAME_VERSION "version without a change"
        "The version does nothing that the one before does not do, whatever it calls things or says of them. A guest could not tell them apart, so there is no need for it.";
    E119 WAIVER "waiver that matches nothing"
        "The warning that it waives does not occur there. It may have been mended; the waiver would hide the next one.";

    E121 LOCKED "released version altered"
        "The manifest beside the spec says what the released versions do. Guests live under them, so a spec that would alter one is refused.";
    E122 LOCK_FILE "manifest"
        "The manifest beside the spec cannot be read, or is not whole: its last line counts and sums up the others, so that what it holds is not lost unseen.";

    E201 FIELD_OVERLAP "fields overlap"
        "A bit of a register belongs to one field.";
    E202 FIELD_TYPE "type of a field"
        "The type, or one of its values, does not fit the bits; or a write may store a value that the type has not.";
    E203 RESERVED_UNSAID "reserved bits"
        "The register names some bits and is writable; what a write does to the others has to be said.";
    E204 NO_RESERVED "nothing is reserved"
        "`reserved` in a register whose every bit has a field.";
    E205 RESERVED_WRITABLE "reserved and writable"
        "A bit that takes part in a protocol (a one clears, ...) has a meaning, so it has a field and a name.";
    E206 CONST_READ "constant and computed"
        "A field of type `const` reads as its value; it cannot have a `read` too.";
    E207 WRITE_UNSEEN "written and never read"
        "Reads are computed, so what a write stores is never seen: neither by a read nor by a rule or another register.";
    E208 RULE_WITHOUT_EFFECT "rule without effect"
        "The register as a whole answers accesses in another way, so the line is never applied; or its condition, or a comparison in it, is the same in every guest, or an `if` has one outcome, or what is said before leaves it nothing to refuse. A line that is accepted and ignored would be worse.";
    E209 KEEP_WHOLE "keep for a whole register"
        "`else keep` lets a field keep its value while the rest of the write counts. For a whole register that is `else ignore`.";

    E301 ADDRESS "address"
        "The address does not fit the kind of register, or RDMSR cannot name it.";
    E302 ADDRESS_OVERLAP "addresses overlap"
        "An MSR is one register in any version.";

    E303 HIDDEN "hidden register"
        "A `hidden register` is state of the hypervisor's own that travels with the guest: no access reaches it, and the injection section says what it is for (`pending NAME;`).";

    E401 WRITE_UNSAID "writes"
        "Every register says what a write does. Reads give the state if nothing else is said.";
    E402 RESET_OUTSIDE "reset value"
        "The value after power-on (0 if nothing is said) or INIT sets bits that are reserved, constant or computed, or is one that the register or a field must not have; or the value after INIT sets a sticky bit, which INIT leaves as it is.";
    E403 RESET_WITHOUT_STATE "reset without state"
        "The register has no state, so no read ever shows the value after power-on or INIT.";
    E404 CONSTANT_STATE "state that nothing changes"
        "The register reads its state, and neither guest, injection nor restore changes it: it is a constant and should say so. Where the state is saved, something was meant to set it: the guest (`write`), or the hypervisor (`held;`).";
    E405 WRONG_TYPE "condition or number"
        "A condition stands where a number is needed, or the other way round.";
    E406 SHIFT "shift"
        "A shift goes by a number of bits from 0 to 63.";
    E407 NOT_CONSTANT "not a constant"
        "Only numbers and operators stand here; the value is needed when the spec is compiled.";
    E408 NO_VALUE "no value is written here"
        "`value` is the value that WRMSR brings; a read or a condition of presence has none.";
    E409 CYCLE "reads in a circle"
        "What a register reads, or whether it or a field is there, would depend on itself.";
    E410 OUT_OF_RANGE "out of range"
        "The number is outside what the tool or the machine can do.";
    E411 NOT_READABLE "not readable"
        "An expression uses the value of a register whose reads fault, are not listed, or are answered elsewhere.";
    E412 UNREACHABLE "never reached"
        "No guest can ever reach the register or field: its condition is false for new guests, features and restored ones alike, whatever the registers that it asks can be, or neither reads nor writes are listed.";

    E413 CONSTANT_OUTSIDE "read outside of the bits"
        "A read gives more bits than the field has, a value for which a closed enumeration has no name, or a constant with bits of the register that no field has.";
    E414 NO_LEGAL_VALUE "no legal value"
        "The rules of a register, or of a field, leave no value that a guest could write.";

    E415 HELD "held register"
        "The hypervisor sets and takes the state of a `held` register by its name: it is a single register with an address.";

    E416 SCOPE "not the guest's"
        "`scope guest` is for state that all vCPUs of a guest share. The register has none, or its state is that of one processor by its nature: the capability word, what passes to hardware, what a machine check sets, a hidden register.";
    E417 SCOPE_DEPENDS "guest's register by a vCPU's state"
        "A register of scope `guest` answers every vCPU alike. It depends on nothing that differs between vCPUs: on registers of scope `guest`, on the capability register, and on what is computed from these.";

    E501 FEATURE_WITHOUT_BIT "feature without a bit"
        "A guest learns of a feature by a bit of the capability register.";
    E502 FEATURE_BIT "not a capability bit"
        "The bit of a feature is a `bool` field of the register that `capability` names.";
    E503 FEATURE_BIT_TWICE "two features with one bit"
        "A guest could not tell the features apart.";
    E504 FEATURE_OFFER "who gets it"
        "A feature is `default` (every new guest has it) or `offered` (a guest has it when it is selected).";
    E505 FEATURE_RESET "feature and reset value disagree"
        "The reset value of the capability register holds the bits of the default features and of no others.";
    E506 FEATURE_HALF_THERE "feature half there"
        "A register or field that depends on a feature is missing in a version that has the feature.";
    E507 FEATURE_CYCLE "requirements in a circle"
        "A feature requires itself in the end, so no guest could ever be the first to have it.";
    E508 FEATURE_RESTORE "feature that does not restore"
        "A guest could be given the feature and saved, but its record would be refused.";
    E509 CAPABILITY "capability register"
        "The capability register is one register with state that the guest cannot change.";

    E510 EXTRA_BIT "extra capability bits"
        "What an administrator names at boot is a single bit of the capability register: none that is part of a count or of another wider field.";
    E511 FEATURE_DEFAULT "default feature without what it requires"
        "Every new guest has a default feature, so every new guest has to have what the feature requires.";

    E601 NO_BANKS "banks"
        "Banked registers and the interface's `banks` section come together.";
    E602 BANK_COUNT "bank count"
        "The count that a guest reads in MCG_CAP, the banks that answer, those that have addresses and those that have state contradict each other.";
    E603 NO_SUCH_BANK "no such bank"
        "The bank has no state.";
    E604 WHICH_BANK "which bank"
        "A banked register is named with its bank, another one without; and `i`, the bank or the place in a range of MSRs, is said where there are several.";

    E701 MIGRATE_UNSAID "migration"
        "State that is neither saved nor said to be transient is state that somebody forgot: a guest would lose it when it moves.";
    E702 MIGRATE_DERIVED "derived with state"
        "`derived` is for registers without state of their own.";
    E703 MIGRATE_NOTHING "transient without state"
        "`transient` says why state may be lost; there is none.";
    E704 MIGRATE_REASON "reason"
        "Losing state needs a reason.";
    E705 TAG_TWICE "tag used twice"
        "Two items of one record with the same tag.";
    E706 TAG_REUSED "tag with two meanings"
        "Records of all versions are read for ever: a tag means the same register, and the same kind of record, in each.";
    E707 RESTORE_WITHOUT_SAVE "restore without save"
        "What is not in the record is not restored: neither with other bits, nor before or after anything.";
    E708 RESTORE_RESET "restore refuses a guest's own record"
        "The reset value, a write or an injection can set bits that `restore accepts` leaves out: a guest that has them could be saved, and never restored. Or an older version saves an item that a later one does not know, and no tombstone says that it is gone; or a guest of a restore_only version brings something that no later version takes.";
    E709 RESTORE_CYCLE "restore order"
        "A register would be restored after itself, or after one that is in another record: what a guest's vCPUs share has its own.";
    E710 TOMBSTONE "used again"
        "What was removed leaves a tombstone: old records and old guests know the tag, or the bit of the capability register, by its old meaning.";

    E711 RESTORE_DEFAULT "default that a restore refuses"
        "The value for records that lack the item is one that a record with the item would be refused for, or that no guest could have written.";

    E801 HOOK_WITHOUT_TYPE "hook without a type"
        "A hook says which arguments the hypervisor gets.";
    E802 HOOK_ARGUMENT "hook argument"
        "Arguments are `value: u64` (the written value), `msr: u32` and `index: u32` (bank, or place in a range), each at most once.";
    E803 UNKNOWN_HOOK "unknown hook"
        "The hook is not declared.";

    E901 INJECTION_ROLE "role of a register"
        "The registers of an injection are MCG_STATUS (`global`) and three of a bank, and MCG_STATUS has the bits that a machine check sets.";
    E902 INJECTION_UNSEEN "injected and never read"
        "The guest could not see what the injection sets.";

    W001 NO_CITE "no citation"
        "A register says where its behaviour is laid down (`cite \"SDM vol. 3, ...\";`), so that a reviewer can check it.";
    W002 NO_DOC "no documentation"
        "A `///` comment says in a line what the thing is; it becomes the documentation of the Rust and of the reference pages.";
    W003 UNUSED_HOOK "hook that nothing uses"
        "The hypervisor would have to implement a hook that no access ever calls.";
    W004 ACCEPTS_UNWRITABLE "restore accepts what no guest can have"
        "A record could bring bits into the register that neither reset, guest nor injection can set.";
    W005 FEATURE_WITHOUT_EFFECT "feature on which nothing depends"
        "No register, field or rule asks whether a guest has the feature, so its bit is all that it brings. Often a `when FEATURE else fault;` was forgotten.";
    W006 DELIVERY "delivery of another vendor"
        "Guests' systems expect what their vendor's processors do: Intel's tell every processor of a machine check (`deliver broadcast;`), AMD's the one that met the error (`deliver one;`).";
    W007 TOLD_IN_VAIN "told of what is not there"
        "A guest that a restore accepts, or one without a feature, is told of a machine check like any other, and lacks the bank or a register that says what happened.";
    W008 OLDER_REFUSED "refuses what an older version saves"
        "A guest of an older version can have bits, a value or banks that a restore refuses here: it is saved, and cannot come. Where that is meant, a waiver says why. If it is a restore_only version, whose guests cannot go anywhere else, it is an error (E708).";
}
