//! Who is told of an error: what an injection does besides setting registers.

use super::accesses::Setting;
use super::alike::Alike;
use super::condition::{Affected, Condition, Demand};
use super::finding::{About, Aspect, Finding, Witness};
use super::groups::{Group, reached, together};
use super::product::{Product, TooLarge};
use super::rules::{self, Rule};
use super::steps::{Start, Step};
use super::undecided::Undecided;
use super::values;
use crate::model::Expr;
use std::collections::BTreeSet;

/// All findings about it.
pub fn delivery(setting: &Setting, undecided: &mut Undecided) -> Vec<Finding> {
    let mut findings = Vec::new();
    let injections = setting.views.map(|view| view.injection.as_ref());
    let told = |rule| {
        let witness = Witness::new(setting.views, vec![Step::Deliver]);
        finding(rule, witness, None)
    };
    match injections {
        [None, None] => return findings,
        [None, Some(_)] => findings.push(told(&rules::INJECTION_ADDED)),
        [Some(_), None] => findings.push(told(&rules::INJECTION_REMOVED)),
        [Some(old), Some(new)] => match (old.broadcast, new.broadcast) {
            (false, true) => findings.push(told(&rules::DELIVERY_BROADCAST)),
            (true, false) => findings.push(told(&rules::DELIVERY_ONE)),
            _ => {}
        },
    }
    findings.extend(local(setting, undecided));
    findings
}

fn finding(rule: &'static Rule, witness: Witness, affected: Option<Affected>) -> Finding {
    let about = About {
        aspect: Aspect::Injection,
        ..About::default()
    };
    let told = witness
        .answers
        .each_ref()
        .map(|answer| match answer.as_str() {
            "local" => "the vCPU that it hits alone",
            "broadcast" => "every vCPU",
            "one" => "one vCPU",
            other => other,
        });
    let text = format!("an error is told to {} → {}", told[0], told[1]);
    let mut finding = Finding::new(rule, about, text);
    finding.witness = Some(witness);
    finding.guests = affected.as_ref().map(|affected| affected.text.clone());
    let condition = Some(Condition {
        affected,
        demand: Demand::Not("get a machine check".to_owned()),
    });
    finding.conditions = [condition.clone(), condition];
    finding
}

/// Guests that asked for local delivery, on one side alone.
fn local(setting: &Setting, undecided: &mut Undecided) -> Option<Finding> {
    let conditions = setting.views.map(|view| {
        view.injection
            .as_ref()
            .and_then(|injection| injection.local.as_ref())
    });
    let rule = match conditions.map(|condition| condition.is_some()) {
        [false, false] => return None,
        [false, true] => &rules::LOCAL_ADDED,
        [true, false] => &rules::LOCAL_REMOVED,
        [true, true] => &rules::LOCAL_CHANGED,
    };
    let group = group(setting, conditions);
    if Alike::new(setting.views).same(&group) || undecided.covers(&group) {
        return None;
    }
    match of_group(setting, &group, rule) {
        Ok(finding) => finding,
        Err(question) => {
            undecided.note(&group, *question);
            None
        }
    }
}

fn of_group(
    setting: &Setting,
    group: &Group,
    rule: &'static Rule,
) -> Result<Option<Finding>, Box<TooLarge>> {
    let mut product = Product::new(setting, group);
    // Where one side has no such thing, it need not agree on the way there either.
    product.explore_while(group, rule == &rules::LOCAL_CHANGED)?;
    let asked = [0, 1].map(|side| product.sides[side].local(&mut product.table));
    let differ = product.table.differ(asked[0], asked[1]);
    let path = product.path(differ);
    let met = ["was asked for", "is asked for"].into_iter().zip(asked);
    let met = met.map(|(said, asked)| (said.to_owned(), product.table.and(differ, asked)));
    let met: Vec<_> = met.collect();
    let content = product.content(&met);
    let guests = product.guests_of(differ);
    let affected = values::affected(setting, &mut product.table, guests);
    product.sure()?;
    let Some(path) = path else {
        return Ok(None);
    };
    let start =
        [0, 1].map(|side| Start::with(setting.views[side], product.on_side(path.capability, side)));
    let steps = path.steps.into_iter().chain([Step::Deliver]).collect();
    let witness = Witness::of(setting.views, start, steps);
    Ok(Some(finding(rule, witness, affected).saying(content)))
}

/// Everything that the conditions depend on.
fn group(setting: &Setting, conditions: [Option<&Expr>; 2]) -> Group {
    let mut msrs = BTreeSet::new();
    for (view, condition) in setting.views.into_iter().zip(conditions) {
        let mut named = Vec::new();
        if let Some(condition) = condition {
            condition.walk(&mut |part| {
                if let Expr::Register(id) | Expr::Cell(id, _) = part {
                    named.push(*id);
                }
            });
        }
        for id in named.into_iter().flat_map(|id| reached(view, id)) {
            let addresses = &view.register(id).addresses;
            msrs.extend(
                addresses
                    .iter()
                    .flat_map(|address| address.msrs())
                    .map(|(msr, _)| msr),
            );
        }
    }
    together(setting.views, msrs)
}
