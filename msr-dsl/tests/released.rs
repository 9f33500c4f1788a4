//! A manifest says everything that a version does: what is read back from it says the same lines again, and differs in
//! nothing from the spec that it was made of.

#[path = "../../msr-dsl-macros/tests/random/generate.rs"]
mod generate;

use generate::{Random, spec};
use msr_dsl::compare::compare;
use msr_dsl::compare::released;
use msr_dsl::compare::side::Side;
use msr_dsl::manifest::{self, Manifest};
use msr_dsl::source::compile_text;
use std::collections::BTreeMap;

const RANDOM: u64 = 60;

/// Clauses that neither a shipped nor a random spec has.
const CLAUSES: &str = "interface! {
    interface clauses {
        vendor any; version 1 \"t\";
        capability CAP;
        banks { count CAP.COUNT if CAP.A_P else 2; limit 8; stored 2; beyond zero; }
    }
    feature A { bit CAP.A_P; offered; host CARD; }
    feature B { bit CAP.B_P; offered; requires A | C; requires C; }
    feature C { bit CAP.C_P; default; }
    hook Look(value: u64, msr: u32, index: u32);
    hook Read();
    register CAP @ 0x10 { cite \"t\"; reset 0x402; write ignore; migrate saved 1; restore accepts COUNT | A_P | B_P | C_P;
      [7:0] COUNT: u8; [8] A_P: bool; [9] B_P: bool; [10] C_P: bool; }
    register CLOSED @ 0x11 { cite \"t\"; write store; reserved fault_if_set; migrate saved 2;
      [3:2] M: enum { A = 0, B = 1, C = 2 }; [9:4] N: enum { A = 0, TEN = 10, FIFTEEN = 15, MANY = 0x2e }; }
    register LOCKED @ 0x13, 0x12 { cite \"t\"; write locked CAP.A_P && !CAP.B_P; migrate saved 3 default 5; }
    register FIELDS @ 0x14 { cite \"t\"; write locked MUTE; reserved ignore; migrate saved 4; restore after CLOSED;
      [0] MUTE: bool { write sticky; }
      [3:1] LOW: u3 { when CAP.A_P || CAP.C_P; write locked MUTE && !CAP.A_P; legal 1..=4, 6 else keep; }
      [7:4] MID: u4 { when CAP.B_P; read CAP.COUNT & 7 if CAP.A_P else 3; write fault_on_change; } }
    register CALLS @ 0x15 { cite \"t\"; when !CAP.A_P || CAP.B_P && CAP.C_P else zero; read state; write store then hook Look;
      require value & 1 == 0 || CAP.A_P else fault; legal 0..=0xffff, all_ones less [3] [9:7] else ignore; migrate saved 8; }
    register DEAF @ 0x16, 0x15f { cite \"t\"; read LOCKED; write fault; [0] ON: bool { when CAP.A_P; } }
    register ASKS @ 0x17 { cite \"t\"; read hook Read; write fault; }
    register WHOLE @ 0xd7, 0xc00000d7 { cite \"t\"; write locked CLOSED.M == 1; migrate saved 6; [63:0] V: u64 { write store; } }
    bank register EACH @ 0x20 + 2 * i { cite \"t\"; write store; require i != 1 || value < 8 else ignore; migrate saved 5; }
    register FIRST @ 0x19 { cite \"t\"; read EACH[1] | 1; write ignore; }
    removed tag 77 accepted \"t\";
}";

/// Every version of a spec against its manifest.
fn same(name: &str, text: &str) {
    let compiled = compile_text(text);
    let model = compiled.model.unwrap_or_else(|| {
        let why: Vec<String> = compiled.diagnostics.iter().map(|one| one.text()).collect();
        panic!("{name}: {}\n{text}", why.join("\n"))
    });
    let manifest = Manifest::of(&model);
    let written = manifest.text(&model.name);
    assert_eq!(Manifest::parse(&written).as_ref(), Ok(&manifest));
    let versions = manifest.versions;
    for view in &model.views {
        let place = format!("{name}@{}", view.version);
        let read = released::view(&model.name, view.version, &versions[&view.version])
            .unwrap_or_else(|| panic!("{place} is not read:\n{written}"));
        let differ = |one: &BTreeMap<String, String>, other: &BTreeMap<String, String>| {
            let mut lines = one.clone();
            lines.retain(|key, value| other.get(key) != Some(value));
            lines
        };
        let (was, is) = (manifest::lines(view), manifest::lines(&read));
        assert_eq!(differ(&was, &is), differ(&is, &was), "{place}\n{text}");
        let spec = Side::of_spec(&place, name, text, view);
        let lock = Side::of_manifest("lock", "lock", &written, &model.name, view.version)
            .expect("a manifest");
        for [old, new] in [[&lock, &spec], [&spec, &lock]] {
            let comparison = compare(old, new)
                .decided()
                .unwrap_or_else(|question| panic!("{place}: {question}"));
            assert_eq!(comparison.findings, [], "{place}\n{text}");
        }
    }
}

#[test]
fn shipped_specs() {
    for spec in ["vmce", "vmce-amd", "kvm", "sdm", "platform"] {
        let path = format!("{}/../specs/{spec}.msr", env!("CARGO_MANIFEST_DIR"));
        same(
            spec,
            &std::fs::read_to_string(path).expect("a shipped spec"),
        );
    }
}

#[test]
fn every_clause() {
    same("clauses", CLAUSES);
}

#[test]
fn random_specs() {
    for seed in 1..=RANDOM {
        let mut random = Random::new(seed);
        same(&format!("seed {seed}"), &spec(&mut random));
    }
}

/// What is said in other words or in another order is the same line.
#[test]
fn words_and_order_do_not_count() {
    let lines = |body: &str| {
        let text = format!(
            "interface! {{ interface t {{ vendor any; version 1 \"t\"; }}
             register A @ 0x10 {{ cite \"t\"; write store; migrate saved 1; }}
             register B @ 0x11 {{ cite \"t\"; write store; migrate saved 2; }}
             register R @ {body} }}"
        );
        let outcome = compile_text(&text);
        let found = outcome.diagnostics.iter().map(|one| one.text());
        let model = outcome
            .model
            .unwrap_or_else(|| panic!("{:?}", found.collect::<Vec<_>>()));
        manifest::lines(model.newest())
    };
    let store = |rule: &str| format!("0x20 {{ cite \"t\"; write store; {rule} migrate saved 3; }}");
    let same = [
        [
            "0x21, 0x20 { cite \"t\"; read A; write fault; }",
            "0x20..=0x21 { cite \"t\"; read A; write fault; }",
        ],
        [
            "0x20 { cite \"t\"; read A | B; write fault; }",
            "0x20 { cite \"t\"; read B | A | B; write fault; }",
        ],
        [
            "0x20 { cite \"t\"; read zero if A < B else 1; write fault; }",
            "0x20 { cite \"t\"; read zero if B > A else 1; write fault; }",
        ],
        [
            &store("legal 0..=2 else fault;"),
            &store("legal 2, 0, 1 else fault;"),
        ],
        [
            &store("require value != 3 && A == 0 else fault;"),
            &store("require 0 == A && 3 != value else fault;"),
        ],
    ];
    for [one, other] in same {
        assert_eq!(lines(one), lines(other), "{one}\n{other}");
    }
    let unlike = [
        [
            "0x20, 0x22 { cite \"t\"; read A; write fault; }",
            "0x20..=0x22 { cite \"t\"; read A; write fault; }",
        ],
        // Here the place in the range counts.
        [
            "0x20..=0x21 { cite \"t\"; read i; write fault; }",
            "0x20..=0x22 { cite \"t\"; read i; write fault; }",
        ],
        [
            "0x20 { cite \"t\"; read zero if A < B else 1; write fault; }",
            "0x20 { cite \"t\"; read zero if B < A else 1; write fault; }",
        ],
        [
            "0x20 { cite \"t\"; read A << 1; write fault; }",
            "0x20 { cite \"t\"; read A << 2; write fault; }",
        ],
    ];
    for [one, other] in unlike {
        assert_ne!(lines(one), lines(other), "{one}\n{other}");
    }
}

/// A version from before a tag never took it: a tombstone does not alter what it does, so that one can be added where it is released.
#[test]
fn a_tombstone_is_for_the_versions_after_its_tag() {
    let text = "interface! { interface t { vendor any; version 1 \"a\"; version 2 \"b\"; version 3 \"c\"; version 4 \"d\"; }
        register A @ 0x10 { cite \"t\"; write store; migrate saved 1; }
        register B @ 0x11 in 2 { cite \"t\"; write store; migrate saved 2; }
        register C @ 0x12 in 4.. { cite \"t\"; write store; migrate saved 3; }
        removed tag 2 accepted \"t\"; removed tag 9 accepted \"t\"; }";
    let model = compile_text(text).model.expect("no mistakes");
    let dropped = model.views.iter().map(|view| view.dropped_tags.clone());
    let dropped: Vec<Vec<u16>> = dropped.collect();
    assert_eq!(dropped, [vec![9], vec![9], vec![2, 9], vec![2, 9]]);
}
