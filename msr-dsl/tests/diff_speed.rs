//! How much comparisons have to do. Times are printed (`cargo test --release --test diff_speed -- --nocapture`) and asserted nowhere,
//! since a busy machine is no mistake. What is asserted are the steps of the decisions (`Comparison::work`), which are the same on every
//! machine: each shape of a large spec has its limit, three tenths above what it takes.

use msr_dsl::compare::side::Side;
use msr_dsl::compare::{Comparison, compare};
use msr_dsl::source::compile_text;
use std::time::Instant;

/// Registers of which limits are known: more of them have more in common, and take less for each.
const COUNT: usize = 126;

/// How many registers are compared; `MSR_DIFF_REGISTERS=1000` compares as many, for their times.
fn count() -> usize {
    let asked = std::env::var("MSR_DIFF_REGISTERS").ok();
    asked
        .and_then(|count| count.parse().ok())
        .map_or(COUNT, |count: usize| count.max(COUNT))
}

/// A comparison of two specs of so many registers keeps to its limit, which is that of [`COUNT`] of them, in thousands of steps.
fn keeps_to(most: u64, comparison: &Comparison) {
    assert!(comparison.findings.len() >= count());
    let [old, new] = &comparison.names;
    let (steps, most) = (comparison.work, most * 1000 * count() as u64 / COUNT as u64);
    assert!(steps <= most, "{old} → {new}: {steps} steps");
}

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

/// A lock, and a capability word with a feature.
const COMMON: &str = "interface! { interface many { vendor any; version 1 \"t\"; capability CAP; }
feature F { bit CAP.BIT; offered; }
register CAP @ 0xffe { cite \"t\"; write ignore; reserved ignore; migrate saved 9998; restore accepts BIT; [0] BIT: bool; }
register LOCK @ 0xfff { cite \"t\"; write sticky; reserved ignore; migrate saved 9999; [0] L: bool; }\n";

/// A spec of many registers of 1 to 63 bits, each of which has these rules.
fn many(count: usize, rules: &str) -> String {
    let register = |at: usize| {
        format!(
            "register R{at} @ {:#x} {{ cite \"t\"; {rules} reserved ignore; migrate saved {}; [{}:0] VALUE: u{}; }}\n",
            0x1000 + at,
            at + 1,
            at % 63,
            at % 63 + 1
        )
    };
    let registers: String = (0..count).map(register).collect();
    format!("{COMMON}{registers} }}")
}

/// The same of 63 bits each, of which no two are alike: each has its own set of values.
fn unlike(legal: &dyn Fn(usize) -> String) -> String {
    let register = |at: usize| {
        format!(
            "register R{at} @ {:#x} {{ cite \"t\"; write store; reserved ignore; migrate saved {}; [62:0] VALUE: u63 {{ {} }} }}\n",
            0x1000 + at,
            at + 1,
            legal(at)
        )
    };
    let registers: String = (0..count()).map(register).collect();
    format!("{COMMON}{registers} }}")
}

fn timed(old: &Side, new: &Side) -> Comparison {
    let start = Instant::now();
    let comparison = compare(old, new)
        .decided()
        .unwrap_or_else(|question| panic!("{question}"));
    println!(
        "{} → {}: {} findings in {:?}, {} steps",
        old.name,
        new.name,
        comparison.findings.len(),
        start.elapsed(),
        comparison.work
    );
    comparison
}

/// Compares registers with some rules and registers with others.
fn held_to(most: u64, rules: [&str; 2]) {
    let [old, new] = rules.map(|rules| side(rules, &many(count(), rules)));
    keeps_to(most, &timed(&old, &new));
}

#[test]
fn shipped_specs() {
    for (old, new, least, most) in [("vmce", "kvm", 20, 2_430), ("platform", "sdm", 20, 730)] {
        let comparison = timed(&shipped(old), &shipped(new));
        let findings = comparison.findings.len();
        assert!(findings >= least, "{old} and {new}: {findings} findings");
        let steps = comparison.work;
        assert!(steps <= most * 1000, "{old} and {new}: {steps} steps");
    }
}

#[test]
fn what_is_the_same_is_not_asked_about() {
    let [old, new] = ["one", "the same"].map(|name| side(name, &many(count(), "write store;")));
    let comparison = timed(&old, &new);
    assert_eq!((comparison.findings.len(), comparison.work), (0, 0));
}

#[test]
fn registers_that_all_changed() {
    held_to(4_900, ["write store;", "write sticky;"]);
    held_to(9_400, ["write store;", "write store; init reset;"]);
    held_to(2_800, ["write store;", "write store; reset 1;"]);
    held_to(4_500, ["write store;", "write store; scope guest;"]);
    held_to(
        24_600,
        ["write store;", "write one_clears; restore accepts all;"],
    );
    held_to(
        6_400,
        [
            "write store;",
            "write store; require value != 5 else fault;",
        ],
    );
    held_to(3_600, ["write store;", "when F else fault; write store;"]);
    held_to(
        10_600,
        ["write store;", "read state if F else 0; write store;"],
    );
}

#[test]
fn registers_with_one_lock() {
    held_to(7_500, ["write store;", "write locked LOCK.L;"]);
    held_to(
        6_600,
        ["write store;", "when !LOCK.L else zero; write store;"],
    );
    held_to(
        33_800,
        [
            "write locked LOCK.L;",
            "write store; require !LOCK.L || value == 0 else fault;",
        ],
    );
}

#[test]
fn registers_of_which_no_two_are_alike() {
    let all = side("any value", &unlike(&|_| String::new()));
    let some = side(
        "some values",
        &unlike(&|at| format!("legal 0..={} else fault;", (1u64 << 62) + at as u64)),
    );
    keeps_to(33_000, &timed(&all, &some));
}

/// The steps are those of the questions, in whatever order and on however many processors they are answered.
#[test]
fn the_same_comparison_takes_the_same_steps() {
    let [old, new] =
        ["write store;", "write store; init reset;"].map(|rules| side(rules, &many(100, rules)));
    let steps = compare(&old, &new).work;
    assert!(steps > 0);
    for _ in 0..3 {
        assert_eq!(compare(&old, &new).work, steps);
    }
}
