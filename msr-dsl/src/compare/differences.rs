//! The differences of one MSR, over all pairs of states that are reached: where the answers differ in kind, and where a
//! value does, bit by bit.

use super::accesses::Setting;
use super::condition::{Affected, Condition, Demand};
use super::finding::{About, Aspect, Finding, Witness};
use super::phrases::bits;
use super::product::{Path, Product, Way};
use super::rules::{self, Effect, Rule};
use super::steps::{Start, Step, execute};
use super::symbols::Kind;
use super::truth::Truth;
use super::values;
use super::word::Word;
use crate::interpret::{Answer, Machine};
use crate::model::{Scope, Write};

mod causes;

use causes::Known;

/// Which access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// Which side has the register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum There {
    Both,
    Old,
    New,
    None,
}

/// Answers of two kinds, and when.
struct Raw {
    access: Access,
    there: There,
    kinds: [Kind; 2],
    when: Truth,
}

/// All findings of one MSR.
pub fn differences<'a>(setting: &Setting<'a>, product: &mut Product<'a>, msr: u32) -> Vec<Finding> {
    let mut own = Msr {
        setting,
        product,
        msr,
    };
    let mut findings = own.of_answers();
    findings.extend(own.of_scope());
    findings.extend(own.of_holder());
    findings
}

/// The findings of one MSR for guests that moved, of which something else does not tell already: not those that are safe.
pub fn after_a_move<'a>(
    setting: &Setting<'a>,
    product: &mut Product<'a>,
    msr: u32,
) -> Vec<Finding> {
    let mut own = Msr {
        setting,
        product,
        msr,
    };
    let mut findings = own.of_answers();
    findings.retain(|finding| finding.effects()[0] != Effect::Safe);
    findings
}

struct Msr<'p, 'a> {
    setting: &'p Setting<'a>,
    product: &'p mut Product<'a>,
    msr: u32,
}

impl Msr<'_, '_> {
    /// Where one access has answers of two kinds, or of one kind with other values.
    fn of_answers(&mut self) -> Vec<Finding> {
        let (raws, both_read) = self.kinds();
        let mut findings = self.of_kinds(raws);
        for (there, when) in both_read {
            let read = self.product.read(self.msr).map(|read| read.value);
            findings.extend(self.of_values(Look::Read, there, when, &read));
        }
        findings.extend(self.of_held());
        findings
    }

    /// The state of a held register that no read shows: it is what the hardware, or the hook, begins with.
    fn of_held(&mut self) -> Vec<Finding> {
        let Some(held) = self.product.held(self.msr) else {
            return Vec::new();
        };
        let reads = self.product.read(self.msr);
        let shown = reads.iter().any(|read| {
            let mut kinds = read.answers.iter();
            kinds.any(|(kind, _)| *kind == Kind::Done)
        });
        match shown {
            true => Vec::new(),
            false => self.of_values(Look::Held, There::Both, Truth::YES, &held),
        }
    }

    /// The hypervisor sets the state on one side alone.
    fn of_holder(&mut self) -> Option<Finding> {
        let register = |side: usize| {
            let (id, _) = self.setting.places[side].get(&self.msr)?;
            Some(self.setting.views[side].register(*id))
        };
        let (rule, words) = match [register(0)?.held, register(1)?.held] {
            [false, true] => (
                &rules::HELD_ADDED,
                "the hypervisor does not hold it → holds it",
            ),
            [true, false] => (
                &rules::HELD_REMOVED,
                "the hypervisor holds it → does not hold it",
            ),
            _ => return None,
        };
        let witness = Witness::new(self.setting.views, vec![Step::Held(self.msr)]);
        let not = "rely on what {msrs} holds".to_owned();
        let when = Truth::YES;
        let aspect = Aspect::Held;
        Some(self.finding(rule, 0, aspect, words.to_owned(), not, when, Some(witness)))
    }

