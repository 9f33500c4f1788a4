//! How long comparisons take: printed (`cargo test --release --test diff_speed -- --nocapture`), and asserted nowhere, since a
//! busy machine is no mistake.

use msr_dsl::compare::compare;
use msr_dsl::compare::side::Side;
use msr_dsl::source::compile_text;
use std::time::Instant;

fn side(name: &str, text: &str) -> Side {
    let model = compile_text(text)
        .model
        .unwrap_or_else(|| panic!("{name} has mistakes"));
    Side::of_spec(name, name, text, model.newest())
}

fn shipped(spec: &str) -> Side {
    let path = format!("{}/../specs/{spec}.msr", env!("CARGO_MANIFEST_DIR"));
    side(
        spec,
        &std::fs::read_to_string(&path).expect("a shipped spec"),
    )
}

/// A spec of many registers, each of which depends on the rule.
fn many(count: usize, rule: &str) -> String {
    let register = |at: usize| {
        format!(
            "register R{at} @ {:#x} {{ cite \"t\"; write {rule}; reserved ignore; migrate saved {}; [{}:0] VALUE: u{}; }}\n",
            0x1000 + at,
            at + 1,
            at % 63,
            at % 63 + 1
        )
    };
    let registers: String = (0..count).map(register).collect();
    format!("interface! {{ interface many {{ vendor any; version 1 \"t\"; }}\n{registers} }}")
}

/// A lock, and registers that all have a rule in which it may stand.
fn locked(count: usize, rule: &str) -> String {
    many(count, rule).replace(
        "version 1 \"t\"; }",
        "version 1 \"t\"; }\nregister LOCK @ 0xfff { cite \"t\"; write sticky; reserved ignore; migrate saved 9999; [0] L: bool; }",
    )
}

#[test]
fn comparisons_are_timed() {
    let timed = |old: &Side, new: &Side, least: usize| {
        let start = Instant::now();
        let comparison = compare(old, new)
            .decided()
            .unwrap_or_else(|question| panic!("{question}"));
        println!(
            "{} → {}: {} findings in {:?}",
            old.name,
            new.name,
            comparison.findings.len(),
            start.elapsed()
        );
        assert!(
            comparison.findings.len() >= least,
            "{} findings",
            comparison.findings.len()
        );
    };
    timed(&shipped("vmce"), &shipped("kvm"), 20);
    timed(&shipped("platform"), &shipped("sdm"), 20);
    let (stored, sticky) = (many(1000, "store"), many(1000, "sticky"));
    timed(
        &side("1000 registers", &stored),
        &side("the same", &stored),
        0,
    );
    timed(
        &side("1000 registers", &stored),
        &side("all changed", &sticky),
        1000,
    );
    let (free, held) = (locked(1000, "store"), locked(1000, "locked LOCK.L"));
    timed(
        &side("1000 registers", &free),
        &side("all locked by one bit", &held),
        1000,
    );
}
