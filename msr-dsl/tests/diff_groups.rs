//! Each MSR is asked about with what it depends on, and with nothing else: registers that have a lock in common are no larger a
//! question for it, and one that is too large leaves the answers of the others.

mod common;
#[path = "common/specs.rs"]
mod specs;

use specs::{diff, has};

fn spec(registers: impl IntoIterator<Item = String>) -> String {
    let registers: String = registers.into_iter().collect();
    format!("interface! {{ interface t {{ vendor any; version 1 \"t\"; }}\n{registers} }}")
}

/// A lock bit, and registers of so many bits with a rule that may ask for it.
fn locked(count: usize, bits: usize, rule: &str) -> String {
    let lock = "register LOCK @ 0xfff { cite \"t\"; write sticky; reserved ignore; migrate saved 9999; [0] L: bool; }\n";
    let register = |at: usize| {
        format!(
            "register R{at} @ {:#x} {{ cite \"t\"; {rule} reserved ignore; migrate saved {}; [{}:0] VALUE: u{bits}; }}\n",
            0x1000 + at,
            at + 1,
            bits - 1
        )
    };
    spec(std::iter::once(lock.to_owned()).chain((0..count).map(register)))
}

#[test]
fn registers_with_a_lock_in_common_are_decided_each() {
    for (count, bits) in [(4, 63), (50, 1), (50, 63)] {
        let (free, held) = (
            locked(count, bits, "write store;"),
            locked(count, bits, "write locked LOCK.L;"),
        );
        let (text, status) = diff(&free, &held, &[]);
        assert_eq!(status, 0, "{text}");
        has(&text, "  write-ignored  R0 0x1000  [");
        has(&text, "        wrmsr 0xfff 0x1\n        wrmsr 0x1000 0x");
        has(&text, "new → old: safe\n");
        has(&text, &format!("{count} findings, {count} breaking\n"));
        let gone = locked(count, bits, "when !LOCK.L else fault; write store;");
        let (text, status) = diff(&free, &gone, &[]);
        assert_eq!(status, 0, "{text}");
        has(&text, "  register-absent  R0 0x1000  [");
        has(
            &text,
            "        wrmsr 0xfff 0x1\n        rdmsr 0x1000\n        # 0x0000000000000000 → #GP\n",
        );
        has(&text, &format!("{count} findings, {count} breaking\n"));
    }
}

/// As many registers as a stack of the usual size would not hold the question of, were it one.
#[test]
fn registers_that_ask_for_one_of_them_are_decided_each() {
    let many = |rule: &str| {
        let register = |at: usize| {
            let rule = if at == 0 { "write store;" } else { rule };
            format!(
                "register R{at} @ {:#x} {{ cite \"t\"; {rule} reserved ignore; migrate saved {}; [7:0] VALUE: u8; }}\n",
                0x1000 + at,
                at + 1
            )
        };
        spec((0..600).map(register))
    };
    let (text, status) = diff(
        &many("write store;"),
        &many("write locked R0.VALUE == 0;"),
        &[],
    );
    assert_eq!(status, 0, "{text}");
    has(
        &text,
        "        wrmsr 0x1257 0xff\n        rdmsr 0x1257\n        # 0x00000000000000ff → 0x0000000000000000\n",
    );
    has(&text, "599 findings, 599 breaking\n");
}

/// Edits of a line of a shipped spec that had no answer when all that hangs on one bit was one question.
#[test]
fn a_lock_in_a_shipped_spec_is_decided() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../specs/kvm.msr");
    let kvm = std::fs::read_to_string(path).expect("a shipped spec");
    let edited = |register: &str, from: &str, to: &str| {
        let at = kvm.find(register).expect("a register");
        let (head, tail) = kvm.split_at(at);
        format!("{head}{}", tail.replacen(from, to, 1))
    };
    let (text, status) = diff(
        &kvm,
        &edited(
            "MCi_ADDR @",
            "write store;",
            "write locked IA32_FEATURE_CONTROL.LOCK;",
        ),
        &[],
    );
    assert_eq!(status, 0, "{text}");
    has(
        &text,
        "  write-ignored  MCi_ADDR 0x402 and 9 more to 0x426  [",
    );
    has(
        &text,
        "        wrmsr 0x3a 0x1\n        wrmsr 0x402 0xffffffffffffffff\n        rdmsr 0x402\n        # 0xffffffffffffffff → 0x0000000000000000\n",
    );
    has(&text, "1 finding, 1 breaking\n");
    let (text, status) = diff(
        &kvm,
        &edited(
            "MCi_CTL2 @",
            "when MCG_CAP.CMCI_P",
            "when MCG_CAP.CMCI_P && !IA32_FEATURE_CONTROL.LOCK",
        ),
        &[],
    );
    assert_eq!(status, 0, "{text}");
    has(&text, "  a guest as created by default: goes on\n");
    has(&text, "1 finding, 1 breaking\n");
}

