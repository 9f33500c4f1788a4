//! What holds for one bank holds for those that are like it: of MSRs that differ in nothing but the bank, one is asked for.

use super::accesses::Setting;
use super::alike::Alike;
use super::finding::Finding;
use super::groups::{Group, expressions, own, reached};
use super::merge::merge;
use crate::model::{Expr, Injection, RegisterId};
use std::collections::{BTreeSet, HashMap};

/// What of an MSR decides how it behaves, its bank apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Likeness {
    register: [Option<RegisterId>; 2],
    stored: [bool; 2],
    injected: [bool; 2],
    reachable: bool,
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
        let named = named(setting, group);
        let likeness = |msr: u32| {
            let mut like = likeness(setting, msr)?;
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

/// The banks of registers that rules of a group name by their numbers, on each side.
fn named(setting: &Setting, group: &Group) -> [BTreeSet<(RegisterId, u32)>; 2] {
    [0, 1].map(|side| {
        let view = setting.views[side];
        let places = group.msrs.iter();
        let own = places.filter_map(|msr| Some(setting.places[side].get(msr)?.0));
        let own: BTreeSet<RegisterId> = own.collect();
        let all: BTreeSet<RegisterId> = own.into_iter().flat_map(|id| reached(view, id)).collect();
        let mut named = BTreeSet::new();
        for expression in all
            .into_iter()
            .flat_map(|id| expressions(view.register(id)))
        {
            expression.walk(&mut |part| {
                if let Expr::Cell(id, bank) = part {
                    named.insert((*id, *bank));
                }
            });
        }
        named
    })
}

/// None if the bank's number itself counts.
fn likeness(setting: &Setting, msr: u32) -> Option<Likeness> {
    let mut like = Likeness {
        register: [None; 2],
        stored: [false; 2],
        injected: [false; 2],
        reachable: true,
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
        like.reachable &= !register.banked || index < setting.most_banks;
    }
    Some(like)
}
