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
    register DEAF @ 0x16, 0x15f { cite \"t\"; read LOCKED; write fault; [0] A: bool { when CAP.A_P; } }
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
            let comparison = compare(old, new).unwrap_or_else(|_| panic!("{place}: too large"));
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
