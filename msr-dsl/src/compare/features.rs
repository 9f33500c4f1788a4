//! Who may have which feature, and which versions run guests.

use super::accesses::Setting;
use super::condition::{Affected, Condition, Demand};
use super::content::Content;
use super::finding::{About, Aspect, Finding, Witness};
use super::rules::{self, Rule};
use super::steps::{Start, Step};
use super::truth::{Table, Truth};
use crate::model::{Feature, Hook, Read, Register, View, Write};

/// All findings about them.
pub fn features(setting: &Setting) -> Vec<Finding> {
    let [old, new] = setting.views;
    let mut findings = Vec::new();
    for feature in &old.features {
        let Some(other) = new.features.iter().find(|other| other.bit == feature.bit) else {
            findings.extend(alone(setting, feature, 0));
            continue;
        };
        findings.extend(renamed(setting, [feature, other]));
        findings.extend(requirements(setting, feature, other));
        findings.extend(host([feature, other]));
    }
    let had = |feature: &Feature| old.features.iter().any(|other| other.bit == feature.bit);
    for feature in new.features.iter().filter(|feature| !had(feature)) {
        findings.extend(alone(setting, feature, 1));
    }
    findings.extend(hooks(setting));
    let whole = |rule| {
        Finding::new(
            rule,
            About {
                aspect: Aspect::Interface,
                ..About::default()
            },
            match old.restore_only {
                true => format!(
                    "version {} is only restored → version {} runs guests",
                    old.version, new.version
                ),
                false => format!(
                    "version {} runs guests → version {} is only restored",
                    old.version, new.version
                ),
            },
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

/// A feature of one side, whose bit a guest can have on both: another bit has findings of its own.
fn alone(setting: &Setting, feature: &Feature, side: usize) -> Option<Finding> {
    let accepted = setting.views.iter().all(|view| {
        let accepts = view.capability.map_or(0, |id| view.register(id).accepts);
        accepts >> feature.bit & 1 == 1
    });
    let (rule, words) = match side {
        0 => (
            &rules::FEATURE_REMOVED,
            "can be given to new guests → no longer",
        ),
        _ => (
            &rules::FEATURE_ADDED,
            "not for new guests → can be given to them",
        ),
    };
    accepted.then(|| {
        let text = format!("feature {}: {words}", feature.name);
        let mut finding = Finding::new(rule, about(feature), text);
        finding.witness = created_with(setting, [&feature.name; 2]);
        finding
    })
}

/// A guest with a feature of this name on each side, if that tells them apart.
fn created_with(setting: &Setting, names: [&String; 2]) -> Option<Witness> {
    let start = names.map(|name| Start {
        features: vec![name.clone()],
        ..Start::default()
    });
    // A manifest has no names.
    let named = names.iter().all(|name| !name.starts_with("bit "));
    let witness = named.then(|| Witness::of(setting.views, start, vec![Step::Save]));
    witness.filter(Witness::tells)
}

/// A manifest has no names.
fn renamed(setting: &Setting, [old, new]: [&Feature; 2]) -> Option<Finding> {
    let named = |feature: &Feature| !feature.name.starts_with("bit ");
    (old.name != new.name && named(old) && named(new)).then(|| {
        let text = format!("feature {} → {}", old.name, new.name);
        let mut finding = Finding::new(&rules::FEATURE_RENAMED, about(new), text)
            .saying(Content::of((new.bit, &old.name, &new.name)));
        finding.witness = created_with(setting, [&old.name; 2]);
        finding
    })
}

/// Hooks of one name that are given other arguments.
fn hooks(setting: &Setting) -> Vec<Finding> {
    let [old, new] = setting.views;
    let mut findings = Vec::new();
    for hook in &old.hooks {
        let same = new.hooks.iter().find(|other| other.name == hook.name);
        let Some(other) = same.filter(|other| other.arguments != hook.arguments) else {
            continue;
        };
        let words = |hook: &Hook| {
            let words = hook.arguments.iter().map(|one| format!("{one:?}"));
            let words: Vec<String> = words.map(|word| word.to_lowercase()).collect();
            format!("{}({})", hook.name, words.join(", "))
        };
        let (msrs, names) = users(setting, &hook.name);
        let about = About {
            msrs,
            name: Some(hook.name.clone()),
            registers: names,
            ..About::default()
        };
        let text = format!("hook {} → {}", words(hook), words(other));
        let content = Content::of((&hook.name, &hook.arguments, &other.arguments));
        let mut finding = Finding::new(&rules::HOOK_ARGUMENTS, about, text).saying(content);
        let condition = Some(Condition {
            affected: None,
            demand: Demand::Not("read or write {msrs}".to_owned()),
        });
        finding.conditions = [condition.clone(), condition];
        findings.push(finding);
    }
    findings
}

/// The MSRs at which both sides call a hook, and the register, if it is one.
fn users(setting: &Setting, hook: &str) -> (Vec<u32>, [Option<String>; 2]) {
    let of = |view: &View| -> Vec<(String, Vec<u32>)> {
        let calls = |number: &usize| view.hooks[*number].name == hook;
        let own = view.registers.iter().filter(|register| {
            let read = matches!(&register.read, Read::Hook(number) if calls(number));
            let write = match &register.write {
                Write::Bits(number) => number.as_ref().is_some_and(calls),
                Write::Hook(number) => calls(number),
                _ => false,
            };
            read || write
        });
        let msrs = |register: &Register| {
            let all = register.addresses.iter().flat_map(|address| address.msrs());
            all.map(|(msr, _)| msr).collect()
        };
        own.map(|register| (register.name.clone(), msrs(register)))
            .collect()
    };
    let both = setting.views.map(of);
    let name = |own: &[(String, Vec<u32>)]| match own {
        [(name, _)] => Some(name.clone()),
        _ => None,
    };
    let [old, new] = &both;
    let mut msrs: Vec<u32> = old.iter().flat_map(|(_, msrs)| msrs.clone()).collect();
    msrs.retain(|msr| new.iter().any(|(_, msrs)| msrs.contains(msr)));
    msrs.sort_unstable();
    (msrs, [name(old), name(new)])
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
        let met = ["was required", "is required"].into_iter().zip(asked);
        let met: Vec<(String, Truth)> = met.map(|(said, one)| (said.to_owned(), one)).collect();
        let content = Content::of_truths(&table, &met, &|bit| format!("capability {bit}"));
        let mut finding = Finding::new(rule, about(new), text).saying(content);
        finding.witness = created_with(setting, [&old.name, &new.name]);
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
        let content = Content::of((&old.host, &new.host));
        let mut finding = Finding::new(rule, about(new), text.clone()).saying(content);
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
