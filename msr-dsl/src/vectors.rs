//! Conformance vectors: accesses at the values where a spec's rules turn, each with the reference interpreter's answer.

use crate::interpret::{Answer, Machine};
use crate::model::{Read, Register, View, Write};
use std::collections::BTreeSet;

/// Values at which the register's rules turn: zero, all ones, each field alone, each reserved edge, and last zero again.
pub fn values(register: &Register) -> Vec<u64> {
    let mut values = vec![0, u64::MAX, !1, !(1 << 10), 1, 1 << 63];
    for field in &register.fields {
        values.extend([field.mask(), 1 << field.lo, !field.mask()]);
    }
    let reserved = register.reserved_mask;
    values.extend([
        reserved,
        1u64.checked_shl(reserved.trailing_zeros()).unwrap_or(0),
    ]);
    let mut seen = BTreeSet::new();
    values.retain(|value| seen.insert(*value));
    values.push(0);
    values
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
