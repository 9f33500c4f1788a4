//! The decision against brute force: two small interfaces run side by side in the interpreter, with every capability word,
//! every written value that can make a difference and every pair of states that this leads to. What differs, and after how
//! few accesses, must be what the comparison says.

#[path = "common/numbers.rs"]
mod numbers;

use msr_dsl::compare::accesses::{Setting, accesses};
use msr_dsl::compare::compare;
use msr_dsl::compare::groups::groups;
use msr_dsl::compare::items::record;
use msr_dsl::compare::product::Product;
use msr_dsl::compare::rules::Effect;
use msr_dsl::compare::side::Side;
use msr_dsl::compare::truth::Truth;
use msr_dsl::compare::undecided::Undecided;
use msr_dsl::interpret::{Answer, Machine};
use msr_dsl::model::View;
use msr_dsl::source::compile_text;
use msr_runtime::Reset;
use numbers::Numbers;
use std::collections::{BTreeMap, BTreeSet, HashSet};

const MSRS: [u32; 4] = [0x20, 0x21, 0x22, 0x23];

/// Where the register is that the hypervisor holds.
const HELD: u32 = 0x23;
const HOLDS: [u64; 3] = [0, 2, u64::MAX];

const CHOICES: usize = 15;

/// A small interface: two capability bits, a lock, a register with fields, an alias. Each choice changes one line.
fn spec(choices: &[usize; CHOICES]) -> String {
    let pick = |at: usize, of: &[&str]| of[choices[at] % of.len()].to_owned();
    let rule = |at: usize| {
        let of = [
            "store",
            "ignore",
            "fault_if_set",
            "fault_on_change",
            "one_clears",
            "one_sets",
            "zero_clears",
            "sticky",
            "locked L.LOCK",
        ];
        pick(at, &of)
    };
    let when = pick(
        0,
        &[
            "",
            "when CAP.A else fault;",
            "when CAP.A else zero;",
            "when L.LOCK else fault;",
            "when CAP.A && CAP.B else unlisted;",
            "when !L.LOCK else zero;",
        ],
    );
    let legal = pick(
        1,
        &[
            "",
            "legal zero, all_ones else fault;",
            "legal 0..=0x15 else ignore;",
            "legal all_ones less [0] [3] else fault;",
            "require value != 5 else fault;",
            "require !state & value == value else ignore;",
            "require !L.LOCK else fault;",
        ],
    );
    let read = pick(
        2,
        &[
            "",
            "read state;",
            "read !state;",
            "read state if CAP.B else zero;",
            "read state | 8;",
        ],
    );
    let reserved = pick(3, &["fault_if_set", "ignore", "fault_on_change"]);
    let reset = pick(4, &["0", "3", "1"]);
    let init = pick(5, &["keep", "reset", "0"]);
    let (x, y, z) = (rule(6), rule(7), rule(8));
    let x_legal = pick(
        9,
        &[
            "",
            "legal 0..=2 else fault;",
            "legal 1, 3 else keep;",
            "legal 0, 2 else ignore;",
        ],
    );
    let y_when = pick(10, &["", "when CAP.B;", "when L.LOCK;"]);
    let z_read = pick(11, &["", "read CAP.A;", "read L.LOCK;", "read H.B;"]);
    let lock = pick(12, &["store", "sticky", "one_sets"]);
    let alias = pick(
        13,
        &[
            "",
            "register ALIAS @ 0x22 { cite \"t\"; read R; write ignore; }",
            "register ALIAS @ 0x22 { cite \"t\"; read R; write fault; }",
        ],
    );
    let held = pick(
        14,
        &[
            "",
            "register H @ 0x23 { cite \"t\"; held; write fault; migrate saved 4; [0] B: bool; }",
            "register H @ 0x23 { cite \"t\"; held; write fault; init reset; migrate saved 4; [0] B: bool; }",
            "register H @ 0x23 { cite \"t\"; held; write fault; legal 0, 2 else fault; migrate saved 4; [0] B: bool; }",
        ],
    );
    format!(
        "interface! {{ interface t {{ vendor any; version 1 \"t\"; capability CAP; }}
         register CAP @ 0x10 {{ cite \"t\"; write ignore; migrate saved 1; restore accepts A | B; [0] A: bool; [1] B: bool; }}
         register L @ 0x21 {{ cite \"t\"; write {lock}; reserved ignore; migrate saved 2; [0] LOCK: bool; }}
         register R @ 0x20 {{ cite \"t\"; {when} reset {reset}; init {init}; {legal} {read} write store; reserved {reserved};
           migrate saved 3; [1:0] X: u2 {{ write {x}; {x_legal} }} [2] Y: bool {{ write {y}; {y_when} }}
           [3] Z: bool {{ write {z}; {z_read} }} }}
         {alias} {held} }}"
    )
}

/// What differs at an MSR, and after how many steps at the earliest.
#[derive(Debug, Default, PartialEq, Eq)]
struct Differences {
    read_kind: Option<usize>,
    write_kind: Option<usize>,
    /// Bit 5 stands for all above.
    bits: BTreeMap<u32, usize>,
}

fn note(place: &mut Option<usize>, steps: usize) {
    *place = Some(place.map_or(steps, |known| known.min(steps)));
}

/// Low bits in every combination, under high bits that are clear, partly set and set.
fn values() -> impl Iterator<Item = u64> {
    (0..32).flat_map(|low| [low, low | 0x100, low | !0x1f])
}

/// What differs; and the MSRs in which some step changes, on the old side alone, a bit that was alike before it: a guest of the old side that
/// relies on what it did there misses it.
fn by_force(views: [&View; 2]) -> (BTreeMap<u32, Differences>, BTreeSet<u32>) {
    let mut missed = BTreeSet::new();
    let mut found: BTreeMap<u32, Differences> = MSRS
        .into_iter()
        .map(|msr| (msr, Differences::default()))
        .collect();
    for capability in 0..4 {
        let start = views.map(|view| {
            let mut guest = Machine::new(view);
            guest.set_capability(capability);
            guest
        });
        let mut seen = HashSet::from([start.each_ref().map(|one| one.cells().clone())]);
        let mut layer = vec![start];
        let mut steps = 0;
        while !layer.is_empty() {
            let mut next = Vec::new();
            let mut add = |pair| {
                let pair: [Machine; 2] = pair;
                let key = pair.each_ref().map(|one| one.cells().clone());
                if seen.insert(key) {
                    next.push(pair);
                }
            };
            for pair in &layer {
                for msr in MSRS {
                    reads(
                        found.entry(msr).or_default(),
                        [pair[0].read(msr), pair[1].read(msr)],
                        steps,
                    );
                    for value in values() {
                        let mut after = pair.clone();
                        let answers = [after[0].write(msr, value), after[1].write(msr, value)];
                        if answers[0] != answers[1] {
                            note(&mut found.entry(msr).or_default().write_kind, steps);
                        } else if answers[0] == Answer::Ok {
                            missed.extend(misses(pair, &after));
                            add(after);
                        }
                    }
                }
                let mut after = pair.clone();
                after.iter_mut().for_each(|one| one.reset(Reset::Init));
                missed.extend(misses(pair, &after));
                add(after);
                for value in HOLDS.into_iter().filter(|value| can_be_held(views, *value)) {
                    let mut after = pair.clone();
                    for one in &mut after {
                        one.hold_at(HELD, value);
                    }
                    add(after);
                }
            }
            layer = next;
            steps += 1;
        }
    }
    (found, missed)
}

fn misses(before: &[Machine; 2], after: &[Machine; 2]) -> Vec<u32> {
    let shown = |pair: &[Machine; 2], msr: u32| match [pair[0].read(msr), pair[1].read(msr)] {
        [Answer::Value(old), Answer::Value(new)] => Some((old, old ^ new)),
        _ => None,
    };
    let is_missed = |msr: &u32| match (shown(before, *msr), shown(after, *msr)) {
        (Some((was, unlike)), Some((is, more))) => (was ^ is) & more & !unlike != 0,
        _ => false,
    };
    MSRS.into_iter().filter(is_missed).collect()
}

/// A restore takes it on each side that holds the register, so the hypervisor may put it there.
fn can_be_held(views: [&View; 2], value: u64) -> bool {
    let mut holds = views
        .into_iter()
        .filter(|view| Machine::new(view).held_at(HELD).is_some())
        .peekable();
    holds.peek().is_some() && holds.all(|view| restored(view, &[(4, value)]).is_some())
}

/// A guest from a record with these items, if it is taken.
fn restored<'v>(view: &'v View, items: &[(u16, u64)]) -> Option<Machine<'v>> {
    let items: Vec<(u16, Vec<u64>)> = items
        .iter()
        .map(|(tag, word)| (*tag, vec![*word]))
        .collect();
    let mut guest = Machine::new(view);
    guest.restore(&record(view, &items)).ok()?;
    Some(guest)
}

