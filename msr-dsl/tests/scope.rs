//! State that a guest's vCPUs share, as the command shows, compares, moves and tries it.

mod common;

use common::msr;
use msr_dsl::compare::compare;
use msr_dsl::compare::finding::Finding;
use msr_dsl::compare::side::Side;
use msr_dsl::manifest::{self, Manifest};
use msr_dsl::model::Model;
use msr_dsl::source::compile_text;

const HYPERV: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../msr-dsl-macros/tests/shared/hyperv.msr"
);

fn said(arguments: &[&str], input: &str) -> String {
    let output = msr(arguments, input);
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8(said).expect("text")
}

#[test]
fn sim_has_vcpus() {
    let input = "wrmsr 40000000 8100\nwrmsr 40000073 5001\nvcpu 1\nrdmsr 40000000\nrdmsr 40000073\n\
                 init\nvcpu 0\nrdmsr 40000073\nreset\nrdmsr 40000000\nrdmsr 40000073\n";
    let zero = "0x0000000000000000\n";
    let answers = format!("ok\nok\n0x0000000000008100\n{zero}0x0000000000005001\n{zero}{zero}");
    assert_eq!(said(&["sim", HYPERV], input), answers);
    let wrong = "line 1: `1ffffffff` is not a vCPU's number: it has more than 32 bits\n";
    assert_eq!(said(&["sim", HYPERV], "vcpu 1ffffffff"), wrong);
    let vmce = concat!(env!("CARGO_MANIFEST_DIR"), "/../specs/vmce.msr@3");
    let none = "line 1: no register of `vmce` version 3 has the scope `guest`\n";
    assert_eq!(said(&["sim", vmce], "save guest"), none);
}

#[test]
fn both_records_are_dumped_checked_converted_and_restored() {
    let saved = said(&["sim", HYPERV], "wrmsr 40000000 8100\nsave\nsave guest\n");
    let lines: Vec<&str> = saved.lines().collect();
    let [_, own, shared] = lines.as_slice() else {
        panic!("{saved}");
    };
    let dump = said(&["record", "dump", HYPERV, shared], "");
    assert_eq!(
        dump,
        "hyperv version 1, 56 bytes\nitem 0: of what the guest's vCPUs share\n\
         item 1 (GUEST_OS_ID): 0x0000000000008100\nitem 2 (HYPERCALL): 0x0000000000000000\n"
    );
    for record in [own, shared] {
        let check = said(&["record", "check", HYPERV, record], "");
        assert_eq!(check, "version 1: accepted\n");
        let same = said(&["record", "convert", HYPERV, record, HYPERV], "");
        assert_eq!(same, format!("{record}\n"));
    }
    let input = format!("restore {shared}\nvcpu 3\nrdmsr 40000000\n");
    assert_eq!(said(&["sim", HYPERV], &input), "ok\n0x0000000000008100\n");
}

#[test]
fn show_says_whose_state_it_is() {
    let table = said(&["show", HYPERV], "");
    let rows: Vec<(&str, &str)> = table
        .lines()
        .skip(3)
        .filter_map(|row| Some((row.split(' ').next()?, row.rsplit("  ").next()?.trim())))
        .collect();
    let states = [
        ("GUEST_OS_ID", "guest"),
        ("HYPERCALL", "guest"),
        ("VP_INDEX", "held"),
        ("VP_ASSIST_PAGE", "tag 4"),
        ("CRASH_P0", "guest"),
    ];
    assert_eq!(rows, states, "{table}");
    let one = said(&["show", HYPERV, "HYPERCALL"], "");
    assert!(
        one.contains("state      one for all vCPUs of a guest\n"),
        "{one}"
    );
    let held = said(&["show", HYPERV, "VP_INDEX"], "");
    assert!(
        held.contains("state      set and taken by the hypervisor (held)\n"),
        "{held}"
    );
}

#[test]
fn the_reference_page_says_whose_state_it_is() {
    let model = compile_text(&std::fs::read_to_string(HYPERV).expect("a spec"));
    let page = msr_dsl::document::page(&model.model.expect("without mistakes"));
    for words in [
        "<dt>state</dt><dd>one for all vCPUs of a guest</dd>",
        "<dt>state</dt><dd>set and taken by the hypervisor (held)</dd>",
        "The saved record of what the guest's vCPUs share",
    ] {
        assert!(page.contains(words), "{words}");
    }
}

#[test]
fn vectors_are_tried_by_two_vcpus() {
    let vectors = said(&["vectors", HYPERV], "");
    assert!(vectors.contains("vcpu 1\n"), "{vectors}");
    assert!(
        vectors
            .lines()
            .any(|line| line.starts_with("save guest # "))
    );
    let expected = vectors.lines().filter_map(|line| line.split_once(" # "));
    let expected: String = expected.map(|(_, answer)| format!("{answer}\n")).collect();
    assert_eq!(said(&["sim", HYPERV], &vectors), expected);
}

