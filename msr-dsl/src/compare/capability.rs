//! The capability word: what guests can have, what new ones have, and how many banks that makes.

use super::accesses::Setting;
use super::condition::{Affected, Condition, Demand};
use super::content::Content;
use super::finding::{About, Aspect, Finding, Witness};
use super::phrases::{bits, count};
use super::rules::{self, Rule};
use super::steps::{Start, Step};
use super::symbols::Side;
use super::truth::{Table, Truth};
use super::values;
use super::word::{self, Word};
use crate::interpret::at_reset;
use crate::model::{Register, View};

/// All findings about it.
pub fn capability(setting: &Setting) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let [Some(old), Some(new)] = setting.views.map(register) {
        findings.extend(known(setting, [old, new]));
        findings.extend(given(setting, [old, new]));
    }
    findings.extend(new_guests(setting));
    findings.extend(setting.count_source.clone());
    findings
}

fn register(view: &View) -> Option<&Register> {
    view.capability.map(|id| view.register(id))
}

/// The word's MSR, if it has one.
fn msr(register: &Register) -> Option<u32> {
    register.addresses.first().map(|address| address.first)
}

fn about(registers: [&Register; 2], mask: u64) -> About {
    About {
        msrs: msr(registers[1]).into_iter().collect(),
        bits: mask,
        registers: registers.map(|register| Some(register.name.clone())),
        aspect: Aspect::Accepts,
        ..About::default()
    }
}

/// `LMCE_P (bit 27)`, or the bits alone.
fn named(registers: [&Register; 2], mask: u64) -> String {
    let mut fields = registers
        .into_iter()
        .rev()
        .flat_map(|register| &register.fields);
    match fields.find(|field| field.mask() == mask) {
        Some(field) => format!("{} ({})", field.name, bits(mask)),
        None => bits(mask),
    }
}

/// Bits that a restore accepts on one side alone: each flag for itself, the others together.
fn known(setting: &Setting, registers: [&Register; 2]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (side, rule) in [
        (1, &rules::CAPABILITY_BIT_ADDED),
        (0, &rules::CAPABILITY_BIT_REMOVED),
    ] {
        let (own, other) = (registers[side], registers[1 - side]);
        let alone = own.accepts & !other.accepts;
        for mask in parts(own, alone) {
            let word = with_one_of(setting, side, mask);
            let start = [word, word].map(|word| Start {
                capability: Some(word),
                ..Start::default()
            });
            let steps = msr(own).map(Step::Read).into_iter().collect();
            let text = format!(
                "{}: {}",
                named(registers, mask),
                if side == 1 {
                    "unknown → known"
                } else {
                    "known → unknown"
                }
            );
            let mut finding = Finding::new(rule, about(registers, mask), text);
            finding.witness = Some(Witness::of(setting.views, start, steps));
            let cases = (0..64)
                .filter(|bit| mask >> bit & 1 == 1)
                .map(|bit| (1 << bit, 1 << bit));
            let affected = Affected {
                text: match mask.count_ones() {
                    1 => format!("{}: {} set", own.name, named(registers, mask)),
                    _ => format!("{}: any of {} set", own.name, named(registers, mask)),
                },
                cases: cases.collect(),
            };
            finding.conditions[side] = Some(Condition {
                affected: Some(affected),
                demand: Demand::Another,
            });
            findings.push(finding);
        }
    }
    findings
}

/// The word of a guest of one side that has one of these bits, as like a new guest's as there is.
fn with_one_of(setting: &Setting, side: usize, mask: u64) -> u64 {
    let base = setting.views.iter().fold(u64::MAX, |all, view| {
        register(view).map_or(0, |own| all & own.accepts)
    });
    let base = setting.guests.new & base;
    let mut table = Table::default();
    let mut one = Side::new(setting.views[side], setting.places[side].clone());
    let known = setting.guests.has[side];
    one.capability = std::array::from_fn(|bit| match known >> bit & 1 {
        1 => table.bit(bit as u32),
        _ => Truth::NO,
    });
    let may = one.may_promise(&mut table);
    // One bit is enough to tell, and a number is not made large by it.
    let bits = (0..64).filter(|bit| mask >> bit & 1 == 1);
    let set = bits.map(|bit| table.bit(bit)).collect::<Vec<_>>();
    let found = set.into_iter().find_map(|bit| {
        let own = table.and(may, bit);
        words(&table, own, base).next()
    });
    found.unwrap_or(base | mask & mask.wrapping_neg())
}