fn reads(found: &mut Differences, answers: [Answer; 2], steps: usize) {
    match answers {
        [Answer::Value(old), Answer::Value(new)] => {
            for bit in 0..6 {
                let part = |value: u64| {
                    if bit == 5 {
                        value >> 5
                    } else {
                        value >> bit & 1
                    }
                };
                if part(old) != part(new) {
                    let known = found.bits.entry(bit).or_insert(steps);
                    *known = (*known).min(steps);
                }
            }
        }
        [old, new] if old != new => note(&mut found.read_kind, steps),
        _ => {}
    }
}

/// The same from the comparison's product of both sides.
fn decided(views: [&View; 2]) -> BTreeMap<u32, Differences> {
    let setting = Setting::new(views);
    let mut found: BTreeMap<u32, Differences> = MSRS
        .into_iter()
        .map(|msr| (msr, Differences::default()))
        .collect();
    for group in groups(views, &|_| Vec::new()) {
        let mut product = Product::new(&setting, &group);
        product
            .explore(&group)
            .unwrap_or_else(|_| panic!("too large"));
        for msr in group.asked.iter().filter(|msr| MSRS.contains(msr)) {
            let one = found.entry(*msr).or_default();
            let (read, write) = (product.read(*msr), product.write(*msr));
            let pairs = [
                (&read[0].answers, &read[1].answers, &mut one.read_kind),
                (&write[0].answers, &write[1].answers, &mut one.write_kind),
            ];
            let mut both = Truth::NO;
            for (old, new, place) in pairs {
                for (old_kind, old_when) in old.iter() {
                    for (new_kind, new_when) in new.iter() {
                        let when = product.table.and(*old_when, *new_when);
                        if old_kind != new_kind {
                            product
                                .met(when)
                                .into_iter()
                                .for_each(|layer| note(place, layer));
                        } else if std::ptr::eq(old, &read[0].answers)
                            && *old_kind == msr_dsl::compare::symbols::Kind::Done
                        {
                            both = when;
                        }
                    }
                }
            }
            for bit in 0..64u32 {
                let differ = product
                    .table
                    .differ(read[0].value[bit as usize], read[1].value[bit as usize]);
                let differ = product.table.and(differ, both);
                if let Some(layer) = product.met(differ) {
                    let known = one.bits.entry(bit.min(5)).or_insert(layer);
                    *known = (*known).min(layer);
                }
            }
        }
    }
    found
}