    /// Where the kinds of answers differ; and where both reads give a value.
    fn kinds(&mut self) -> (Vec<Raw>, Vec<(There, Truth)>) {
        let (mut raws, mut values) = (Vec::new(), Vec::new());
        let (read, write) = (self.product.read(self.msr), self.product.write(self.msr));
        let accesses = [
            (
                Access::Read,
                [&read[0].answers, &read[1].answers],
                [read[0].missing, read[1].missing],
            ),
            (
                Access::Write,
                [&write[0].answers, &write[1].answers],
                [write[0].missing, write[1].missing],
            ),
        ];
        for (access, [old, new], missing) in accesses {
            let regions = self.regions(missing);
            for (old_kind, old_when) in old.iter() {
                for (new_kind, new_when) in new.iter() {
                    let when = self.product.table.and(*old_when, *new_when);
                    for (there, region) in regions {
                        let when = self.product.table.and(when, region);
                        let same = old_kind == new_kind;
                        if same
                            && access == Access::Read
                            && *old_kind == Kind::Done
                            && when != Truth::NO
                        {
                            values.push((there, when));
                        }
                        if !same && self.product.met(when).is_some() {
                            let kinds = [old_kind.clone(), new_kind.clone()];
                            raws.push(Raw {
                                access,
                                there,
                                kinds,
                                when,
                            });
                        }
                    }
                }
            }
        }
        (raws, values)
    }

    fn regions(&mut self, missing: [Truth; 2]) -> [(There, Truth); 4] {
        let table = &mut self.product.table;
        let there = missing.map(|missing| table.not(missing));
        [
            (There::Both, table.and(there[0], there[1])),
            (There::Old, table.and(there[0], missing[1])),
            (There::New, table.and(missing[0], there[1])),
            (There::None, table.and(missing[0], missing[1])),
        ]
    }

    fn listed(&self, side: usize) -> bool {
        self.setting.places[side].contains_key(&self.msr)
    }

    /// The hypervisor acts on writes, at least of some values.
    fn acts_on_writes(&self, side: usize) -> bool {
        let place = self.setting.places[side].get(&self.msr);
        place.is_some_and(|(id, _)| {
            let write = &self.setting.views[side].register(*id).write;
            matches!(write, Write::Bits(Some(_)) | Write::Hook(_))
        })
    }

    fn is_capability(&self, side: usize) -> bool {
        let place = self.setting.places[side].get(&self.msr);
        place.is_some_and(|(id, _)| self.setting.views[side].capability == Some(*id))
    }

    fn banked(&self) -> bool {
        (0..2).any(|side| {
            let place = self.setting.places[side].get(&self.msr);
            place.is_some_and(|(id, _)| self.setting.views[side].register(*id).banked)
        })
    }

