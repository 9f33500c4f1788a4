//! What records of older versions bring, against what later versions take. Every reader takes every older version; where one does not, the
//! spec says so.

use super::migration::{holdable, injected, named_bits, settable};
use super::register::writable;
use super::select::{lives, select};
use super::{accepts, closed, dead};
use crate::ast::{Name, RemovedThing, Spec, Statement};
use crate::codes;
use crate::diagnostics::Diagnostics;
use crate::interpret::takes_value;
use crate::model::{BitRule, Expr, Field, Legal, Migrate, Register, RegisterId, Set, View, mask};
use std::collections::HashSet;

/// Notes items, bits, values and banks of an older version that a later one refuses.
pub fn older(spec: &Spec, views: &[View], diagnostics: &mut Diagnostics) {
    let mut gone: HashSet<u16> = HashSet::new();
    let mut narrowed: HashSet<u16> = HashSet::new();
    for (at, old) in views.iter().enumerate() {
        let later: Vec<&View> = views[at + 1..]
            .iter()
            .filter(|view| !view.restore_only)
            .collect();
        for (id, register) in old.ids() {
            let Migrate::Saved { tag, .. } = register.migrate else {
                continue;
            };
            let item = Item {
                spec,
                old,
                id,
                register,
                tag,
            };
            if gone.contains(&tag) {
                continue;
            }
            if item.gone(&later, diagnostics) {
                gone.insert(tag);
            } else if !narrowed.contains(&tag) && item.narrowed(&later, diagnostics) {
                narrowed.insert(tag);
            }
        }
    }
}

/// An item of the records of a version.
struct Item<'a> {
    spec: &'a Spec,
    old: &'a View,
    id: RegisterId,
    register: &'a Register,
    tag: u16,
}

/// What of an item a later version refuses.
struct Refused {
    what: What,
    /// A guest of the older version has it by a reset, a write or a machine check. Otherwise it may: a restore brought it, say.
    certain: bool,
}

enum What {
    Bits(u64),
    /// In a field.
    Value(String, u64),
    Word(u64),
    /// This many banks, where the later version has fewer.
    Banks(usize, usize),
}