/// What is decided is told, and what is not is named; no verdict is given on what is open.
#[test]
fn a_question_that_is_too_large_leaves_the_others() {
    let compares = |other: u32, rule: &str| {
        spec([
            "register R @ 0x11 { cite \"t\"; write store; migrate saved 1; }".to_owned(),
            format!(
                "register S @ 0x12 {{ cite \"t\"; read 1 if R & 0xffff == R >> 48 else {other}; write ignore; migrate derived; }}"
            ),
            format!(
                "register T @ 0x13 {{ cite \"t\"; write store; {rule} migrate saved 2; [0] A: bool; }}"
            ),
        ])
    };
    let (old, new) = (
        compares(0, "reserved store;"),
        compares(2, "reserved ignore;"),
    );
    let (text, status) = diff(&old, &new, &[]);
    assert_eq!(status, 2, "{text}");
    has(&text, "  write-ignored  T 0x13  [");
    has(
        &text,
        "old → new: not decided\n  write-ignored: it does not rely on bits 63:1 of 0x13\n",
    );
    has(&text, "new → old: not decided\n2 findings, 2 breaking\n");
    has(
        &text,
        "too many states hang together to decide: those of R 0x11, S 0x12.",
    );
    let (json, status) = diff(&old, &new, &["--json"]);
    assert_eq!(status, 2, "{json}");
    has(&json, "\"verdict\": \"undecided\"");
    for (form, part) in [
        (
            "--json",
            "\"undecided\": [\n        \"too many states hang together to decide: those of R 0x11, S 0x12.",
        ),
        (
            "--junit",
            "<error message=\"not decided\">too many states hang together",
        ),
        ("--github", "::error title=not decided::"),
        ("--sarif", "\"executionSuccessful\": false"),
        ("--markdown", "| old → new | not decided | - |"),
    ] {
        let (text, status) = diff(&old, &new, &[form]);
        assert_eq!(status, 2, "{form}: {text}");
        has(&text, part);
    }
}

/// A bit that guests can only clear, and of which a record may say that it is set.
#[test]
fn what_only_a_record_sets_is_asked_about_too() {
    let clears = |rule: &str| {
        spec([format!(
            "register R @ 0x11 {{ cite \"t\"; write ignore; reserved ignore; restore accepts all; migrate saved 1; [0] A: bool {{ write {rule}; }} }}"
        )])
    };
    let (text, status) = diff(&clears("one_clears"), &clears("ignore"), &[]);
    assert_eq!(status, 0, "{text}");
    has(&text, "  restored-changes  R 0x11  [");
    has(
        &text,
        "        wrmsr 0x11 0x1\n        rdmsr 0x11\n        # 0x0000000000000000 → 0x0000000000000001\n",
    );
    has(&text, "  a guest as created by default: goes on\n");
}

/// INIT clears the state behind a register that is hidden and shown by another one's bit: that is one change, however it is seen.
#[test]
fn what_a_step_only_shows_is_not_its_doing() {
    let shown = |init: &str| {
        spec([
            "register SWITCH @ 0x10 { cite \"t\"; write store; reserved ignore; migrate saved 1; [0] ON: bool; }".to_owned(),
            format!("register R @ 0x11 {{ cite \"t\"; when SWITCH.ON else fault; write store; {init} migrate saved 2; restore after SWITCH; }}"),
        ])
    };
    let (text, status) = diff(&shown(""), &shown("init reset;"), &[]);
    assert_eq!(status, 0, "{text}");
    has(&text, "  init-changed  R 0x11  [");
    has(&text, "1 finding, 1 breaking\n");
}
