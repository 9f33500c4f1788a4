//! `msr diff` over every pair of versions of every shipped spec: each finding has a witness that both interpreters and the
//! command reproduce, the other direction has the mirrors, and a side differs from itself in nothing.

mod common;

use common::msr;
use msr_dsl::compare::finding::{Finding, Witness};
use msr_dsl::compare::side::Side;
use msr_dsl::compare::steps::execute;
use msr_dsl::compare::{Comparison, compare};
use msr_dsl::model::View;
use msr_dsl::source::compile_text;

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
    compare(old, new).unwrap_or_else(|_| panic!("{} and {}", old.name, new.name))
}

#[test]
fn a_side_differs_from_itself_in_nothing() {
    for side in sides() {
        assert_eq!(compared(&side, &side).findings, [], "{}", side.name);
    }
}

/// The last answers of a witness, worked out by the interpreter.
fn answers(witness: &Witness, views: [&View; 2]) -> [String; 2] {
    [0, 1].map(|side| match witness.start[side].guest(views[side]) {
        Ok(mut guest) => {
            let answers = witness
                .steps
                .iter()
                .filter_map(|step| execute(&mut guest, step));
            answers.last().unwrap_or_default()
        }
        Err(reason) => reason,
    })
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
                let [a, b] = answers(witness, views);
                assert_ne!(a, b, "{:?}: {finding:#?}", comparison.names);
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

/// What `msr sim` answers last to a witness, or what it says when there is no such guest.
fn simulated(witness: &Witness, side: usize, name: &str) -> String {
    let options = witness.start[side].options();
    let mut arguments = vec!["sim", name];
    arguments.extend(options.iter().map(String::as_str));
    let lines: String = witness
        .steps
        .iter()
        .map(|step| format!("{step}\n"))
        .collect();
    let output = msr(&arguments, &lines);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = text.lines().last().map(str::to_owned);
    match output.status.code() {
        Some(0) => last.unwrap_or_default(),
        _ => String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn the_command_reproduces_every_witness() {
    let sides = sides();
    let pairs = sides
        .windows(2)
        .filter(|pair| pair[0].view.name != "platform" && pair[1].view.name != "platform");
    for pair in pairs {
        let (old, new) = (&pair[0], &pair[1]);
        for finding in &compared(old, new).findings {
            let Some(witness) = &finding.witness else {
                continue;
            };
            let [a, b] = [
                simulated(witness, 0, &old.name),
                simulated(witness, 1, &new.name),
            ];
            assert_ne!(a, b, "{} → {}: {finding:#?}", old.name, new.name);
            for (answer, said) in [a, b].iter().zip(&witness.answers) {
                assert!(
                    said.starts_with("no such guest") || answer == said,
                    "{answer} and {said}: {finding:#?}"
                );
            }
        }
    }
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
