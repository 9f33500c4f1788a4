//! Conformance vectors: accesses at the values where a spec's rules turn, each with the reference interpreter's answer.

use crate::interpret::{Answer, Machine};
use crate::model::{
    BitRule, Expr, Field, FieldType, Legal, Read, Register, Rule, Set, View, Write, mask,
};
use std::collections::BTreeSet;

/// Values at which the register's rules turn: zero, all ones, each field alone, the ends of each legal set and what lies beyond them,
/// each name of an enumeration and a value that has none, each reserved edge, and last zero again. Where a bit of the register
/// locks others, those that do not set it come first, and once more behind it.
pub fn values(register: &Register) -> Vec<u64> {
    let mut values = vec![0, u64::MAX, !1, !(1 << 10), 1, 1 << 63];
    values.extend(edges(&register.rules, u64::MAX));
    for field in &register.fields {
        values.extend([field.mask(), 1 << field.lo, !field.mask()]);
        let own = edges(&field.rules, mask(field.hi - field.lo, 0));
        values.extend(own.chain(names(field)).map(|value| value << field.lo));
    }
    let reserved = register.reserved_mask;
    values.extend([
        reserved,
        1u64.checked_shl(reserved.trailing_zeros()).unwrap_or(0),
    ]);
    let mut seen = BTreeSet::new();
    values.retain(|value| seen.insert(*value));
    let locks = locks(register);
    let (locking, free): (Vec<u64>, Vec<u64>) =
        values.into_iter().partition(|value| value & locks != 0);
    let again = if locking.is_empty() { &[] } else { &free[..] };
    [&free, &locking, again, &[0]].concat()
}

/// The ends of the legal sets, what lies beyond them, and the bits that may or may not be clear.
fn edges(rules: &[Rule], most: u64) -> impl Iterator<Item = u64> {
    let sets = rules.iter().flat_map(|rule| match &rule.legal {
        Legal::Sets(sets) => sets.as_slice(),
        Legal::Holds(_) => &[],
    });
    let edges = sets.flat_map(move |set| match set {
        Set::Range(low, high) => vec![low.wrapping_sub(1), *low, *high, high.wrapping_add(1)],
        Set::AllOnesLess(bits) => {
            let clear = (0..64).filter(|bit| most >> bit & 1 == 1);
            let all = clear.map(|bit| most & !(1 << bit));
            all.chain([most & !bits]).collect()
        }
    });
    edges.filter(move |value| *value <= most)
}

/// The named values of an enumeration, and the first without a name.
fn names(field: &Field) -> Vec<u64> {
    let FieldType::Enum { values, .. } = &field.ty else {
        return Vec::new();
    };
    let named: Vec<u64> = values.iter().map(|(_, value)| *value).collect();
    let other = (0..=mask(field.hi - field.lo, 0)).find(|value| !named.contains(value));
    named.into_iter().chain(other).collect()
}

/// The register's own bits that lock others.
fn locks(register: &Register) -> u64 {
    let mut locks = 0;
    let fields = register.fields.iter().map(|field| &field.write);
    for rule in fields.chain([&register.reserved]) {
        if let BitRule::Locked(by) = rule {
            by.walk(&mut |one| match one {
                Expr::Field(of, hi, lo) if **of == Expr::State => locks |= mask(*hi, *lo),
                _ => {}
            });
        }
    }
    locks
}

/// MSRs that the version does not list, beside those that it does.
pub fn neighbours(view: &View) -> BTreeSet<u32> {
    let addresses = view
        .registers
        .iter()
        .flat_map(|register| &register.addresses);
    let listed: BTreeSet<u32> = addresses
        .flat_map(|address| address.msrs())
        .map(|(msr, _)| msr)
        .collect();
    let beside = listed
        .iter()
        .flat_map(|msr| [msr.saturating_sub(1), msr.saturating_add(1)]);
    beside.filter(|msr| !listed.contains(msr)).collect()
}

/// What a guest does, and what it has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// RDMSR gives this.
    Reads(u64),
    /// RDMSR is #GP.
    ReadFaults,
    /// WRMSR of this is taken.
    Takes(u64),
    /// WRMSR of this is #GP.
    WriteFaults(u64),
    /// RDMSR is taken; hardware or the hypervisor says the value.
    Readable,
    /// RDMSR is taken, WRMSR of the same value too, and RDMSR gives it again: hardware's own.
    Keeps,
}

/// An access of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vector {
    /// The line of the spec that says so; 0 for what no line lists.
    pub line: usize,
    /// The MSR.
    pub msr: u32,
    /// The access and its answer.
    pub act: Act,
}

/// The vectors of `layers[of]` as a guest that has just been born executes them, one after the other. `layers` are the interfaces
/// that the hypervisor asks in turn; each is a new vCPU and what no layer lists faults. Left out is what would make the
/// hypervisor act.
pub fn program(layers: &mut [Machine], of: usize) -> Vec<Vector> {
    let mut out = Vec::new();
    let Some(view) = layers.get(of).map(|layer| layer.view()) else {
        return out;
    };
    for register in view.registers.iter().filter(|register| !register.hidden()) {
        let passes = matches!((&register.read, &register.write), (Read::Pass, Write::Pass));
        for (msr, _) in register.addresses.iter().flat_map(|address| address.msrs()) {
            let mut put = |act| {
                out.push(Vector {
                    line: register.line,
                    msr,
                    act,
                });
            };
            if passes && read(layers, msr) == Answer::Pass {
                put(Act::Keeps);
                continue;
            }
            put(read_act(layers, msr));
            for value in values(register) {
                if let Some(act) = write_act(layers, msr, value) {
                    put(act);
                    put(read_act(layers, msr));
                }
            }
        }
    }
    for msr in neighbours(view) {
        // What another layer lets through or acts on is that layer's business.
        if [Answer::Unlisted, Answer::Fault].contains(&read(layers, msr)) {
            let act = read_act(layers, msr);
            out.push(Vector { line: 0, msr, act });
            if let Some(act) = write_act(layers, msr, 0) {
                out.push(Vector { line: 0, msr, act });
            }
        }
    }
    out
}

fn read(layers: &[Machine], msr: u32) -> Answer {
    let answers = layers.iter().map(|layer| layer.read(msr));
    let mut listed = answers.filter(|answer| *answer != Answer::Unlisted);
    listed.next().unwrap_or(Answer::Unlisted)
}

fn read_act(layers: &[Machine], msr: u32) -> Act {
    match read(layers, msr) {
        Answer::Value(value) => Act::Reads(value),
        Answer::Hook(_) | Answer::Pass | Answer::Ok => Act::Readable,
        Answer::Fault | Answer::Unlisted => Act::ReadFaults,
    }
}

/// None: hardware or the hypervisor would act, so that the write is not to be made; nothing has changed then.
fn write_act(layers: &mut [Machine], msr: u32, value: u64) -> Option<Act> {
    for layer in layers {
        let before = layer.clone();
        match layer.write(msr, value) {
            Answer::Unlisted => {}
            Answer::Ok => return Some(Act::Takes(value)),
            Answer::Fault => return Some(Act::WriteFaults(value)),
            Answer::Hook(_) | Answer::Pass | Answer::Value(_) => {
                *layer = before;
                return None;
            }
        }
    }
    Some(Act::WriteFaults(value))
}