impl Item<'_> {
    fn is_saved_by(&self, view: &View) -> bool {
        self.of(view).is_some()
    }

    /// The register of a version that has the item.
    fn of<'v>(&self, view: &'v View) -> Option<&'v Register> {
        let same =
            |one: &&Register| matches!(one.migrate, Migrate::Saved { tag, .. } if tag == self.tag);
        view.registers.iter().find(same)
    }

    fn is_taken_by(&self, view: &View) -> bool {
        self.is_saved_by(view) || view.dropped_tags.contains(&self.tag)
    }

    /// The name of the register where a version says it.
    fn name(&self, view: &View) -> Option<&Name> {
        let own = |name: &&Name| name.text == self.register.name;
        let mut all = self.spec.registers.iter();
        let ast = all.find(|ast| own(&&ast.name) && lives(ast.versions, view.version));
        ast.map(|ast| &ast.name)
    }

    /// A version that does not know the item says that it is gone; and some version takes what a restore_only one brings.
    fn gone(&self, later: &[&View], diagnostics: &mut Diagnostics) -> bool {
        let Some(name) = self.name(self.old) else {
            return false;
        };
        let (tag, register, version) = (self.tag, &self.register.name, self.old.version);
        let buried = self.spec.removed.iter().any(|removed| {
            matches!(&removed.what, RemovedThing::Tag { tag: own, .. } if own.value == u64::from(tag))
        });
        let mut refusing = later.iter().filter(|view| !self.is_taken_by(view));
        if self.old.restore_only && !later.iter().any(|view| self.is_taken_by(view)) {
            diagnostics.add(
                &codes::RESTORE_RESET,
                name.span,
                format!(
                    "guests of version {version} bring item {tag} (`{register}`), and no later version takes it"
                ),
                format!(
                    "add `removed tag {tag} accepted \"why\";`, or let a later version have the register"
                ),
            );
            return true;
        }
        match refusing.next() {
            Some(new) if !buried => {
                diagnostics.add(
                    &codes::RESTORE_RESET,
                    name.span,
                    format!(
                        "version {version} saves item {tag} (`{register}`), and version {} does not take it",
                        new.version
                    ),
                    format!(
                        "save it there under that tag, or say that it is gone: `removed tag {tag} accepted \"why\";` (without `accepted`, records that hold it are refused)"
                    ),
                );
                true
            }
            _ => false,
        }
    }

    /// Bits, values and banks of the item that later versions do not take.
    fn narrowed(&self, later: &[&View], diagnostics: &mut Diagnostics) -> bool {
        // A tag with another meaning is a mistake of its own.
        let same =
            |new: &&Register| (&new.name, new.scope) == (&self.register.name, self.register.scope);
        let each = later
            .iter()
            .filter_map(|view| Some((*view, self.of(view).filter(same)?)))
            .map(|(view, new)| (view, self.refused(view, new)));
        let each: Vec<(&View, Option<Refused>)> = each.collect();
        let lost = |(_, refused): &(&View, Option<Refused>)| {
            refused.as_ref().is_some_and(|refused| refused.certain)
        };
        let nowhere = self.old.restore_only && each.iter().all(lost);
        let Some((view, refused)) = each
            .iter()
            .find_map(|(view, refused)| Some((view, refused.as_ref()?)))
        else {
            return false;
        };
        let Some(name) = self.name(view) else {
            return false;
        };
        let version = view.version;
        let message = format!(
            "version {version} refuses what version {} saves: {}",
            self.old.version,
            refused.what.of(self.register)
        );
        let help = refused.what.mend(version);
        if nowhere {
            let help = format!("{help}: guests of a restore_only version have nowhere else to go");
            diagnostics.add(&codes::RESTORE_RESET, name.span, message, help);
        } else {
            diagnostics.warn(&codes::OLDER_REFUSED, name, message, help);
        }
        true
    }

    /// What a version refuses of the item: the first thing that a guest surely has, else the first that one may have.
    fn refused(&self, view: &View, new: &Register) -> Option<Refused> {
        let all = [
            self.refused_bits(new),
            self.refused_words(new),
            self.refused_values(new),
            self.refused_banks(view, new),
        ];
        let mut all: Vec<Refused> = all.into_iter().flatten().collect();
        let surely = all.iter().position(|one| one.certain);
        (!all.is_empty()).then(|| all.swap_remove(surely.unwrap_or(0)))
    }

    /// Bits outside of what is taken. Where a field lists values, these say what is missing.
    fn refused_bits(&self, new: &Register) -> Option<Refused> {
        let listed = new.fields.iter().filter(|field| field.restored.is_some());
        let listed = listed.fold(0, |all, field| all | field.mask());
        let (certain, possible) = self.bits();
        let [certain, possible] = [certain, possible].map(|bits| bits & !new.accepts & !listed);
        let refused = |bits: u64, certain: bool| {
            let what = What::Bits(bits);
            (bits != 0).then_some(Refused { what, certain })
        };
        refused(certain, true).or_else(|| refused(possible, false))
    }

    /// A whole value: what a guest begins with, or what the hypervisor may hold for it.
    fn refused_words(&self, new: &Register) -> Option<Refused> {
        let Migrate::Saved { default, .. } = self.register.migrate else {
            return None;
        };
        // What its own version refuses is a mistake of its own.
        let takes = |one: &Register, word: u64| word & !one.accepts == 0 && takes_value(one, word);
        let lost = |word: &u64| takes(self.register, *word) && !takes(new, *word);
        let begins = [Some(self.register.reset), self.register.init];
        let begins = begins.into_iter().flatten().find(lost);
        let held = || {
            let held = self.register.held && new.held;
            let mut all = candidates([self.register, new]).into_iter();
            all.find(|word| held && lost(word))
        };
        let certain = begins.or_else(held).map(|word| (word, true));
        let (word, certain) =
            certain.or_else(|| Some(default).filter(lost).map(|word| (word, false)))?;
        let what = What::Word(word);
        Some(Refused { what, certain })
    }

    fn refused_values(&self, new: &Register) -> Option<Refused> {
        new.fields.iter().find_map(|field| {
            let (value, certain) = self.unlisted(field)?;
            let what = What::Value(field.name.clone(), value);
            Some(Refused { what, certain })
        })
    }

    fn refused_banks(&self, view: &View, new: &Register) -> Option<Refused> {
        let (certain, possible) = self.bits();
        let (kept, had) = (view.cells(new), self.old.cells(self.register));
        let injection = self.old.injection.as_ref();
        let by_bank = |kept: usize| injection.is_some_and(|one| one.bank as usize >= kept);
        let mut beyond = certain;
        if !by_bank(kept) {
            beyond &= !injected(self.old, self.id);
        }
        let refused = had > kept && (certain | possible) != 0;
        refused.then_some(Refused {
            what: What::Banks(had, kept),
            certain: beyond != 0,
        })
    }

    /// Bits that a guest of the version can have, and those that it may have.
    fn bits(&self) -> (u64, u64) {
        let (view, register) = (self.old, self.register);
        let removed = self
            .spec
            .removed
            .iter()
            .filter_map(|removed| match &removed.what {
                RemovedThing::Bit(_, bit) => Some(1 << bit.value),
                RemovedThing::Tag { .. } => None,
            });
        let removed: u64 = removed.fold(0, |all, bit| all | bit);
        let features = match view.capability == Some(self.id) {
            true => view.features.iter().fold(0, |all, one| all | 1 << one.bit),
            false => 0,
        };
        let own = register.reset | register.init.unwrap_or(0) | injected(view, self.id);
        let certain = own | settable(register) | features & !removed;
        let default = match register.migrate {
            Migrate::Saved { default, .. } => default,
            _ => 0,
        };
        let written = writable(register) & dead::written(register);
        let mut possible = default | written | holdable(register);
        if self.says_accepts() {
            possible |= register.accepts & !removed;
        }
        (
            certain & register.accepts,
            (certain | possible) & register.accepts,
        )
    }

    fn says_accepts(&self) -> bool {
        let version = self.old.version;
        let mut all = self
            .spec
            .registers
            .iter()
            .filter(|ast| ast.name.text == self.register.name && lives(ast.versions, version));
        all.any(|ast| {
            let mut said = select(&ast.statements, version);
            said.any(|said| matches!(said.what, Statement::Accepts(_)))
        })
    }

    /// A value that a guest of the version has, or may have, in the bits of a later version's field, and that a restore does not take
    /// there.
    fn unlisted(&self, field: &Field) -> Option<(u64, bool)> {
        let values = field.restored.as_ref()?;
        let unlisted = |value: &u64| !values.contains(value);
        let most = mask(field.hi - field.lo, 0);
        // One more than are listed: if all of them are listed, so is every value.
        let mut all = 0..=most.min(accepts::MOST);
        let mut own = self.register.fields.iter();
        let Some(own) = own.find(|own| (own.hi, own.lo) == (field.hi, field.lo)) else {
            let free = free(self.register);
            let value = all.find(|value| value << field.lo & !free == 0 && unlisted(value));
            return value.map(|value| (value, true));
        };
        let written = match closed::names(own) {
            // Without rules of its own a write brings the names and nothing else.
            Some(names) if own.rules.is_empty() && writable(self.register) & own.mask() != 0 => {
                names.into_iter().find(unlisted)
            }
            _ => accepts::unlisted(self.old, self.id, own, values),
        };
        let mut restored = || match &own.restored {
            Some(values) => values.iter().copied().find(unlisted),
            None if self.says_accepts() && self.register.accepts & own.mask() == own.mask() => {
                all.find(unlisted)
            }
            None => None,
        };
        let written = written.map(|value| (value, true));
        written.or_else(|| restored().map(|value| (value, false)))
    }
}