    /// One finding for each rule: reads and writes together.
    fn of_kinds(&mut self, raws: Vec<Raw>) -> Vec<Finding> {
        let mut by_rule: Vec<(&'static Rule, Vec<Raw>)> = Vec::new();
        let only_faults = raws.iter().all(|raw| {
            raw.kinds
                .iter()
                .all(|kind| matches!(kind, Kind::Fault | Kind::Unlisted))
        });
        let only_faults = only_faults && !self.answers_later();
        for raw in raws {
            let Some(rule) = self.rule(&raw, only_faults) else {
                continue;
            };
            match by_rule.iter_mut().find(|(known, _)| *known == rule) {
                Some((_, own)) => own.push(raw),
                None => by_rule.push((rule, vec![raw])),
            }
        }
        by_rule
            .into_iter()
            .filter_map(|(rule, raws)| self.of_rule(rule, &raws))
            .collect()
    }

    /// One side alone lists the MSR, and a guest of that side comes to an answer, by what the other one answers otherwise.
    fn answers_later(&mut self) -> bool {
        let side = match [self.listed(0), self.listed(1)] {
            [true, false] => 0,
            [false, true] => 1,
            _ => return false,
        };
        let (read, write) = (self.product.read(self.msr), self.product.write(self.msr));
        let answers = read[side].answers.iter().chain(write[side].answers.iter());
        let given = answers.filter(|(kind, _)| !matches!(kind, Kind::Fault | Kind::Unlisted));
        let given: Vec<Truth> = given.map(|(_, when)| *when).collect();
        let given = self.product.table.any(given);
        self.product.met_alone(given, side)
    }

    fn rule(&self, raw: &Raw, only_faults: bool) -> Option<&'static Rule> {
        use Kind::{Done, Fault, Hook, Pass, Unlisted};
        let listed = [self.listed(0), self.listed(1)];
        match listed {
            [false, true] if only_faults => return Some(&rules::MSR_CLAIMED),
            [true, false] if only_faults => return Some(&rules::MSR_LEFT),
            [false, true] => return Some(&rules::REGISTER_ADDED),
            [true, false] => return Some(&rules::REGISTER_REMOVED),
            _ => {}
        }
        // The number of banks has a finding of its own.
        if raw.there != There::Both && self.banked() && !self.setting.same_count {
            return None;
        }
        // Where the hypervisor acts on some values on both sides, it is about the others.
        let values = raw.access == Access::Write && (0..2).all(|side| self.acts_on_writes(side));
        Some(match (&raw.kinds, raw.there) {
            ([Unlisted, Fault], _) => &rules::MSR_CLAIMED,
            ([Fault, Unlisted], _) => &rules::MSR_LEFT,
            (_, There::Old) => &rules::REGISTER_ABSENT,
            (_, There::New) => &rules::REGISTER_PRESENT,
            ([Fault | Unlisted, _], There::None) => &rules::ABSENCE_ZERO,
            (_, There::None) => &rules::ABSENCE_FAULTS,
            ([Hook(_), Fault], _) if values => &rules::WRITE_FAULTS,
            ([Fault, Hook(_)], _) if values => &rules::WRITE_ACCEPTED,
            ([Pass, _], _) => &rules::PASS_THROUGH_REMOVED,
            ([_, Pass], _) => &rules::PASS_THROUGH_ADDED,
            ([Hook(_), Hook(_)], _) => &rules::HOOK_CHANGED,
            ([Hook(_), _], _) => &rules::HOOK_REMOVED,
            ([_, Hook(_)], _) => &rules::HOOK_ADDED,
            ([Done, _], _) if raw.access == Access::Read => &rules::READ_FAULTS,
            (_, _) if raw.access == Access::Read => &rules::READ_ANSWERS,
            ([Done, _], _) => &rules::WRITE_FAULTS,
            _ => &rules::WRITE_ACCEPTED,
        })
    }