/// Flags one by one, what is left together.
fn parts(register: &Register, mask: u64) -> Vec<u64> {
    let flags = register
        .fields
        .iter()
        .filter(|field| field.hi == field.lo)
        .map(|field| field.mask());
    let mut parts: Vec<u64> = flags.filter(|flag| mask & flag != 0).collect();
    let rest = parts.iter().fold(mask, |rest, flag| rest & !flag);
    parts.extend((rest != 0).then_some(rest));
    parts
}

/// Bits that new guests have on one side alone.
fn given(setting: &Setting, registers: [&Register; 2]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (side, rule) in [(1, &rules::GIVEN_TO_ALL), (0, &rules::GIVEN_TO_NONE)] {
        let alone = registers[side].reset & !registers[1 - side].reset & !setting.count_bits;
        for mask in parts(registers[side], alone) {
            let own: u64 = mask;
            let text = format!(
                "{} of new guests: {}",
                named(registers, own),
                if side == 1 {
                    "clear → set"
                } else {
                    "set → clear"
                }
            );
            let about = About {
                aspect: Aspect::Reset,
                ..about(registers, own)
            };
            findings.push(with_read(setting, rule, about, text, registers));
        }
    }
    findings
}

fn with_read(
    setting: &Setting,
    rule: &'static Rule,
    about: About,
    text: String,
    registers: [&Register; 2],
) -> Finding {
    let mut finding = Finding::new(rule, about, text);
    let witness = msr(registers[0]).map(|msr| Witness::new(setting.views, vec![Step::Read(msr)]));
    finding.witness = witness.filter(Witness::tells);
    finding
}

/// How many banks a new guest has.
fn new_guests(setting: &Setting) -> Option<Finding> {
    let counts = setting.views.map(|view| {
        let banks = view.banks.as_ref()?;
        Some(at_reset(view, &banks.count).min(u64::from(banks.limit)))
    });
    let [Some(old), Some(new)] = counts else {
        return None;
    };
    let rule = match old.cmp(&new) {
        std::cmp::Ordering::Less => &rules::BANK_COUNT_RAISED,
        std::cmp::Ordering::Greater => &rules::BANK_COUNT_LOWERED,
        std::cmp::Ordering::Equal => return None,
    };
    let about = About {
        aspect: Aspect::Banks,
        ..About::default()
    };
    let text = format!(
        "new guests have {} → {new}",
        count(old as usize, "bank", "banks")
    );
    let mut finding = Finding::new(rule, about, text).saying(Content::of((old, new)));
    let steps = setting
        .views
        .iter()
        .filter_map(|view| msr(register(view)?))
        .map(Step::Read);
    let mut witnesses = steps.map(|step| Witness::new(setting.views, vec![step]));
    finding.witness = witnesses.find(Witness::tells).or_else(|| {
        in_bank(
            setting,
            old.min(new) as u32,
            [Start::default(), Start::default()],
        )
    });
    Some(finding)
}

/// A read in a bank that tells the sides apart.
fn in_bank(setting: &Setting, bank: u32, start: [Start; 2]) -> Option<Witness> {
    let registers = setting
        .views
        .iter()
        .flat_map(|view| &view.registers)
        .filter(|one| one.banked);
    let msrs = registers
        .flat_map(|register| &register.addresses)
        .filter_map(|address| {
            address
                .msrs()
                .find(|(_, index)| *index == bank)
                .map(|(msr, _)| msr)
        });
    // What is absent may answer alike until it is written.
    let accesses = msrs.flat_map(|msr| {
        let write = |value| Step::Write { msr, value };
        let kept = [1, u64::MAX].map(|value| vec![write(value), Step::Read(msr)]);
        let one = [Step::Read(msr), write(0)].map(|step| vec![step]);
        one.into_iter().chain(kept)
    });
    let mut witnesses = accesses.map(|steps| Witness::of(setting.views, start.clone(), steps));
    witnesses.find(Witness::tells)
}

