//! Where both sides show a value, bit by bit.

use super::causes::Known;
use super::{Msr, There, answers};
use crate::compare::condition::{Condition, Demand};
use crate::compare::finding::{Aspect, Finding, Witness};
use crate::compare::phrases::bits;
use crate::compare::product::Path;
use crate::compare::rules::{self, Rule};
use crate::compare::steps::Step;
use crate::compare::truth::Truth;
use crate::compare::word::Word;
use crate::interpret::Answer;

/// How a value is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// The guest reads it.
    Read,
    /// The hypervisor takes it.
    Held,
}

impl Look {
    pub(super) fn step(self, msr: u32) -> Step {
        match self {
            Self::Read => Step::Read(msr),
            Self::Held => Step::Held(msr),
        }
    }

    /// `bits 3:0 differ after wrmsr 0x11 0x5: 0x5 → 0x0`.
    pub(super) fn text(self, mask: u64, path: &Path, witness: &Witness) -> String {
        let of = match self {
            Self::Read => "",
            Self::Held => " of what is held",
        };
        let differ = match mask.count_ones() {
            1 => "differs",
            _ => "differ",
        };
        let (bits, after, answers) = (bits(mask), after(path), answers(witness));
        format!("{bits}{of} {differ}{after}: {answers}")
    }
}

/// Where a value differs: how it is looked at, who has the register, and what the bits can be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) look: Look,
    there: There,
    pub(super) sort: Sort,
}

/// What a bit can be over all states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    Zero,
    One,
    /// Something that accesses can change.
    Varies,
    /// The same for each guest as long as it lives.
    ByGuest,
}

pub(super) type Sort = [Range; 2];

impl Msr<'_, '_> {
    /// Where both sides show a value, bit by bit.
    pub(super) fn of_values(
        &mut self,
        look: Look,
        there: There,
        when: Truth,
        shown_on: &[Word; 2],
    ) -> Vec<Finding> {
        // The capability word is what is given: what of it differs has findings of its own.
        if (0..2).all(|side| self.is_capability(side)) {
            return Vec::new();
        }
        let known = self.known.read();
        let mut open: Vec<(usize, Truth, usize, Sort)> = Vec::new();
        for bit in 0..64 {
            let [old, new] = shown_on.each_ref().map(|word| word[bit]);
            if old == new || known >> bit & 1 == 1 {
                continue;
            }
            let differ = self.product.table.differ(old, new);
            let differ = self.product.table.and(differ, when);
            if let Some(layer) = self.product.met(differ) {
                let sort = self.sort(when, [old, new]);
                open.push((bit, differ, layer, sort));
            }
        }
        let mut findings = Vec::new();
        while let Some((first, differ, layer, sort)) = open.first().copied() {
            let mut taken = 1u64 << first;
            let together = self.product.table.and(self.product.layers[layer], differ);
            let others = open[1..].iter();
            let others = others
                .filter(|(_, _, own_layer, own_sort)| (*own_layer, *own_sort) == (layer, sort));
            let others: Vec<(usize, Truth)> =
                others.map(|(bit, differ, ..)| (*bit, *differ)).collect();
            let (together, joined) = self.product.table.join(together, &others);
            taken |= joined.iter().fold(0, |mask, bit| mask | 1 << bit);
            let Some(path) = self.product.path(together) else {
                break;
            };
            let seen = Seen { look, there, sort };
            let (rule, shown) = self.rule_of_value(seen, &path, first, taken);
            let own = open.iter().filter(|(bit, ..)| shown >> bit & 1 == 1);
            let own: Vec<(usize, Truth)> = own.map(|(bit, differ, ..)| (*bit, *differ)).collect();
            open.retain(|(bit, ..)| shown >> bit & 1 == 0);
            if let Some(rule) = rule {
                let witness = self.witness(&path, look.step(self.msr));
                let text = look.text(shown, &path, &witness);
                let demand = Demand::Not(format!("rely on {} of {{msrs}}", bits(shown)));
                let aspect = rule_aspect(rule);
                let met = self.differing(shown_on, &own);
                let mut finding =
                    self.finding(rule, shown, aspect, text, demand, &met, Some(witness));
                self.name_injection(&mut finding);
                findings.push(finding);
                findings.extend(self.other_causes(&Known {
                    seen,
                    words: shown_on,
                    when,
                    differ: &own,
                    bits: shown,
                    rule,
                }));
            }
        }
        findings
    }

