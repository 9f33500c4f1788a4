//! `msr diff` over every pair of versions of every shipped spec: each finding has a witness that both interpreters and the
//! command reproduce, the other direction has the mirrors, and a side differs from itself in nothing.

mod common;

use common::msr;
use msr_dsl::compare::finding::{Finding, Witness};
use msr_dsl::compare::items;
use msr_dsl::compare::side::Side;
use msr_dsl::compare::steps::Step;
use msr_dsl::compare::{Comparison, compare};
use msr_dsl::model::View;
use msr_dsl::source::compile_text;
use msr_runtime::record;
use std::collections::HashMap;

const SPECS: [&str; 5] = ["vmce", "vmce-amd", "kvm", "sdm", "platform"];

fn path(spec: &str) -> String {
    format!("{}/../specs/{spec}.msr", env!("CARGO_MANIFEST_DIR"))
}

/// All versions of all shipped specs.
fn sides() -> Vec<Side> {
    let versions = |spec: &str| {
        let text = std::fs::read_to_string(path(spec)).expect("a shipped spec");
        let model = compile_text(&text).model.expect("without mistakes");
        let file = path(spec);
        let side =
            |view: &View| Side::of_spec(&format!("{file}@{}", view.version), &file, &text, view);
        model.views.iter().map(side).collect::<Vec<_>>()
    };
    SPECS.into_iter().flat_map(versions).collect()
}

fn compared(old: &Side, new: &Side) -> Comparison {
    compare(old, new)
        .decided()
        .unwrap_or_else(|question| panic!("{question}"))
}

#[test]
fn a_side_differs_from_itself_in_nothing() {
    for side in sides() {
        assert_eq!(compared(&side, &side).findings, [], "{}", side.name);
    }
}

/// What each side answers to the lines of a witness, worked out by the interpreter; one line if there is no such guest.
fn answers(witness: &Witness, views: [&View; 2]) -> [Vec<String>; 2] {
    [0, 1].map(|side| match witness.start[side].guest_of(views, side) {
        Ok(mut guest) => {
            let steps = witness.steps.iter();
            steps.filter_map(|step| guest.execute(step)).collect()
        }
        Err(reason) => vec![format!("no such guest: {reason}")],
    })
}

/// The sides answer all lines alike but the last one, in which they differ as the finding says.
fn tells(answers: &[Vec<String>; 2], witness: &Witness, finding: &Finding, names: &[String; 2]) {
    let place = || format!("{names:?}: {answers:?} {finding:#?}");
    let ends = answers.each_ref().map(|all| all.split_last());
    let [Some((a, before)), Some((b, other))] = ends else {
        panic!("{}", place());
    };
    assert_eq!([a, b], witness.answers.each_ref(), "{}", place());
    assert_ne!(a, b, "{}", place());
    let exists = |answer: &str| !answer.starts_with("no such guest");
    // A guest asks for local delivery in a register that the other side may lack.
    let local = ["local-delivery-added", "local-delivery-removed"].contains(&finding.rule.id);
    let alike = before == other || !exists(a) || !exists(b) || local;
    assert!(alike, "{}", place());
}

#[test]
fn every_witness_tells_and_every_difference_has_its_mirror() {
    let sides = sides();
    for (at, old) in sides.iter().enumerate() {
        for new in &sides[at + 1..] {
            let (there, back) = (compared(old, new), compared(new, old));
            witnessed(&there, [&old.view, &new.view]);
            witnessed(&back, [&new.view, &old.view]);
            let expected = names(&there.findings, |finding| finding.rule.mirror);
            let mirrors = names(&back.findings, |finding| finding.rule.id);
            assert_eq!(mirrors, expected, "{} → {}", old.name, new.name);
        }
    }
}

/// Every finding has a witness that tells, if its rule promises one.
fn witnessed(comparison: &Comparison, views: [&View; 2]) {
    for finding in &comparison.findings {
        match &finding.witness {
            Some(witness) => {
                let answers = answers(witness, views);
                tells(&answers, witness, finding, &comparison.names);
            }
            None => assert!(
                !finding.rule.witnessed,
                "{:?}: {finding:#?}",
                comparison.names
            ),
        }
    }
}

/// Findings by name and subject.
fn names(
    findings: &[Finding],
    name: fn(&Finding) -> &'static str,
) -> Vec<(&'static str, Vec<u32>, u64)> {
    let mut names: Vec<_> = findings
        .iter()
        .map(|one| (name(one), one.about.msrs.clone(), one.about.bits))
        .collect();
    names.sort();
    names
}

/// What `msr sim` printed for some arguments and lines: one side answers the same in many comparisons.
type Printed = HashMap<(Vec<String>, String), Vec<String>>;

/// What `msr sim` prints for the lines of a witness.
fn simulated(known: &mut Printed, witness: &Witness, side: usize, name: &str) -> Vec<String> {
    let mut arguments = vec!["sim".to_owned(), name.to_owned()];
    arguments.extend(witness.start[side].options());
    let steps = witness.steps.iter();
    let lines: String = steps.map(|step| format!("{step}\n")).collect();
    let run = |(arguments, lines): &(Vec<String>, String)| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        printed(&arguments, lines)
    };
    let asked = (arguments, lines);
    let answers = known.get(&asked).cloned();
    answers.unwrap_or_else(|| {
        let answers = run(&asked);
        known.insert(asked, answers.clone());
        answers
    })
}