/// One guest has another number of banks. None also if no access tells that at once: then the registers of those banks say more.
pub fn source(setting: &Setting) -> Option<Finding> {
    if setting.same_count {
        return None;
    }
    let mut table = Table::default();
    let mut exist = Truth::YES;
    let counts = [0, 1].map(|side| {
        let mut one = Side::new(setting.views[side], setting.places[side].clone());
        one.capability = setting.guests.word(&mut table, side);
        let own = one.may_promise(&mut table);
        exist = table.and(exist, own);
        one.bank_count(&mut table)
    });
    let limit = setting
        .views
        .iter()
        .filter_map(|view| Some(view.banks.as_ref()?.limit))
        .max()?;
    let differ: Vec<Truth> = (0..limit)
        .map(|bank| {
            let number = word::number(u64::from(bank));
            let there = [0, 1].map(|side| word::below(&mut table, &number, &counts[side]));
            let differ = table.differ(there[0], there[1]);
            table.and(exist, differ)
        })
        .collect();
    let guests = table.any(differ.iter().copied());
    for (bank, differ) in (0..limit).zip(differ) {
        // Not every such guest need notice: its accesses may be answered alike for another reason.
        let shown = words(&table, differ, setting.guests.new).find_map(|word| {
            let start = [0, 1].map(|side| {
                let own = word & setting.guests.varies & setting.guests.has[side];
                Start::with(setting.views[side], own)
            });
            in_bank(setting, bank, start)
        });
        let Some(witness) = shown else {
            continue;
        };
        let about = About {
            aspect: Aspect::Banks,
            ..About::default()
        };
        let text = format!(
            "bank {bank} of one and the same guest: {} → {}",
            witness.answers[0], witness.answers[1]
        );
        let content = count_content(&mut table, &counts);
        let mut finding = Finding::new(&rules::BANK_COUNT_SOURCE, about, text).saying(content);
        finding.witness = Some(witness);
        let affected = values::affected(setting, &mut table, guests);
        finding.guests = affected.as_ref().map(|affected| affected.text.clone());
        let demand = Demand::Not("touch banks that it has on one side alone".to_owned());
        let condition = Some(Condition { affected, demand });
        finding.conditions = [condition.clone(), condition];
        return Some(finding);
    }
    None
}

/// Capability words of which something holds, those most like `new` first; so many as are tried.
fn words(table: &Table, holds: Truth, new: u64) -> impl Iterator<Item = u64> {
    const MOST: usize = 16;
    let value = |bits: &mut dyn Iterator<Item = (u32, bool)>| {
        bits.fold(new, |word, (bit, set)| {
            word & !(1 << bit) | u64::from(set) << bit
        })
    };
    let picked = table.pick(holds, &|bit| new >> bit & 1 == 1);
    let first = picked.map(|picked| value(&mut picked.into_iter()));
    let cases = table.cases(holds, MOST).unwrap_or_default().into_iter();
    let others: Vec<u64> = cases.map(|case| value(&mut case.into_iter())).collect();
    first.into_iter().chain(others)
}

/// Where the counts differ, bit by bit.
fn count_content(table: &mut Table, counts: &[Word; 2]) -> Content {
    let [old, new] = counts;
    let mut met = Vec::new();
    for bit in 0..64 {
        let gone = table.less(old[bit], new[bit]);
        let come = table.less(new[bit], old[bit]);
        met.push((format!("bit {bit} gone"), gone));
        met.push((format!("bit {bit} come"), come));
    }
    Content::of_truths(table, &met, &|bit| format!("capability {bit}"))
}