    /// Where bits differ, with what they are on the old side.
    pub(super) fn differing(
        &mut self,
        words: &[Word; 2],
        bits: &[(usize, Truth)],
    ) -> Vec<(String, Truth)> {
        let mut met = Vec::new();
        for (bit, differ) in bits {
            for (old, word) in [(1, 0), (0, 1)] {
                let when = self.product.table.and(*differ, words[word][*bit]);
                met.push((format!("bit {bit} was {old}"), when));
            }
        }
        met
    }

    /// What is about the injection as a whole is not about the register in which it shows.
    pub(super) fn name_injection(&self, finding: &mut Finding) {
        let banks = self
            .setting
            .views
            .map(|view| Some(view.injection.as_ref()?.bank));
        let whole = [
            &rules::INJECTION_ADDED,
            &rules::INJECTION_REMOVED,
            &rules::INJECTION_BANK,
        ];
        if !whole.contains(&finding.rule) {
            return;
        }
        (finding.about.registers, finding.about.bits, finding.guests) = ([None, None], 0, None);
        let name =
            |bank: Option<u32>| bank.map_or("no error".to_owned(), |bank| format!("bank {bank}"));
        finding.text = format!(
            "a machine check shows in {} → {}",
            name(banks[0]),
            name(banks[1])
        );
        let demand = Demand::Not("get a machine check".to_owned());
        let condition = Some(Condition {
            affected: None,
            demand,
        });
        finding.conditions = [condition.clone(), condition];
    }

    /// What a bit can be on each side.
    fn sort(&mut self, when: Truth, values: [Truth; 2]) -> Sort {
        let reached = self.product.table.and(self.product.reached, when);
        values.map(|value| {
            let (set, clear) = (
                self.product.table.meet(reached, value),
                !self.product.table.implies(reached, value),
            );
            match (set, clear) {
                (false, _) => Range::Zero,
                (_, false) => Range::One,
                _ if self.product.table.asks(value, &|bit| bit >= 64) => Range::Varies,
                _ => Range::ByGuest,
            }
        })
    }

    /// The rule, and those of the bits that it is about.
    pub(super) fn rule_of_value(
        &mut self,
        Seen { look, there, sort }: Seen,
        path: &Path,
        first: usize,
        taken: u64,
    ) -> (Option<&'static Rule>, u64) {
        use Range::Varies;
        let listed = [self.listed(0), self.listed(1)];
        match there {
            _ if listed[0] != listed[1] => return (None, taken),
            There::Old => return (Some(&rules::REGISTER_ABSENT), taken),
            There::New => return (Some(&rules::REGISTER_PRESENT), taken),
            _ => {}
        }
        let last = path.steps.last();
        let brought = |step: &&Step| matches!(step, Step::Restore(_) | Step::Hold { .. });
        let Some(last) = last.filter(|step| !brought(step)) else {
            let rule = rule_of_sort(sort).unwrap_or(match sort {
                [Varies, Varies] if path.steps.is_empty() => &rules::RESET_CHANGED,
                _ => &rules::READ_CHANGED,
            });
            return (Some(rule), taken);
        };
        if matches!(last, Step::Init | Step::InitElsewhere) {
            return (Some(&rules::INIT_CHANGED), taken);
        }
        let (takes, begins) = (self.takes(look, path), self.begins(look, path));
        let injected = matches!(last, Step::Inject(_));
        let rule = |bit: usize| match takes.map(|bits| bits >> bit & 1 == 1) {
            _ if injected => self.rule_of_injection(path, bit),
            _ if begins >> bit & 1 == 1 => &rules::RESET_CHANGED,
            [true, false] => &rules::WRITE_IGNORED,
            [false, true] => &rules::WRITE_KEPT,
            _ => self.rule_of_write(last, sort),
        };
        let own = rule(first);
        let same = (0..64).filter(|bit| taken >> bit & 1 == 1 && rule(*bit) == own);
        (Some(own), same.fold(0, |mask, bit| mask | 1 << bit))
    }

