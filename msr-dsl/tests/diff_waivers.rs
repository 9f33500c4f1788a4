//! A waiver excuses the change that was looked at: a fingerprint is another as soon as the change grows, and stays the same
//! whatever registers are called and in whatever order they stand.

mod common;

use common::msr;
use msr_dsl::compare::compare;
use msr_dsl::compare::finding::Fingerprint;
use msr_dsl::compare::side::Side;
use msr_dsl::source::compile_text;
use std::collections::BTreeSet;
use std::process::Command;

fn spec(head: &str, register: &str) -> String {
    format!(
        "interface! {{ interface waived {{ vendor any; version 1 \"t\"; capability CAP; {head} }}
         register CAP @ 0x10 {{ cite \"t\"; reset 0x2; write ignore; migrate saved 1;
           restore accepts COUNT | A_P | B_P | C_P;
           [7:0] COUNT: u8; [8] A_P: bool; [9] B_P: bool; [10] C_P: bool; }}
         register LOCK @ 0x12 {{ cite \"t\"; write store; migrate saved 3; }}
         register R @ 0x11 {{ cite \"t\"; {register} }} }}"
    )
}

fn side(text: &str) -> Side {
    let compiled = compile_text(text);
    let Some(model) = compiled.model else {
        panic!("{text}: {:?}", compiled.diagnostics);
    };
    Side::of_spec("spec", "spec", text, model.newest())
}

fn prints(old: &str, new: &str, rule: &str) -> BTreeSet<Fingerprint> {
    let comparison = compare(&side(old), &side(new))
        .decided()
        .unwrap_or_else(|question| panic!("{new}: {question}"));
    let all = comparison.findings.iter();
    all.filter(|one| one.rule.id == rule)
        .map(|one| one.fingerprint())
        .collect()
}

const STORE: &str = "write store; migrate saved 2;";
const FEATURES: &str = "feature B { bit CAP.B_P; offered; host none; }
    feature C { bit CAP.C_P; offered; host none; }";

/// A change, and a larger one of the same.
fn grown() -> Vec<(&'static str, String, String, String)> {
    let of = |rule, old: &str, small: &str, large: &str| {
        let spec = |register: &str| spec("", register);
        (rule, spec(old), spec(small), spec(large))
    };
    let feature = |more: &str| {
        let head = format!("feature A {{ bit CAP.A_P; offered; host none; {more} }} {FEATURES}");
        spec("", STORE).replace("register CAP", &format!("{head} register CAP"))
    };
    let pass = |mask: &str| format!("write store; migrate saved 2; read state & {mask};");
    let when = |rule: &str| format!("{STORE} {rule}");
    vec![
        of(
            "write-faults",
            STORE,
            &when("require value != 9 else fault;"),
            &when("require value == 0 || value > 9 else fault;"),
        ),
        of(
            "write-faults",
            STORE,
            &when("require value != 9 || LOCK != 1 else fault;"),
            &when("require value != 9 else fault;"),
        ),
        of(
            "register-absent",
            STORE,
            &when("when CAP.A_P || CAP.B_P else fault;"),
            &when("when CAP.A_P else fault;"),
        ),
        of("write-ignored", &pass("0xff"), &pass("0xfe"), &pass("0xf0")),
        of(
            "reset-changed",
            STORE,
            &when("reset 0x1;"),
            &when("reset 0x3;"),
        ),
        of(
            "restore-accepts-less",
            "write ignore; migrate saved 2; restore accepts all;",
            "write ignore; migrate saved 2; restore accepts all less [3:3];",
            "write ignore; migrate saved 2; restore accepts all less [7:3];",
        ),
        of(
            "item-default",
            STORE,
            "write store; migrate saved 2 default 1;",
            "write store; migrate saved 2 default 3;",
        ),
        (
            "requirement-added",
            feature(""),
            feature("requires B;"),
            feature("requires B; requires C;"),
        ),
    ]
}

#[test]
fn a_change_that_grows_has_another_fingerprint_of_the_same_finding() {
    for (rule, old, small, large) in grown() {
        let (small, large) = (prints(&old, &small, rule), prints(&old, &large, rule));
        let which = |prints: &BTreeSet<Fingerprint>| -> BTreeSet<u32> {
            prints.iter().map(|print| print.which).collect()
        };
        assert!(!small.is_empty(), "{rule}: {old}");
        assert_eq!(which(&small), which(&large), "{rule}: {old}");
        assert!(small.is_disjoint(&large), "{rule}: {old}");
    }
}

#[test]
fn names_and_the_order_of_lines_mean_nothing() {
    for (rule, old, small, _) in grown() {
        let turned = |text: &str| {
            let at = ["register CAP", "register LOCK", "register R"].map(|name| text.find(name));
            let [Some(cap), Some(lock), Some(own)] = at else {
                panic!("{text}");
            };
            let end = text.rfind('}').expect("the end");
            let (head, lock, own) = (&text[..cap], &text[lock..own], &text[own..end]);
            let cap = &text[cap..text.find("register LOCK").expect("it")];
            let text = format!("{head} {own} {lock} {cap} }}");
            text.replace("LOCK", "BOLT")
                .replace("register R ", "register Q ")
        };
        let renamed = prints(&turned(&old), &turned(&small), rule);
        assert_eq!(prints(&old, &small, rule), renamed, "{rule}: {old}");
    }
}

/// A manifest has no names, and an order of its own.
#[test]
fn findings_between_manifests_are_those_between_specs() {
    let folder = format!("{}/../specs", env!("CARGO_MANIFEST_DIR"));
    for spec in ["vmce", "vmce-amd"] {
        let read = |ending: &str| {
            let path = format!("{folder}/{spec}.{ending}");
            std::fs::read_to_string(&path).expect("a shipped spec")
        };
        let (text, lock) = (read("msr"), read("lock"));
        let model = compile_text(&text).model.expect("without mistakes");
        let name = &model.views[0].name;
        let view = |version: usize| {
            let view = &model.views[version];
            let released = Side::of_manifest("lock", "lock", &lock, name, view.version);
            released.map(|released| [Side::of_spec("spec", "spec", &text, view), released])
        };
        for version in 1..model.views.len() {
            let (Some(old), Some(new)) = (view(version - 1), view(version)) else {
                continue;
            };
            let [of_specs, of_manifests] = [0, 1].map(|kind| {
                let comparison = compare(&old[kind], &new[kind]).decided();
                let findings = comparison.unwrap_or_else(|_| panic!("{spec}")).findings;
                let said = findings.iter().filter(|one| one.rule.id != "documentation");
                let said = said.map(|one| (one.rule.id, one.fingerprint()));
                said.collect::<BTreeSet<_>>()
            });
            assert!(!of_specs.is_empty());
            assert_eq!(of_specs, of_manifests, "{spec}@{version}");
        }
    }
}

#[test]
fn a_finding_is_waived_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let (_, old, small, _) = grown().into_iter().next().expect("a change");
    let (old, new) = (write("old.msr", &old), write("new.msr", &small));
    let output = msr(&["diff", "--json", &old, &new], "");
    let json = String::from_utf8(output.stdout).expect("text");
    let (_, rest) = json.split_once("\"fingerprint\": \"").expect("a finding");
    let print = rest.split('"').next().expect("a fingerprint");
    let waivers = write(
        "waivers",
        &format!("{print} meant\n\n{print} for another reason\n"),
    );
    let output = msr(&["diff", "--waivers", &waivers, &old, &new], "");
    let text = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{text}");
    let mistake =
        format!("{waivers}:3:1: `{print}` is waived in line 1 already: take one of them out");
    assert!(text.contains(&mistake), "{text}");
}

#[test]
fn a_waiver_of_a_smaller_change_is_a_mistake_that_names_both() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let (rule, old, small, large) = grown().remove(0);
    let print = prints(&old, &small, rule).pop_first().expect("one");
    let now = prints(&old, &large, rule).pop_first().expect("one");
    let waivers = write("waivers", &format!("# agreed\n{print} nobody writes 9\n"));
    let (old, small, large) = (
        write("old.msr", &old),
        write("small.msr", &small),
        write("large.msr", &large),
    );
    let run = |new: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_msr"))
            .args([
                "diff",
                "--deny",
                "breaking",
                "--waivers",
                &waivers,
                &old,
                new,
            ])
            .output()
            .expect("msr runs");
        let talk = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), talk)
    };
    assert_eq!(run(&small), (Some(0), String::new()));
    let (status, talk) = run(&large);
    let names = talk.contains(&format!(
        "waivers:2:1: `{print}` (nobody writes 9) was for another"
    )) && talk.contains(&format!(
        "{now}  write-faults  R 0x11: wrmsr of values from 0x1 to 0x9"
    ));
    assert_eq!((status, names), (Some(2), true), "{talk}");
}
