//! Who may have which feature, and which versions run guests.

use super::accesses::Setting;
use super::condition::{Affected, Condition, Demand};
use super::finding::{About, Aspect, Finding, Witness};
use super::rules::{self, Rule};
use super::steps::Start;
use super::truth::{Table, Truth};
use crate::model::{Feature, View};

/// All findings about them.
pub fn features(setting: &Setting) -> Vec<Finding> {
    let [old, new] = setting.views;
    let mut findings = Vec::new();
    for feature in &old.features {
        let Some(other) = new.features.iter().find(|other| other.bit == feature.bit) else {
            continue;
        };
        findings.extend(requirements(setting, feature, other));
        findings.extend(host([feature, other]));
    }
    let whole = |rule| {
        Finding::new(
            rule,
            About {
                aspect: Aspect::Interface,
                ..About::default()
            },
            format!("version {} → version {}", old.version, new.version),
        )
    };
    match [old.restore_only, new.restore_only] {
        [false, true] => findings.push(whole(&rules::RESTORE_ONLY)),
        [true, false] => findings.push(whole(&rules::RUNS_GUESTS)),
        _ => {}
    }
    findings
}

fn about(feature: &Feature) -> About {
    About {
        name: Some(feature.name.clone()),
        bits: 1 << feature.bit,
        ..About::default()
    }
}

/// The requirements as a condition on the capability word: all of these, of each list one.
fn condition(table: &mut Table, view: &View, feature: &Feature) -> Truth {
    feature.requires.iter().fold(Truth::YES, |all, one_of| {
        let bits = one_of
            .iter()
            .filter_map(|name| view.features.iter().find(|f| f.name == *name));
        let bits: Vec<Truth> = bits.map(|feature| table.bit(feature.bit)).collect();
        let any = table.any(bits);
        table.and(all, any)
    })
}

fn requirements(setting: &Setting, old: &Feature, new: &Feature) -> Vec<Finding> {
    let mut table = Table::default();
    let asked = [
        condition(&mut table, setting.views[0], old),
        condition(&mut table, setting.views[1], new),
    ];
    let mut findings = Vec::new();
    for (rule, more, less) in [
        (&rules::REQUIREMENT_ADDED, 1, 0),
        (&rules::REQUIREMENT_REMOVED, 0, 1),
    ] {
        if table.implies(asked[less], asked[more]) {
            continue;
        }
        let text = format!(
            "feature {} requires {} → {}",
            new.name,
            words(old),
            words(new)
        );
        let mut finding = Finding::new(rule, about(new), text);
        let start = [old, new].map(|feature| Start {
            features: vec![feature.name.clone()],
            capability: None,
        });
        finding.witness =
            Some(Witness::of(setting.views, start, Vec::new())).filter(Witness::tells);
        findings.push(finding);
    }
    findings
}

fn words(feature: &Feature) -> String {
    let lists: Vec<String> = feature
        .requires
        .iter()
        .map(|one_of| one_of.join(" or "))
        .collect();
    if lists.is_empty() {
        "nothing".to_owned()
    } else {
        lists.join(" and ")
    }
}

fn host([old, new]: [&Feature; 2]) -> Vec<Finding> {
    if old.host == new.host {
        return Vec::new();
    }
    let words = |feature: &Feature| feature.host.clone().unwrap_or_else(|| "nothing".to_owned());
    let text = format!(
        "feature {} needs of the host: {} → {}",
        new.name,
        words(old),
        words(new)
    );
    let one = |rule: &'static Rule, side: usize, name: &String| {
        let mut finding = Finding::new(rule, about(new), text.clone());
        let affected = Affected {
            text: format!("feature {}", new.name),
            cases: vec![(1 << new.bit, 1 << new.bit)],
        };
        finding.conditions[side] = Some(Condition {
            affected: Some(affected),
            demand: Demand::Host(name.clone()),
        });
        finding
    };
    let added = new
        .host
        .as_ref()
        .map(|name| one(&rules::HOST_ADDED, 0, name));
    let removed = old
        .host
        .as_ref()
        .map(|name| one(&rules::HOST_REMOVED, 1, name));
    added.into_iter().chain(removed).collect()
}