/// A lock, a register that it locks, and one that shows both; `scopes` says whose the first two are.
fn spec(scopes: [&str; 2], tags: [u32; 2], init: &str) -> String {
    let [lock, value] = scopes;
    let [lock_tag, value_tag] = tags;
    format!(
        r#"interface! {{
    /// For the test.
    interface pair {{ vendor any; version 1 "one"; }}
    /// A lock.
    register LOCK @ 0x500 {{ cite "the test"; scope {lock}; {init} write store; reserved fault_if_set; migrate saved {lock_tag}; [0] ON: bool; }}
    /// What is locked.
    register VALUE @ 0x501 {{ cite "the test"; scope {value}; write locked LOCK.ON; migrate saved {value_tag}; }}
    /// Both.
    register BOTH @ 0x502 {{ cite "the test"; read VALUE ^ 0; write ignore; }}
}}"#
    )
    .replace("VALUE ^ 0", "VALUE | (LOCK << 63)")
}

fn model(text: &str) -> Model {
    let outcome = compile_text(text);
    outcome
        .model
        .unwrap_or_else(|| panic!("{:?}", outcome.diagnostics))
}

fn side(text: &str) -> Side {
    Side::of_spec("a.msr", "a.msr", text, model(text).newest())
}

fn findings(old: &str, new: &str) -> Vec<Finding> {
    let comparison = compare(&side(old), &side(new)).decided().expect("small");
    comparison.findings
}

fn names(findings: &[Finding]) -> Vec<(&'static str, Vec<u32>)> {
    findings
        .iter()
        .map(|one| (one.rule.id, one.about.msrs.clone()))
        .collect()
}

#[test]
fn another_scope_is_shown_by_two_vcpus() {
    let own = spec(["guest", "vcpu"], [1, 2], "");
    let shared = spec(["guest", "guest"], [1, 3], "");
    let there = findings(&own, &shared);
    let guest: Vec<&Finding> = there
        .iter()
        .filter(|one| one.rule.id == "scope-guest")
        .collect();
    let [finding] = guest.as_slice() else {
        panic!("{there:#?}");
    };
    assert_eq!(finding.about.msrs, [0x501]);
    assert_eq!(finding.lines[1].as_ref().map(|line| line.line), Some(7));
    let witness = finding.witness.as_ref().expect("a witness");
    let commands = witness.commands();
    assert_eq!(commands[1..], ["vcpu 1", "rdmsr 0x501"], "{commands:?}");
    assert!(witness.tells());
    // The command answers as the witness says.
    let folder = tempfile::tempdir().expect("a folder");
    for (side, text) in [&own, &shared].into_iter().enumerate() {
        let file = folder.path().join(format!("side{side}.msr"));
        std::fs::write(&file, text).expect("a file");
        let answers = said(&["sim", &file.display().to_string()], &commands.join("\n"));
        assert_eq!(answers.lines().last(), Some(witness.answers[side].as_str()));
    }
    // The record moves too, and the other way round the mirrors are told.
    let there = names(&there);
    for rule in ["item-removed", "item-added"] {
        assert!(there.iter().any(|(name, _)| *name == rule), "{there:?}");
    }
    let back = names(&findings(&shared, &own));
    assert!(back.contains(&("scope-vcpu", vec![0x501])), "{back:?}");
    assert_eq!(back.len(), there.len());
}

#[test]
fn the_same_scope_is_no_difference_and_a_manifest_says_it() {
    let text = spec(["guest", "guest"], [1, 3], "");
    assert_eq!(findings(&text, &text), []);
    let model = model(&text);
    let lines = manifest::lines(model.newest());
    assert_eq!(lines.get("0x501 scope").map(String::as_str), Some("guest"));
    let manifest = Manifest::of(&model).text("pair");
    let released = Side::of_manifest("a.lock", "a.lock", &manifest, "pair", 1).expect("a manifest");
    let comparison = compare(&released, &side(&text)).decided().expect("small");
    let guest = comparison.findings.iter();
    let told: Vec<_> = guest.filter(|one| one.rule.witnessed).collect();
    assert!(told.is_empty(), "{told:#?}");
    let own = spec(["guest", "vcpu"], [1, 2], "");
    let comparison = compare(&released, &side(&own)).decided().expect("small");
    let names = names(&comparison.findings);
    assert!(names.contains(&("scope-vcpu", vec![0x501])), "{names:?}");
}

#[test]
fn init_of_another_vcpu_is_a_way_to_a_difference() {
    // INIT locks VALUE and resets that of its own vCPU: only another vCPU's INIT leaves it with a value, locked.
    let text = |read: &str| {
        format!(
            r#"interface! {{
    /// For the test.
    interface pair {{ vendor any; version 1 "one"; }}
    /// Set by INIT.
    register LOCK @ 0x500 {{ cite "the test"; scope guest; init 1; write store; reserved ignore; migrate saved 1; [0] ON: bool {{ write ignore; }} }}
    /// What is locked.
    register VALUE @ 0x501 {{ cite "the test"; init reset; write locked LOCK.ON; migrate saved 2; }}
    /// Both.
    register BOTH @ 0x502 {{ cite "the test"; read {read}; write ignore; }}
}}"#
        )
    };
    let plain = text("VALUE");
    let other = text("VALUE if !LOCK.ON || VALUE == 0 else 7");
    let found = findings(&plain, &other);
    let [finding] = found.as_slice() else {
        panic!("{found:#?}");
    };
    let commands = finding.witness.as_ref().expect("a witness").commands();
    let init = ["vcpu 1", "init", "vcpu 0"].map(str::to_owned);
    assert!(
        commands.windows(3).any(|lines| lines == init),
        "{commands:?}"
    );
    assert!(finding.witness.as_ref().is_some_and(|one| one.tells()));
}
