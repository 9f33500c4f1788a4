//! What holds for one bank holds for those that are like it: of MSRs that differ in nothing but the bank, one is asked for.

use super::accesses::Setting;
use super::alike::Alike;
use super::finding::Finding;
use super::groups::{Group, expressions, own, reached};
use super::merge::merge;
use crate::model::{Expr, Injection, RegisterId, View, mask};
use std::collections::{BTreeSet, HashMap};

/// What of an MSR decides how it behaves, its bank apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Likeness {
    register: [Option<RegisterId>; 2],
    stored: [bool; 2],
    injected: [bool; 2],
    reachable: bool,
    /// Some guest lacks it.
    lacked: bool,
    /// Its bank, where a rule of the group names that one by its number.
    named: [Option<u32>; 2],
}

/// An MSR's own likeness, and that of all on which it depends.
type Kind = (Likeness, Vec<Likeness>);

/// An MSR to be asked about.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The MSR.
    pub msr: u32,
    kind: Option<Kind>,
}

/// What was found out, and about which MSRs.
#[derive(Default)]
pub(super) struct Told {
    /// The MSRs of a kind after the first, which is asked for all of them.
    others: HashMap<Kind, Vec<u32>>,
    findings: Vec<(Option<Kind>, Vec<Finding>)>,
}

impl Told {
    /// The MSRs of a group that have to be asked about: no other one answers for them.
    pub fn untold(&mut self, setting: &Setting, group: &Group) -> Vec<Asked> {
        let registers = registers(setting, group);
        let named = [0, 1].map(|side| named(setting.views[side], &registers[side]));
        let counts = (0..2).any(|side| count_is_asked(setting, side, &registers[side]));
        let likeness = |msr: u32| {
            let mut like = likeness(setting, msr).filter(|_| !counts)?;
            for (side, named) in named.iter().enumerate() {
                let place = setting.places[side].get(&msr);
                like.named[side] = place.filter(|at| named.contains(at)).map(|at| at.1);
            }
            Some(like)
        };
        let all: Option<Vec<Likeness>> = group.msrs.iter().map(|msr| likeness(*msr)).collect();
        let mut asked = Vec::new();
        for msr in &group.asked {
            let kind = all
                .as_ref()
                .and_then(|all| Some((likeness(*msr)?, all.clone())));
            match kind.as_ref().and_then(|kind| self.others.get_mut(kind)) {
                Some(others) => others.push(*msr),
                None => {
                    self.others
                        .extend(kind.clone().map(|kind| (kind, Vec::new())));
                    asked.push(Asked { msr: *msr, kind });
                }
            }
        }
        asked
    }

    /// What was found out about an MSR.
    pub fn tell(&mut self, asked: Asked, findings: Vec<Finding>) {
        self.findings.push((asked.kind, findings));
    }

    /// Everything, about all MSRs.
    pub fn findings(mut self) -> Vec<Finding> {
        for (kind, findings) in &mut self.findings {
            let others = kind.as_ref().and_then(|kind| self.others.get(kind));
            for finding in findings {
                finding.about.msrs.extend(others.into_iter().flatten());
            }
        }
        merge(
            self.findings
                .into_iter()
                .flat_map(|(_, findings)| findings)
                .collect(),
        )
    }
}

/// The registers of a group, and all that these refer to, on each side.
fn registers(setting: &Setting, group: &Group) -> [BTreeSet<RegisterId>; 2] {
    [0, 1].map(|side| {
        let places = group.msrs.iter();
        let own = places.filter_map(|msr| Some(setting.places[side].get(msr)?.0));
        let own: BTreeSet<RegisterId> = own.collect();
        let reached = own
            .into_iter()
            .flat_map(|id| reached(setting.views[side], id));
        reached.collect()
    })
}

/// The banks that rules of some registers name by their numbers.
fn named(view: &View, registers: &BTreeSet<RegisterId>) -> BTreeSet<(RegisterId, u32)> {
    let mut named = BTreeSet::new();
    for expression in registers
        .iter()
        .flat_map(|id| expressions(view.register(*id)))
    {
        expression.walk(&mut |part| {
            if let Expr::Cell(id, bank) = part {
                named.insert((*id, *bank));
            }
        });
    }
    named
}

/// Rules of some registers ask how many banks there are: then it counts which of them one is.
fn count_is_asked(setting: &Setting, side: usize, registers: &BTreeSet<RegisterId>) -> bool {
    let view = setting.views[side];
    let Some(word) = view.capability.map(Expr::Register) else {
        return false;
    };
    let mut all = registers
        .iter()
        .flat_map(|id| expressions(view.register(*id)));
    all.any(|expression| {
        let (mut words, mut parts, mut asked) = (0, 0, false);
        expression.walk(&mut |part| match part {
            Expr::Field(of, hi, lo) if **of == word => {
                parts += 1;
                asked |= mask(*hi, *lo) & setting.count_bits != 0;
            }
            part => words += usize::from(*part == word),
        });
        // Each part has the word in it; one more is the whole word.
        asked || words > parts
    })
}

/// None if the bank's number itself counts.
fn likeness(setting: &Setting, msr: u32) -> Option<Likeness> {
    let mut like = Likeness {
        register: [None; 2],
        stored: [false; 2],
        injected: [false; 2],
        reachable: true,
        lacked: false,
        named: [None; 2],
    };
    for (side, view) in setting.views.into_iter().enumerate() {
        let Some((id, index)) = setting.places[side].get(&msr).copied() else {
            continue;
        };
        let register = view.register(id);
        if register.banked && !setting.same_count || Alike::asks_for_index(register) {
            return None;
        }
        like.register[side] = Some(id);
        like.stored[side] = own(view, id, index).is_some();
        let at = |injection: &Injection| register.banked && injection.bank == index;
        like.injected[side] = view.injection.as_ref().is_some_and(at);
        let [fewest, most] = setting.banks;
        like.reachable &= !register.banked || index < most;
        like.lacked |= register.banked && index >= fewest;
    }
    Some(like)
}