/// MSRs at which a guest that lived on the old side and was saved there finds, once restored on the new side, another value or
/// a fault, where a restore on the old side would not have shown it.
fn lost_by_moves(views: [&View; 2]) -> BTreeSet<u32> {
    let mut lost = BTreeSet::new();
    for capability in 0..4 {
        let mut start = Machine::new(views[0]);
        start.set_capability(capability);
        let mut seen = HashSet::from([start.cells().clone()]);
        let mut waiting = vec![start];
        while let Some(guest) = waiting.pop() {
            let mut here = Machine::new(views[0]);
            let mut there = Machine::new(views[1]);
            let record = guest.save();
            here.restore(&record).expect("its own record");
            if there.restore(&record).is_ok() {
                lost.extend(MSRS.into_iter().filter(|msr| loses(&here, &there, *msr)));
            }
            let mut init = guest.clone();
            init.reset(Reset::Init);
            let mut next = vec![here, init];
            for value in HOLDS
                .into_iter()
                .filter(|value| can_be_held([views[0]; 2], *value))
            {
                let mut after = guest.clone();
                after.hold_at(HELD, value);
                next.push(after);
            }
            for (msr, value) in MSRS
                .into_iter()
                .flat_map(|msr| values().map(move |v| (msr, v)))
            {
                let mut after = guest.clone();
                after.write(msr, value);
                next.push(after);
            }
            next.retain(|one| seen.insert(one.cells().clone()));
            waiting.extend(next);
        }
    }
    lost
}