/// Values at which rules about a whole value change their mind: single bits, all below one, the ends of sets, the numbers in conditions and
/// those beside them.
fn candidates(registers: [&Register; 2]) -> Vec<u64> {
    let mut ends: Vec<u64> = Vec::new();
    for rule in registers.iter().flat_map(|register| &register.rules) {
        match &rule.legal {
            Legal::Sets(sets) => ends.extend(sets.iter().flat_map(|set| match set {
                Set::Range(low, high) => [*low, *high],
                Set::AllOnesLess(clear) => [u64::MAX, !clear],
            })),
            Legal::Holds(condition) => condition.walk(&mut |part| {
                if let Expr::Number(number) = part {
                    ends.push(*number);
                }
            }),
        }
    }
    let beside = ends
        .into_iter()
        .flat_map(|end| [end, end.wrapping_sub(1), end.wrapping_add(1)]);
    let bits = (0..64).flat_map(|bit| [1u64 << bit, (1u64 << bit) - 1]);
    bits.chain(beside).chain([u64::MAX]).collect()
}

/// Bits that a write stores as they come, whatever the others are.
fn free(register: &Register) -> u64 {
    if !register.rules.is_empty() || writable(register) == 0 {
        return 0;
    }
    let stores = |rule: &BitRule| matches!(rule, BitRule::Store);
    let reserved = match stores(&register.reserved) {
        true => register.reserved_mask,
        false => 0,
    };
    let fields = register.fields.iter().filter(|field| {
        stores(&field.write) && field.rules.is_empty() && closed::names(field).is_none()
    });
    fields.fold(reserved, |all, field| all | field.mask())
}

impl What {
    /// For a reader, of a register of the older version.
    fn of(&self, register: &Register) -> String {
        let name = &register.name;
        match self {
            Self::Bits(bits) => format!("bits {} of `{name}`", named_bits(register, *bits)),
            Self::Value(field, value) => format!("{value:#x} in `{field}` of `{name}`"),
            Self::Word(value) => format!("{value:#x} in `{name}`"),
            Self::Banks(had, kept) => {
                format!("{had} banks of `{name}`, of which {kept} have state there")
            }
        }
    }

    fn mend(&self, version: u16) -> String {
        match self {
            Self::Bits(_) => {
                format!("add them to what `restore accepts` in version {version}")
            }
            Self::Value(field, _) => {
                format!("add it to what `restore accepts` of `{field}` lists in version {version}")
            }
            Self::Word(_) => format!("let version {version} take it"),
            Self::Banks(..) => format!("let version {version} keep them (`stored`)"),
        }
    }
}