    fn of_rule(&mut self, rule: &'static Rule, raws: &[Raw]) -> Option<Finding> {
        // The plainest: one in which a side answers, met soonest, and a read before a write.
        let plain = |raw: &&Raw| !raw.kinds.contains(&Kind::Done);
        let layers: Vec<Option<usize>> =
            raws.iter().map(|raw| self.product.met(raw.when)).collect();
        let (shown, _) = raws
            .iter()
            .zip(&layers)
            .min_by_key(|(raw, layer)| (plain(raw), **layer, raw.access == Access::Write))?;
        let path = self.product.path(shown.when)?;
        let last = match shown.access {
            Access::Read => Step::Read(self.msr),
            Access::Write => Step::Write {
                msr: self.msr,
                value: path.value,
            },
        };
        let witness = self.witness(&path, last);
        // A guest for which both sides fault anyway is not one of those that it is about.
        let faults = |raw: &&Raw| {
            raw.kinds
                .iter()
                .all(|kind| matches!(kind, Kind::Fault | Kind::Unlisted))
        };
        let whole = raws.iter().all(|raw| faults(&raw));
        let all = raws
            .iter()
            .filter(|raw| whole || !faults(raw))
            .map(|raw| raw.when)
            .collect::<Vec<_>>();
        let when = self.product.table.any(all);
        let write = raws
            .iter()
            .find(|raw| raw.access == Access::Write && rule_is_about_values(rule));
        let values = write.map(|raw| values::describe(self.product, raw.when));
        let mask = values.as_ref().map_or(0, |values| values.bits);
        let accesses = accesses(raws);
        let text = match (&values, rule_is_about_values(rule)) {
            (Some(values), true) => format!("wrmsr of {}: {}", values.text, answers(&witness)),
            _ => format!("{accesses}: {}", answers(&witness)),
        };
        let listed = [&rules::REGISTER_ADDED, &rules::REGISTER_REMOVED].contains(&rule);
        let text = match listed && whole {
            true => format!("{text}; it answers after what the other side answers otherwise"),
            false => text,
        };
        let not = match &values {
            Some(values) => format!("write {} to {{msrs}}", values.text),
            None if rule == &rules::ABSENCE_FAULTS || rule == &rules::ABSENCE_ZERO => {
                format!("{accesses} {{msrs}} where it has no such register or bank")
            }
            None => format!("{accesses} {{msrs}}"),
        };
        let aspect = match (rule_is_about_values(rule), raws[0].there, raws[0].access) {
            (true, ..) => Aspect::Write,
            (_, There::Both, Access::Read) => Aspect::Read,
            (_, There::Both, Access::Write) => Aspect::Write,
            _ => Aspect::Presence,
        };
        Some(self.finding(rule, mask, aspect, text, not, when, Some(witness)))
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the parts of a finding, each of its own type"
    )]
    fn finding(
        &mut self,
        rule: &'static Rule,
        mask: u64,
        aspect: Aspect,
        text: String,
        not: String,
        when: Truth,
        witness: Option<Witness>,
    ) -> Finding {
        let registers = [0, 1].map(|side| {
            let (id, _) = self.setting.places[side].get(&self.msr)?;
            Some(self.setting.views[side].register(*id).name.clone())
        });
        let about = About {
            msrs: vec![self.msr],
            bits: mask,
            aspect,
            registers,
            ..About::default()
        };
        let affected = self.affected(when);
        let mut finding = Finding::new(rule, about, text);
        finding.guests = affected.as_ref().map(|affected| affected.text.clone());
        finding.witness = witness;
        let condition = Condition {
            affected,
            demand: Demand::Not(not),
        };
        finding.conditions = [Some(condition.clone()), Some(condition)];
        finding
    }

    /// Which guests meet it; none if all do. A banked register's own count says nothing about which guests.
    fn affected(&mut self, when: Truth) -> Option<Affected> {
        let mut guests = self.product.guests_of(when);
        if self.banked() {
            let count = self.setting.count_bits;
            guests = self
                .product
                .table
                .exists(guests, &|bit| count >> bit & 1 == 1);
        }
        values::affected(self.setting, &mut self.product.table, guests)
    }

    fn witness(&self, path: &Path, last: Step) -> Witness {
        let mut steps = path.steps.clone();
        steps.push(last);
        let start = [0, 1].map(|side| self.start(path, side));
        Witness {
            before: path.before.clone(),
            ..Witness::of(self.setting.views, start, steps)
        }
    }

    fn start(&self, path: &Path, side: usize) -> Start {
        // A guest that moved has what its record says.
        if path.before.is_some() {
            return Start::default();
        }
        Start::with(
            self.setting.views[side],
            self.product.on_side(path.capability, side),
        )
    }

    fn guest(&self, start: &[Start; 2], side: usize) -> Machine<'_> {
        let mut machine = Machine::new(self.setting.views[side]);
        if let Some(word) = start[side].capability {
            machine.set_capability(word);
        }
        machine
    }

    /// Where both sides show a value, bit by bit.
    fn of_values(
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
        let mut open: Vec<(usize, Truth, usize, Sort)> = Vec::new();
        for bit in 0..64 {
            let [old, new] = shown_on.each_ref().map(|word| word[bit]);
            if old == new {
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
            let mut together = self.product.table.and(self.product.layers[layer], differ);
            for (bit, differ, own_layer, own_sort) in &open[1..] {
                if (*own_layer, *own_sort) != (layer, sort) {
                    continue;
                }
                let more = self.product.table.and(together, *differ);
                if more != Truth::NO {
                    together = more;
                    taken |= 1 << bit;
                }
            }
            let Some(path) = self.product.path(together) else {
                break;
            };
            let seen = Seen { look, there, sort };
            let (rule, shown) = self.rule_of_value(seen, &path, first, taken);
            let any = open
                .iter()
                .filter(|(bit, ..)| shown >> bit & 1 == 1)
                .map(|(_, differ, ..)| *differ);
            let any = any.collect::<Vec<_>>();
            let any = self.product.table.any(any);
            open.retain(|(bit, ..)| shown >> bit & 1 == 0);
            if let Some(rule) = rule {
                let witness = self.witness(&path, look.step(self.msr));
                let text = format!(
                    "{} {} otherwise{}: {}",
                    bits(shown),
                    look.word(),
                    after(&path),
                    answers(&witness)
                );
                let not = format!("rely on {} of {{msrs}}", bits(shown));
                let aspect = rule_aspect(rule);
                let mut finding = self.finding(rule, shown, aspect, text, not, any, Some(witness));
                self.name_injection(&mut finding);
                findings.push(finding);
                findings.extend(self.other_causes(&Known {
                    seen,
                    words: shown_on,
                    when,
                    differ: any,
                    bits: shown,
                    rule,
                }));
            }
        }
        findings
    }

    /// One state for all vCPUs of a guest on one side, and for each its own on the other: a write by one is seen by another.
    fn of_scope(&mut self) -> Option<Finding> {
        let scope = |side: usize| {
            let (id, _) = self.setting.places[side].get(&self.msr)?;
            let register = self.setting.views[side].register(*id);
            register.stored.then_some(register.scope)
        };
        let (rule, shared) = match [scope(0)?, scope(1)?] {
            [Scope::Vcpu, Scope::Guest] => (&rules::SCOPE_GUEST, 1),
            [Scope::Guest, Scope::Vcpu] => (&rules::SCOPE_VCPU, 0),
            _ => return None,
        };
        // Another vCPU finds what was written where it is shared, and what is there after power-on where it is not.
        let reads = self.product.read(self.msr);
        let (mut written, mut told) = (Vec::new(), Vec::new());
        for bit in 0..64 {
            let here = reads[shared].value[bit];
            let [own, other] =
                [here, reads[1 - shared].value[bit]].map(|one| self.product.born(one));
            written.push(self.product.table.differ(here, own));
            told.push(self.product.table.differ(here, other));
        }
        let (written, told) = (
            self.product.table.any(written),
            self.product.table.any(told),
        );
        let both = self.product.table.and(written, told);
        let done = [0, 1].map(|side| reads[side].answers.when(&Kind::Done));
        let done = self.product.table.and(done[0], done[1]);
        let when = self.product.table.and(both, done);
        let path = self.product.path(when)?;
        let mut steps = path.steps.clone();
        steps.extend([Step::Vcpu(1), Step::Read(self.msr)]);
        let start = [0, 1].map(|side| self.start(&path, side));
        let witness = Witness::of(self.setting.views, start, steps);
        let words = match shared {
            1 => "one state for each vCPU → one for the whole guest",
            _ => "one state for the whole guest → one for each vCPU",
        };
        let text = format!("{words}; another vCPU reads {}", answers(&witness));
        let not = match shared {
            1 => "have another value of {msrs} on each vCPU",
            _ => "rely on {msrs} being alike on every vCPU",
        };
        let finding = self.finding(
            rule,
            0,
            Aspect::Scope,
            text,
            not.to_owned(),
            when,
            Some(witness),
        );
        Some(finding)
    }

    /// What is about the injection as a whole is not about the register in which it shows.
    fn name_injection(&self, finding: &mut Finding) {
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
    fn rule_of_value(
        &mut self,
        Seen { look, there, sort }: Seen,
        path: &Path,
        first: usize,
        taken: u64,
    ) -> (Option<&'static Rule>, u64) {
        use Range::{One, Varies, Zero};
        let listed = [self.listed(0), self.listed(1)];
        let count = self.banked() && !self.setting.same_count;
        match there {
            _ if listed[0] != listed[1] => return (None, taken),
            There::Old | There::New if count => return (None, taken),
            There::Old => return (Some(&rules::REGISTER_ABSENT), taken),
            There::New => return (Some(&rules::REGISTER_PRESENT), taken),
            _ => {}
        }
        let last = path.steps.last();
        let brought = |step: &&Step| matches!(step, Step::Restore(_) | Step::Hold { .. });
        let Some(last) = last.filter(|step| !brought(step)) else {
            let rule = match sort {
                [_, Zero] => &rules::READ_ZERO,
                [Zero, _] => &rules::READ_NOT_ZERO,
                [_, One] => &rules::READ_CONSTANT,
                [One, _] => &rules::READ_VARIES,
                [Varies, Varies] if path.steps.is_empty() => &rules::RESET_CHANGED,
                _ => &rules::READ_CHANGED,
            };
            return (Some(rule), taken);
        };
        if matches!(last, Step::Init | Step::InitElsewhere) {
            return (Some(&rules::INIT_CHANGED), taken);
        }
        let changes = self.changes(look, path);
        let injected = matches!(last, Step::Inject(_));
        let rule = |bit: usize| match (changes.map(|change| change >> bit & 1 == 1), injected) {
            (_, true) => self.rule_of_injection(path, bit),
            ([true, false], false) => &rules::WRITE_IGNORED,
            ([false, true], false) => &rules::WRITE_KEPT,
            _ => &rules::WRITE_EFFECT,
        };
        let own = rule(first);
        let same = (0..64).filter(|bit| taken >> bit & 1 == 1 && rule(*bit) == own);
        (Some(own), same.fold(0, |mask, bit| mask | 1 << bit))
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

    /// The bits of the register that the last step changes, on each side.
    fn changes(&self, look: Look, path: &Path) -> [u64; 2] {
        let change = |side| {
            let start = [0, 1].map(|side| self.start(path, side));
            let mut machine = self.guest(&start, side);
            let mut before = 0;
            for step in &path.steps {
                before = self.value(look, &machine);
                execute(&mut machine, step);
            }
            before ^ self.value(look, &machine)
        };
        [0, 1].map(change)
    }

    fn value_after(&self, look: Look, path: &Path, side: usize) -> u64 {
        let start = [0, 1].map(|side| self.start(path, side));
        let mut machine = self.guest(&start, side);
        for step in &path.steps {
            execute(&mut machine, step);
        }
        self.value(look, &machine)
    }

    fn value(&self, look: Look, machine: &Machine) -> u64 {
        match (look, machine.read(self.msr)) {
            (Look::Held, _) => machine.held_at(self.msr).unwrap_or(0),
            (Look::Read, Answer::Value(value)) => value,
            _ => 0,
        }
    }
}

/// How a value is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// The guest reads it.
    Read,
    /// The hypervisor takes it.
    Held,
}

impl Look {
    fn step(self, msr: u32) -> Step {
        match self {
            Self::Read => Step::Read(msr),
            Self::Held => Step::Held(msr),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Held => "held",
        }
    }
}

/// Where a value differs: how it is looked at, who has the register, and what the bits can be.
#[derive(Clone, Copy, Debug)]
struct Seen {
    look: Look,
    there: There,
    sort: Sort,
}

/// What a bit can be over all states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Range {
    Zero,
    One,
    /// Something that accesses can change.
    Varies,
    /// The same for each guest as long as it lives.
    ByGuest,
}

type Sort = [Range; 2];

fn rule_is_about_values(rule: &Rule) -> bool {
    [&rules::WRITE_FAULTS, &rules::WRITE_ACCEPTED].contains(&rule)
}

fn rule_aspect(rule: &Rule) -> Aspect {
    match rule.id {
        "reset-changed" => Aspect::Reset,
        "init-changed" => Aspect::Init,
        id if id.starts_with("write-") => Aspect::Write,
        id if id.starts_with("injection-") => Aspect::Injection,
        id if id.starts_with("register-") => Aspect::Presence,
        _ => Aspect::Read,
    }
}

fn accesses(raws: &[Raw]) -> &'static str {
    let has = |access| raws.iter().any(|raw| raw.access == access);
    match (has(Access::Read), has(Access::Write)) {
        (true, true) => "read or write",
        (true, false) => "read",
        _ => "write",
    }
}

fn answers(witness: &Witness) -> String {
    format!("{} → {}", witness.answers[0], witness.answers[1])
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
