//! `msr pool` finds the greatest interface that all hosts can honour: every version with every choice of features is tried on
//! small random specs, and none that all honour is greater.

use msr_dsl::compare::pool::{Host, pool};
use msr_dsl::compare::side::Side;
use msr_dsl::interpret::Machine;
use msr_dsl::model::{Feature, Model, Offer, View};
use msr_dsl::source::compile_text;
use std::collections::BTreeSet;

/// Small numbers by chance, the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % end
    }

    fn is(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }
}

const HARDWARE: [&str; 2] = ["X", "Y"];

/// Three versions and four features, each from some version on, for some hardware, with requirements.
fn spec(chance: &mut Chance) -> String {
    let mut features = String::new();
    let mut reset = 0x2;
    let since: Vec<u64> = (0..4).map(|_| 1 + chance.below(3)).collect();
    for (at, from) in since.iter().enumerate() {
        let default = *from == 1 && chance.is(4);
        let host = match chance.below(3) {
            0 => "none",
            at => HARDWARE[at as usize - 1],
        };
        let offer = if default { "default" } else { "offered" };
        reset |= u64::from(default) << (8 + at);
        // Of those that came no later; one that every guest has requires nothing.
        let others: Vec<usize> = (0..at).filter(|other| since[*other] <= *from).collect();
        let mut requires = String::new();
        if !default && !others.is_empty() && chance.is(2) {
            let one = others[chance.below(others.len() as u64) as usize];
            let other = others[chance.below(others.len() as u64) as usize];
            requires = match one == other {
                true => format!("requires F{one};"),
                false => format!("requires F{one} or F{other};"),
            };
        }
        features += &format!(
            "feature F{at} in {from}.. {{ bit CAP.P{at}; {offer}; {requires} host {host}; }}\n"
        );
    }
    let only = if chance.is(4) { "restore_only" } else { "" };
    let bits: String = (0..4)
        .map(|at| format!("[{bit}] P{at}: bool in {}..;", since[at], bit = 8 + at))
        .collect();
    format!(
        "interface! {{ interface pooled {{ vendor any; version 1 {only} \"a\"; version 2 \"b\"; version 3 \"c\"; capability CAP; }}
         {features}
         register CAP @ 0x10 {{ cite \"t\"; reset {reset:#x}; write ignore; migrate saved 1;
           restore accepts all; [7:0] COUNT: u8; {bits} }}
         register R @ 0x11 {{ cite \"t\"; write store; migrate saved 2; restore accepts all; }} }}"
    )
}

fn model(text: &str) -> Option<Model> {
    compile_text(text).model
}

fn host(name: usize, text: &str, model: &Model, newest: u16, has: &[&str]) -> Host {
    let views = model.views.iter().filter(|view| view.version <= newest);
    let side = |view: &View| Side::of_spec(&format!("h{name}@{}", view.version), "h", text, view);
    Host {
        name: format!("h{name}"),
        versions: views.map(side).collect(),
        has: has.iter().map(|one| (*one).to_owned()).collect(),
    }
}

/// What a guest needs of its host: the features that it has, those that every guest has among them.
fn honours(host: &Host, view: &View, word: u64) -> bool {
    let there = host
        .versions
        .iter()
        .any(|side| side.view.version == view.version);
    let had = |feature: &&Feature| word >> feature.bit & 1 == 1;
    let mut had = view.features.iter().filter(had);
    there
        && had.all(|feature| {
            feature
                .host
                .as_ref()
                .is_none_or(|one| host.has.contains(one))
        })
}

/// Every choice of features that a boot option can name and a guest can start with, and the word that it gives.
fn choices(view: &View) -> Vec<(BTreeSet<String>, u64)> {
    let offered: Vec<&Feature> = view
        .features
        .iter()
        .filter(|one| one.offer == Offer::Offered)
        .collect();
    let mut all = Vec::new();
    for chosen in 0..1u32 << offered.len() {
        let names = offered
            .iter()
            .enumerate()
            .filter(|(at, _)| chosen >> at & 1 == 1);
        let names: BTreeSet<String> = names.map(|(_, one)| one.name.clone()).collect();
        let mut guest = Machine::new(view);
        for name in &names {
            guest.add_feature(name).expect("it is offered");
        }
        if guest.unmet_requirement().is_none() && !view.restore_only {
            all.push((names, guest.capability().expect("a word")));
        }
    }
    all
}

#[test]
fn no_greater_interface_is_honoured_by_all() {
    let mut chance = Chance(7);
    let (mut found, mut none, mut fewer) = (0, 0, 0);
    while found + none < 160 {
        let text = spec(&mut chance);
        let Some(model) = model(&text) else {
            continue;
        };
        let hosts: Vec<Host> = (0..2 + chance.below(3) as usize)
            .map(|name| {
                let newest = if chance.is(3) {
                    1 + chance.below(3) as u16
                } else {
                    3
                };
                let has = HARDWARE.into_iter().filter(|_| !chance.is(3));
                let has: Vec<&str> = has.collect();
                host(name, &text, &model, newest, &has)
            })
            .collect();
        let place = || {
            let hosts = hosts.iter();
            let hosts = hosts.map(|one| format!("{} of {:?}\n", one.versions.len(), one.has));
            format!("{text}\n{}", hosts.collect::<String>())
        };
        // Everything that all of them honour.
        let mut honoured: Vec<(u16, BTreeSet<String>)> = Vec::new();
        for view in &model.views {
            for (names, word) in choices(view) {
                if hosts.iter().all(|host| honours(host, view, word)) {
                    honoured.push((view.version, names));
                }
            }
        }
        let Ok(answer) = pool(&hosts).unwrap_or_else(|reason| panic!("{reason}")) else {
            assert_eq!(honoured, [], "{}", place());
            none += 1;
            continue;
        };
        let (version, features) = answer
            .choice
            .split_once('@')
            .expect("a version")
            .1
            .split_once('+')
            .unwrap_or((answer.choice.rsplit('@').next().expect("one"), ""));
        let version: u16 = version.parse().expect("a number");
        let names: BTreeSet<String> = features
            .split('+')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        let chosen = (version, names);
        assert!(honoured.contains(&chosen), "{}: {}", answer.choice, place());
        for (version, names) in &honoured {
            let within = *version < chosen.0 || *version == chosen.0 && names.is_subset(&chosen.1);
            assert!(
                within,
                "{} and {version} {names:?}: {}",
                answer.choice,
                place()
            );
        }
        // A host loses what it could have had alone, and nothing else is told of features.
        for (host, loss) in hosts.iter().zip(&answer.losses) {
            let own = host
                .versions
                .iter()
                .rev()
                .find(|side| !side.view.restore_only);
            let own = own.expect("it has the chosen one");
            let alone = choices(&own.view)
                .into_iter()
                .filter(|(_, word)| honours(host, &own.view, *word))
                .max_by_key(|(names, _)| names.len());
            let Some((alone, _)) = alone else {
                continue;
            };
            let lost: BTreeSet<String> = alone.difference(&chosen.1).cloned().collect();
            let said = loss
                .losses
                .iter()
                .filter_map(|one| one.strip_prefix("feature "));
            let said: BTreeSet<String> = said.map(str::to_owned).collect();
            assert_eq!(said, lost, "{}: {}: {}", loss.host, answer.choice, place());
            fewer += usize::from(!lost.is_empty());
        }
        found += 1;
    }
    assert!(
        found > 80 && none > 10 && fewer > 30,
        "{found} {none} {fewer}"
    );
}

/// A version that means one thing here and another there is none of the pool's, wherever that host stands.
#[test]
fn a_version_of_two_meanings_is_passed() {
    let same = (0..).map(|seed| spec(&mut Chance(seed)));
    let same = same.into_iter().find(|text| model(text).is_some());
    let same = same.expect("a spec without mistakes");
    let other = same.replace(
        "register R @ 0x11 {",
        "register R @ 0x11 { in 3.. { reset 3; }",
    );
    for at in 0..3 {
        let texts = [0, 1, 2].map(|host| if host == at { &other } else { &same });
        let models = texts.map(|text| model(text).expect("without mistakes"));
        let hosts: Vec<Host> = (0..3)
            .map(|name| host(name, texts[name], &models[name], 3, &HARDWARE))
            .collect();
        let answer = pool(&hosts).unwrap_or_else(|reason| panic!("{reason}"));
        let answer = answer.unwrap_or_else(|reasons| panic!("{reasons:?}"));
        assert!(answer.choice.starts_with("pooled@2"), "{answer:?}");
        let mut passed = answer.passed.iter();
        let told = passed.any(|reason| reason.contains("mean different things by it"));
        assert!(told, "{answer:?}");
    }
}