/// The same for guests that any record brings which both sides take, whoever wrote it.
fn lost_by_records(views: [&View; 2]) -> BTreeSet<u32> {
    let mut lost = BTreeSet::new();
    let has_held = Machine::new(views[0]).held_at(HELD).is_some();
    for (capability, lock, state) in (0..4)
        .flat_map(|cap| (0..2).flat_map(move |lock| (0..16).map(move |state| (cap, lock, state))))
    {
        for held in if has_held { 0..2 } else { 0..1 } {
            let items = [(1, capability), (2, lock), (3, state), (4, held)];
            let guests = views.map(|view| restored(view, &items));
            if let [Some(here), Some(there)] = guests {
                lost.extend(MSRS.into_iter().filter(|msr| loses(&here, &there, *msr)));
            }
        }
    }
    lost
}

fn loses(here: &Machine, there: &Machine, msr: u32) -> bool {
    let gains = |answer: &Answer| matches!(answer, Answer::Fault | Answer::Unlisted);
    let read = here.read(msr);
    let writes = values().any(|value| {
        let own = here.clone().write(msr, value);
        !gains(&own) && own != there.clone().write(msr, value)
    });
    writes || !gains(&read) && read != there.read(msr)
}

#[test]
fn what_is_decided_is_what_brute_force_finds() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let (mut compared, mut differing, mut lost, mut only_recorded) = (0, 0, 0, 0);
    let mut all_missed = 0;
    while compared < 60 {
        let old: [usize; CHOICES] = std::array::from_fn(|_| numbers.below(64));
        let mut new = old;
        for _ in 0..numbers.below(4) {
            new[numbers.below(CHOICES)] = numbers.below(64);
        }
        let [Some(old_model), Some(new_model)] =
            [old, new].map(|choices| compile_text(&spec(&choices)).model)
        else {
            continue;
        };
        let views = [old_model.newest(), new_model.newest()];
        let (expected, missed) = by_force(views);
        assert_eq!(decided(views), expected, "{}\n{}", spec(&old), spec(&new));
        // Every MSR that differs has a finding, and no other one has.
        let mut undecided = Undecided::default();
        let findings = accesses(&Setting::new(views), &mut undecided);
        assert_eq!(undecided.questions(), []);
        for (msr, differences) in &expected {
            let said = findings
                .iter()
                .any(|finding| finding.about.msrs.contains(msr));
            assert_eq!(
                said,
                *differences != Differences::default(),
                "{msr:#x}: {}\n{}",
                spec(&old),
                spec(&new)
            );
        }
        for msr in &missed {
            let told = findings.iter().any(|finding| {
                finding.about.msrs.contains(msr) && finding.effects()[0] != Effect::Safe
            });
            assert!(told, "{msr:#x} is missed: {}\n{}", spec(&old), spec(&new));
        }
        all_missed += missed.len();
        let texts = [old, new].map(|choices| spec(&choices));
        let side = |at: usize| Side::of_spec("t", "t", &texts[at], views[at]);
        let comparison = compare(&side(0), &side(1))
            .decided()
            .unwrap_or_else(|question| panic!("{question}"));
        let by_moves = lost_by_moves(views);
        let by_records = lost_by_records(views);
        only_recorded += by_records.difference(&by_moves).count();
        for msr in by_moves.union(&by_records) {
            let told = comparison.findings.iter().any(|finding| {
                // One that was absent, and read zero, may be there.
                let meant = finding.rule.id == "register-present";
                let tells = meant || finding.effects()[0] != Effect::Safe;
                finding.about.msrs.contains(msr) && tells
            });
            assert!(told, "{msr:#x} after a move: {}\n{}", texts[0], texts[1]);
            lost += 1;
        }
        compared += 1;
        differing += usize::from(expected.values().any(|one| *one != Differences::default()));
    }
    assert!(
        (20..60).contains(&differing),
        "{differing} of {compared} pairs differ"
    );
    assert!(
        all_missed > 10,
        "{all_missed} MSRs in which something is missed"
    );
    assert!(lost > 5, "{lost} MSRs differ after a move");
    assert!(
        only_recorded > 0,
        "{only_recorded} MSRs differ only in what a record brings"
    );
}
