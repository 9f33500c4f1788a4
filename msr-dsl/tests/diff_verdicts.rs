//! Verdicts that were wrong once: about guests that have a register on one side alone, and about banks that rules name by their numbers.

mod common;
#[path = "common/specs.rs"]
mod specs;

use specs::has;

/// What `msr diff` prints of two specs that it can compare.
fn diff(old: &str, new: &str) -> String {
    let (text, status) = specs::diff(old, new, &[]);
    assert_eq!(status, 0, "{text}");
    text
}

/// The register goes for every guest, and some faulted at a write before: the first is not less true for that.
#[test]
fn a_register_that_goes_is_about_every_guest_that_had_it() {
    let text = diff(
        r#"interface! { interface t { vendor any; version 1 "t"; capability CAP; }
register CAP @ 0x179 { cite "t"; write ignore; migrate saved 100; restore accepts G; [9] G: bool; }
feature GG { bit CAP.G; offered; }
register LL @ 0x10 { cite "t"; write sticky; reserved ignore; migrate saved 1; [0] LK: bool; }
register R @ 0x11 { cite "t";  reset 7; require !CAP.G || value & 0xf == value else fault; write store; migrate saved 2; }
 }"#,
        r#"interface! { interface t { vendor any; version 1 "t"; capability CAP; }
register CAP @ 0x179 { cite "t"; write ignore; migrate saved 100; restore accepts G; [9] G: bool; }
feature GG { bit CAP.G; offered; }
register LL @ 0x10 { cite "t"; write sticky; reserved ignore; migrate saved 1; [0] LK: bool; }
register R @ 0x11 { cite "t"; when !LL.LK else zero; reset 7; require !CAP.G || value & 0xf == value else fault; write store; migrate saved 2; }
 }"#,
    );
    has(&text, "  register-absent  R 0x11  [");
    has(
        &text,
        "        wrmsr 0x10 0x1\n        rdmsr 0x11\n        # 0x0000000000000007 → 0x0000000000000000\n",
    );
    has(&text, "  write-accepted  R 0x11  [");
    has(
        &text,
        "  a guest as created by default: goes on if it does not read or write 0x11\n",
    );
}

/// A write that was dropped, and faults where the register is.
#[test]
fn a_register_that_comes_may_fault() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../specs/kvm.msr");
    let kvm = std::fs::read_to_string(path).expect("a shipped spec");
    let at = kvm.find("register MCG_CTL @").expect("a register");
    let (head, tail) = kvm.split_at(at);
    let (from, to) = (
        "when MCG_CAP.CTL_P else fault;",
        "when MCG_CAP.CTL_P else zero;",
    );
    let absent = format!("{head}{}", tail.replacen(from, to, 1));
    let present = format!("{head}{}", tail.replacen(from, "", 1));
    assert!(absent != present && present != kvm);
    let text = diff(&absent, &present);
    has(&text, "  register-present  MCG_CTL 0x17b  [");
    has(&text, "  write-faults  MCG_CTL 0x17b  [");
    has(&text, "        # ok → #GP\n");
    has(&text, "old → new: safe on conditions\n");
}

/// For bank 0 both rules say the same, for bank 1 they do not.
#[test]
fn a_bank_that_a_rule_names_is_not_like_the_others() {
    let text = diff(
        r#"interface! { interface t { vendor any; version 1 "t"; capability CAP; banks { count CAP.COUNT; limit 8; stored 2; beyond fault; } }
register CAP @ 0x179 { cite "t"; reset 0x2; write ignore; migrate saved 100; restore accepts COUNT; [7:0] COUNT: u8 { restore accepts 2; } }
bank register CTL @ 0x400 + 4*i { cite "t"; write store; reserved ignore; migrate saved 1; [0] A: bool; [1] B: bool; [2] V: bool { write locked CTL[0].A && CTL[1].B; } } }"#,
        r#"interface! { interface t { vendor any; version 1 "t"; capability CAP; banks { count CAP.COUNT; limit 8; stored 2; beyond fault; } }
register CAP @ 0x179 { cite "t"; reset 0x2; write ignore; migrate saved 100; restore accepts COUNT; [7:0] COUNT: u8 { restore accepts 2; } }
bank register CTL @ 0x400 + 4*i { cite "t"; write store; reserved ignore; migrate saved 1; [0] A: bool; [1] B: bool; [2] V: bool { write locked A && CTL[1].B; } } }"#,
    );
    has(&text, "  write-ignored  CTL 0x404  [");
    assert!(!text.contains("0x400  ["), "{text}");
}