    /// What is called so that a write makes a bit differ, other than by being taken on one side alone.
    pub(super) fn rule_of_write(&self, write: &Step, sort: Sort) -> &'static Rule {
        let is_own = matches!(write, Step::Write { msr, .. } if self.is_written_at(*msr));
        let constant = rule_of_sort(sort).filter(|_| !is_own);
        constant.unwrap_or(&rules::WRITE_EFFECT)
    }

    fn rule_of_injection(&self, path: &Path, bit: usize) -> &'static Rule {
        let injections = self.setting.views.map(|view| view.injection.as_ref());
        match injections {
            [None, _] => &rules::INJECTION_ADDED,
            [_, None] => &rules::INJECTION_REMOVED,
            [Some(old), Some(new)] if old.bank != new.bank && self.banked_or_alias() => {
                &rules::INJECTION_BANK
            }
            _ if self.value_after(Look::Read, path, 0) >> bit & 1 == 1 => {
                &rules::INJECTION_SETS_LESS
            }
            _ => &rules::INJECTION_SETS_MORE,
        }
    }

    /// The register is not the global one: what it shows is a bank's.
    fn banked_or_alias(&self) -> bool {
        (0..2).all(|side| {
            let id = self.setting.places[side].get(&self.msr).map(|(id, _)| *id);
            let injection = self.setting.views[side].injection.as_ref();
            id != injection.map(|injection| injection.global.0)
        })
    }

    /// The bits that the last step changes on each side alone, by writing what they are then to this very MSR. Where another one is written, or
    /// something else comes of it, a guest has not asked for it.
    fn takes(&self, look: Look, path: &Path) -> [u64; 2] {
        let Some(Step::Write { msr, value }) = path.steps.last() else {
            return [0; 2];
        };
        if !self.is_written_at(*msr) {
            return [0; 2];
        }
        let earlier = path.before_the_last();
        let shown = [0, 1].map(|side| {
            let was = self.shown_after(look, &earlier, side)?;
            Some((was, self.shown_after(look, path, side)?))
        });
        let [Some(old), Some(new)] = shown else {
            return [0; 2];
        };
        let [changed_old, changed_new] = [old, new].map(|(was, is)| was ^ is);
        [
            changed_old & !changed_new & !(old.1 ^ value),
            changed_new & !changed_old & !(new.1 ^ value),
        ]
    }

    /// A write there is one to the register that is looked at.
    pub(super) fn is_written_at(&self, msr: u32) -> bool {
        self.setting
            .places
            .iter()
            .all(|places| places.get(&msr) == places.get(&self.msr))
    }

    /// Bits that differ because the register begins otherwise, which other accesses show.
    fn begins(&self, look: Look, path: &Path) -> u64 {
        let others =
            |step: &Step| matches!(step, Step::Write { msr, .. } if !self.is_written_at(*msr));
        let reset = |side: usize| {
            let view = self.setting.views[side];
            let register = view.register(self.setting.places[side].get(&self.msr)?.0);
            let shown = self.shown_after(look, path, side)?;
            (register.stored && path.before.is_none()).then_some((register.reset, shown))
        };
        match [reset(0), reset(1)] {
            [Some((old, shown_old)), Some((new, shown_new))] if path.steps.iter().all(others) => {
                (old ^ new) & !(old ^ shown_old) & !(new ^ shown_new)
            }
            _ => 0,
        }
    }

    pub(super) fn value_after(&self, look: Look, path: &Path, side: usize) -> u64 {
        self.shown_after(look, path, side).unwrap_or(0)
    }

    /// What a look shows after a path, if it shows a value.
    fn shown_after(&self, look: Look, path: &Path, side: usize) -> Option<u64> {
        let mut guest = self.guest(path, side);
        for step in &path.steps {
            guest.execute(step);
        }
        let machine = &guest.machine;
        match (look, machine.read(self.msr)) {
            (Look::Held, _) => machine.held_at(self.msr),
            (Look::Read, Answer::Value(value)) => Some(value),
            _ => None,
        }
    }
}

/// What is called so that one side shows a constant, if one does.
fn rule_of_sort(sort: Sort) -> Option<&'static Rule> {
    use Range::{One, Zero};
    Some(match sort {
        [_, Zero] => &rules::READ_ZERO,
        [Zero, _] => &rules::READ_NOT_ZERO,
        [_, One] => &rules::READ_CONSTANT,
        [One, _] => &rules::READ_VARIES,
        _ => return None,
    })
}

pub(super) fn rule_aspect(rule: &Rule) -> Aspect {
    match rule.id {
        "reset-changed" => Aspect::Reset,
        "init-changed" => Aspect::Init,
        id if id.starts_with("write-") => Aspect::Write,
        id if id.starts_with("injection-") => Aspect::Injection,
        id if id.starts_with("register-") => Aspect::Presence,
        _ => Aspect::Read,
    }
}

fn after(path: &Path) -> String {
    let last = match path.steps.last() {
        Some(Step::Inject(_)) => "a machine check".to_owned(),
        Some(Step::Init) => "INIT".to_owned(),
        Some(Step::InitElsewhere) => "INIT of another vCPU".to_owned(),
        Some(Step::Restore(_)) => return " after the move".to_owned(),
        Some(Step::Hold { msr, value }) => format!("the hypervisor put {value:#x} into {msr:#x}"),
        Some(step) => step.to_string(),
        None => return String::new(),
    };
    match path.before {
        Some(_) => format!(" after the move and {last}"),
        None => format!(" after {last}"),
    }
}