fn printed(arguments: &[&str], lines: &str) -> Vec<String> {
    let output = msr(arguments, lines);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.code() {
        Some(0) => text(&output.stdout).lines().map(str::to_owned).collect(),
        // The talk has its own words for the same reason.
        _ => vec![format!("no such guest{}", text(&output.stderr))],
    }
}

/// Every version with the next, and the newest of each machine-check interface with those of all others.
#[test]
fn the_command_reproduces_every_witness() {
    let sides = sides();
    let newest = |at: usize| {
        let next = sides.get(at + 1);
        next.is_some_and(|next| next.view.name != sides[at].view.name)
    };
    let (mut run, mut known) = (0, Printed::new());
    for (at, old) in sides.iter().enumerate() {
        for (to, new) in sides.iter().enumerate().skip(at + 1) {
            if !(to == at + 1 || newest(at) && newest(to)) {
                continue;
            }
            let comparison = compared(old, new);
            for finding in &comparison.findings {
                let Some(witness) = &finding.witness else {
                    continue;
                };
                let mut printed = [(0, old), (1, new)]
                    .map(|(side, named)| simulated(&mut known, witness, side, &named.name));
                for (own, said) in printed.iter_mut().zip(&witness.answers) {
                    if said.starts_with("no such guest") && own[0].starts_with("no such guest") {
                        *own = vec![said.clone()];
                    }
                }
                tells(&printed, witness, finding, &comparison.names);
                run += 1;
            }
        }
    }
    assert!(run > 300, "{run} witnesses");
}

/// The record of a finding between two interfaces is one that the other side would take, and read alike, with another value in
/// the finding's item: what is told apart is told by the item.
#[test]
fn witnesses_between_interfaces_tell_by_the_item() {
    let sides = sides();
    let newest = |name: &str| {
        let mut all = sides.iter().rev();
        all.find(|side| side.view.name == name).expect("a side")
    };
    let (old, new) = (newest("vmce"), newest("kvm"));
    let comparison = compared(old, new);
    let mut seen = std::collections::BTreeSet::new();
    for finding in &comparison.findings {
        let (Some(witness), Some(tag)) = (&finding.witness, finding.about.tag) else {
            continue;
        };
        let Step::Restore(record) = &witness.steps[0] else {
            panic!("{finding:#?}");
        };
        let side = usize::from(witness.start[0].from.is_some());
        let view = [&old.view, &new.view][side];
        let name = finding.about.registers[side].as_deref();
        let own = name.and_then(|name| items::tag(view.register(view.find(name)?)));
        let lacking = without(view, record, own.unwrap_or(tag));
        assert!(seen.insert((finding.rule.id, tag)), "{finding:#?}");
        let base = Witness {
            steps: [&[Step::Restore(lacking)], &witness.steps[1..]].concat(),
            ..witness.clone()
        };
        let [a, b] = answers(&base, [&old.view, &new.view]);
        // IA32_FEATURE_CONTROL is unlocked at first there, and locked here.
        let reads_otherwise_anyway = finding.about.msrs == [0x3a];
        // A new guest's capability word, for a record without one, has bits that the other side refuses anyway.
        let refused_anyway = finding.about.msrs == [0x179];
        assert!(
            a == b || reads_otherwise_anyway || refused_anyway,
            "{a:?}, {b:?}: {finding:#?}"
        );
    }
    assert!(seen.len() > 8, "{seen:?}");
}

/// A record without one of its items.
fn without(view: &View, bytes: &[u8], tag: u16) -> Vec<u8> {
    let name = record::name(&view.name);
    let opened = record::Record::open(bytes, name, record::crc32c).expect("a record");
    let words = |payload: &[u8]| -> Vec<u64> {
        let words = payload.chunks_exact(8);
        words
            .map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes")))
            .collect()
    };
    let items = opened.items().map(|item| item.expect("an item"));
    let kept = items.filter(|(own, _)| *own != tag);
    let kept: Vec<(u16, Vec<u64>)> = kept.map(|(tag, payload)| (tag, words(payload))).collect();
    items::record(view, &kept)
}

#[test]
fn a_manifest_is_the_version_that_it_released() {
    for spec in SPECS {
        let lock = path(spec).replace(".msr", ".lock");
        let Ok(text) = std::fs::read_to_string(&lock) else {
            continue;
        };
        let name = text.split('`').nth(1).expect("the interface's name");
        for side in sides().iter().filter(|side| side.view.name == name) {
            let version = side.view.version;
            let released =
                Side::of_manifest(&format!("{lock}@{version}"), &lock, &text, name, version);
            let released = released.unwrap_or_else(|| panic!("{lock}@{version} is not read"));
            assert_eq!(compared(&released, side).findings, [], "{lock}@{version}");
            assert_eq!(compared(side, &released).findings, [], "{lock}@{version}");
        }
    }
}
