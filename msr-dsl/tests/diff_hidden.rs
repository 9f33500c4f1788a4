//! Differences that something else hid once: another register that keeps a record from being taken, a finding about other guests or
//! another access, a count of banks, a capability register that comes. Each case names what must be told.

mod common;
#[path = "common/specs.rs"]
mod specs;

use specs::has;

/// A bit that guests can clear, and the same one kept turned round: whoever moves reads otherwise.
const STRAIGHT: &str = "register R @ 0x10 { cite \"t\"; reset 1; write one_clears; reserved ignore; migrate saved 2; [0] X: bool; }";
const TURNED: &str = "register R @ 0x10 { cite \"t\"; read 1 if !X else 0; write one_sets; reserved ignore; migrate saved 2; [0] X: bool; }";
/// What such a move is called, with what the default guest reads.
const MOVES: &str = "bit 0 differs after the move: 0x0000000000000001 → 0x0000000000000000";

/// A capability register whose guests have G, or not.
fn word(g: &str) -> String {
    format!(
        "feature FG {{ bit CAP.G; {g}; }} register CAP @ 0x179 {{ cite \"t\"; {} write ignore; migrate saved 100; restore accepts G; [9] G: bool; }}",
        match g {
            "default" => "reset 0x200;",
            _ => "",
        }
    )
}

fn interface(head: &str, registers: &[&str]) -> String {
    let registers = registers.join("\n");
    format!("interface! {{ interface t {{ vendor any; version 1 \"t\"; {head} }}\n{registers} }}")
}

#[track_caller]
fn told(old: &str, new: &str, parts: &[&str]) {
    let (text, status) = specs::diff(old, new, &[]);
    assert_eq!(status, 0, "{text}");
    parts.iter().for_each(|part| has(&text, part));
}

/// A record is taken as a whole: a guest that has written both registers moves, and finds the power-on values.
#[test]
fn another_register_that_keeps_the_record_from_being_taken() {
    let two = |migrate: [&str; 2]| {
        let [a, b] = [("A", 0x500, migrate[0]), ("B", 0x501, migrate[1])].map(|(name, msr, migrate)| {
            format!("register {name} @ {msr:#x} {{ cite \"t\"; reset 1; write store; reserved fault_if_set; migrate {migrate}; [0] X: bool; }}")
        });
        interface("", &[&a, &b])
    };
    told(
        &two(["saved 1", "saved 2"]),
        &two(["transient \"t\"", "transient \"t\""]),
        &[
            "  move-changes  A 0x500  [",
            "  move-changes  B 0x501  [",
            "# the record of a guest after: wrmsr 0x501 0x0; wrmsr 0x500 0x0\n",
        ],
    );
}

/// The two sides have one value of another register in common, or of one that the hypervisor holds, and it is neither's first.
#[test]
fn another_register_with_which_few_records_cross() {
    let named = |first: u32| {
        format!(
            "register Z @ 0x11 {{ cite \"t\"; reset {first}; write store; reserved fault_if_set; migrate saved 3; [2:0] M: enum {{ P = {first}, Q = 2 }}; }}"
        )
    };
    told(
        &interface("", &[&named(5), STRAIGHT]),
        &interface("", &[&named(1), TURNED]),
        &["  move-changes  R 0x10  [", MOVES],
    );
    let held = |rest: &str| {
        format!("register Z @ 0x11 {{ cite \"t\"; {rest} held; write pass; migrate saved 3; }}")
    };
    told(
        &interface("", &[&held("reset 5;"), STRAIGHT]),
        &interface("", &[&held("legal 1..=3 else fault; reset 1;"), TURNED]),
        &["  move-changes  R 0x10  [", MOVES],
    );
}

#[test]
fn a_finding_about_other_guests() {
    let turned = TURNED.replace("!X else", "!X || !CAP.G else");
    let (head, word) = ("capability CAP;", word("default"));
    told(
        &interface(head, &[&word, STRAIGHT]),
        &interface(head, &[&word, &turned]),
        &[
            "  write-effect: a guest with CAP: G clear does not rely on bit 0 of 0x10\n",
            "  a guest as created by default: goes on if it does not rely on bit 0 of 0x10\n",
            MOVES,
        ],
    );
}

/// What is said of writes is not said of reads.
#[test]
fn a_finding_about_another_access() {
    let turned = TURNED.replace(
        "reserved",
        "require CAP.G || value & 1 == 0 else fault; reserved",
    );
    let (head, word) = ("capability CAP;", word("default"));
    told(
        &interface(head, &[&word, STRAIGHT]),
        &interface(head, &[&word, &turned]),
        &[
            "  write-faults  R 0x10  [",
            "  move-changes  R 0x10  [",
            MOVES,
        ],
    );
}

/// 9 faults on the new side, and after a move 5 does too.
#[test]
fn a_finding_about_other_values() {
    let asks = |more: &str| {
        format!(
            "register S @ 0x11 {{ cite \"t\"; {more} require R == 1 || value != 5 else fault; write store; migrate saved 5; }}"
        )
    };
    told(
        &interface("", &[STRAIGHT, &asks("")]),
        &interface("", &[TURNED, &asks("require value != 9 else fault;")]),
        &[
            "wrmsr of 0x9: ok → #GP",
            "after the move, wrmsr of 0x5 or 0x9: ok → #GP",
        ],
    );
}

#[test]
fn a_capability_register_that_comes() {
    told(
        &interface("", &[STRAIGHT]),
        &interface("capability CAP;", &[&word("offered"), TURNED]),
        &["  move-changes  R 0x10  [", MOVES],
    );
}

/// The count comes from elsewhere, and is the same for every guest that there is.
#[test]
fn a_count_of_banks_from_elsewhere() {
    let side = |count: &str, when: &str| {
        let head =
            format!("capability CAP; banks {{ count {count}; limit 4; stored 2; beyond fault; }}");
        let bank = format!(
            "bank register B @ 0x500 + i {{ cite \"t\"; {when} write store; migrate saved 1; }}"
        );
        interface(
            &head,
            &[
                "feature FG { bit CAP.G; offered; } register CAP @ 0x179 { cite \"t\"; reset 2; write ignore; migrate saved 100; restore accepts COUNT | G; [7:0] COUNT: u8 { restore accepts 2; } [8] G: bool; }",
                &bank,
            ],
        )
    };
    told(
        &side("CAP.COUNT", ""),
        &side("2", "when CAP.G else zero;"),
        &[
            "  register-absent: a guest with CAP: G clear does not rely on bits 63:0 of 0x500, 0x501\n",
        ],
    );
}

/// Banks from the second on are absent in some guests, and what their absence does has changed for each.
#[test]
fn a_bank_that_all_guests_have() {
    let side = |beyond: &str| {
        let head = format!(
            "capability CAP; banks {{ count CAP.COUNT; limit 3; stored 3; beyond {beyond}; }}"
        );
        interface(
            &head,
            &[
                "register CAP @ 0x179 { cite \"t\"; reset 2; write ignore; migrate saved 100; restore accepts COUNT; [7:0] COUNT: u8 { restore accepts 1..=3; } }",
                "bank register B @ 0x500 + i { cite \"t\"; write store; migrate saved 1; }",
            ],
        )
    };
    told(
        &side("fault"),
        &side("zero"),
        &["  absence-answers  B 0x501, 0x502  ["],
    );
}

/// A bank that is not there reads zero, as a new one does: what is written tells them apart.
#[test]
fn a_count_that_shows_once_written() {
    let side = |count: &str, more: &str| {
        let head =
            format!("capability CAP; banks {{ count {count}; limit 3; stored 3; beyond zero; }}");
        let cap = "feature FF { bit CAP.F; offered; } register CAP @ 0x179 { cite \"t\"; reset 2; write ignore; migrate saved 100; restore accepts COUNT | F; [7:0] COUNT: u8 { restore accepts 1..=3; } [8] F: bool; }";
        let bank = format!(
            "bank register B @ 0x500 + i {{ cite \"t\"; {more} migrate saved 1; [0] X: bool; }}"
        );
        interface(&head, &[cap, &bank])
    };
    let some = "2 if CAP.F else CAP.COUNT";
    let kept = "write store; reserved ignore;";
    told(
        &side(some, kept),
        &side("CAP.COUNT", kept),
        &[
            "bank-count-source: a guest with CAP: bit 0 set, F set does not touch banks that it has on one side alone\n",
        ],
    );
    // Where no bank shows it at once, the registers do.
    let later = "write store; require value == 2 || X else ignore; reserved store;";
    told(
        &side(some, later),
        &side("CAP.COUNT", later),
        &[
            "  register-absent  B 0x501  [",
            "  register-present  B 0x502  [",
        ],
    );
}

/// Whoever shares state has a record of it, and nothing there takes that.
#[test]
fn a_record_of_what_vcpus_share() {
    let side = |scope: &str| {
        let shared =
            format!("register S @ 0x11 {{ cite \"t\"; {scope} write store; migrate saved 5; }}");
        interface("", &[&shared])
    };
    told(
        &side("scope guest;"),
        &side(""),
        &[
            "  shared-state-removed  ",
            "old → new: refused\n  a guest as created by default: refused (",
        ],
    );
    told(
        &side(""),
        &side("scope guest;"),
        &[
            "shared-state-removed: a guest's vCPUs share nothing any more: the record of what a guest's vCPUs share: taken → refused\n",
        ],
    );
}

/// What becomes the guest's is in no record of a vCPU: a vCPU whose state was all clear is taken, and finds the power-on value.
#[test]
fn a_register_that_vcpus_come_to_share() {
    let other = "register L @ 0x10 { cite \"t\"; scope guest; write store; migrate saved 1; }";
    let shared = |scope: &str, default: &str| {
        format!(
            "register S @ 0x11 {{ cite \"t\"; {scope} reset 7; write store; migrate saved 5 {default}; }}"
        )
    };
    // With a record of shared state that has no such item, and without one.
    for (others, default, found) in [(vec![other], "default 3", 3), (vec![], "default 0", 7)] {
        let side = |scope: &str| {
            let own = shared(scope, default);
            interface("", &[&others[..], &[&own]].concat())
        };
        let lost = format!("differ after the move: 0x0000000000000000 → {found:#018x}\n");
        told(
            &side(""),
            &side("scope guest;"),
            &["  move-changes  S 0x11  [", &lost],
        );
    }
}

/// It was answered with zero, and now reaches the processor.
#[test]
fn a_register_that_comes_and_passes() {
    let side = |when: &str| {
        let passes = format!(
            "register P @ 0x11 {{ cite \"t\"; {when} read pass; write pass; migrate transient \"t\"; }}"
        );
        interface("capability CAP;", &[&word("offered"), &passes])
    };
    told(
        &side("when CAP.G else zero;"),
        &side(""),
        &["  pass-through-added: a guest with CAP: G clear does not read or write 0x11\n"],
    );
}

/// It has one item, whatever it is called and wherever it is.
#[test]
fn a_register_that_moves_under_another_name() {
    let side = |name: &str, msr: u32| {
        interface(
            "",
            &[&format!(
                "register {name} @ {msr:#x} {{ cite \"t\"; write store; migrate saved 1; }}"
            )],
        )
    };
    let (text, _) = specs::diff(&side("R", 0x10), &side("S", 0x20), &[]);
    has(&text, "  address-moved  R (now S) 0x10, 0x20  [");
    assert!(!text.contains("item-"), "{text}");
}

/// A write elsewhere shows it, and nobody wrote what it is.
#[test]
fn a_power_on_value_behind_a_gate() {
    let gate = "register A @ 0x10 { cite \"t\"; write store; reserved ignore; migrate saved 1; [0] X: bool; }";
    let side = |reset: &str| {
        let own = format!(
            "register C @ 0x12 {{ cite \"t\"; when A.X else fault; {reset} write store; migrate saved 2; }}"
        );
        interface("", &[gate, &own])
    };
    told(
        &side(""),
        &side("reset 0xff;"),
        &[
            "  reset-changed  C 0x12  [",
            "old → new: safe on conditions\n  a guest as created by default: goes on if it does not rely on bits 7:0 of 0x12\n",
        ],
    );
    // A computed value is no reset value, and not what was written either.
    let shown = |read: &str| {
        let own = format!("register C @ 0x12 {{ cite \"t\"; read {read}; write ignore; }}");
        interface("", &[gate, &own])
    };
    told(
        &shown("0"),
        &shown("A.X"),
        &[
            "  read-not-zero: it does not rely on bit 0 of 0x12\n",
            "  read-zero: it does not rely on bit 0 of 0x12\n",
        ],
    );
}

/// The same where only a move brings it about.
#[test]
fn a_default_behind_a_gate() {
    let side = |migrate: &str| {
        let own = |name: &str, msr: u32, when: &str, migrate: &str| {
            format!(
                "register {name} @ {msr:#x} {{ cite \"t\"; {when} write store; reserved ignore; migrate {migrate}; [0] X: bool; }}"
            )
        };
        let gate = own("A", 0x10, "", "transient \"t\"");
        interface(
            "",
            &[&gate, &own("C", 0x12, "when A.X else fault;", migrate)],
        )
    };
    told(
        &side("transient \"t\""),
        &side("saved 3 default 1"),
        &[
            "  move-changes: it does not rely on bit 0 of 0x12\n",
            "bit 0 differs after the move and wrmsr 0x10 0x1: 0x0000000000000000 → 0x0000000000000001\n",
        ],
    );
}

/// What was dropped there now wipes out what the guest keeps here.
#[test]
fn a_write_to_another_msr() {
    let one =
        |at: &str| format!("register R @ {at} {{ cite \"t\"; write store; migrate saved 1; }}");
    let other = "register S @ 0x20 { cite \"t\"; read fault; write ignore; }";
    told(
        &interface("", &[&one("0x10"), other]),
        &interface("", &[&one("0x10, 0x20")]),
        &[
            "old → new: safe on conditions\n  a guest as created by default: goes on if it does not rely on bits 63:0 of 0x10\n  write-effect: ",
        ],
    );
}

/// Both sides have both registers, and each side saves another one under the tag.
#[test]
fn an_item_of_another_register() {
    let side = |migrate: [&str; 2]| {
        let [a, b] =
            [("A", 0x10, migrate[0]), ("B", 0x11, migrate[1])].map(|(name, msr, migrate)| {
                format!(
                    "register {name} @ {msr:#x} {{ cite \"t\"; write store; migrate {migrate}; }}"
                )
            });
        interface("", &[&a, &b])
    };
    let none = "transient \"t\"";
    told(
        &side(["saved 5", none]),
        &side([none, "saved 5"]),
        &[
            "      item 5: A's → B's\n",
            "  item-owner: it does not rely on what A holds\n",
            "  move-changes: it does not rely on bits 63:0 of 0x10\n",
            "  move-changes: it does not rely on bits 63:0 of 0x11\n",
            "  item-owner: it does not rely on what B holds\n",
        ],
    );
}

/// Guests whose word is what a record without one brings are the same guests.
#[test]
fn a_capability_word_under_another_tag() {
    let moved = word("default").replace("saved 100", "saved 101");
    let dropped = "removed tag 100 accepted \"t\";";
    told(
        &interface("capability CAP;", &[&word("default"), STRAIGHT]),
        &interface("capability CAP;", &[&moved, TURNED, dropped]),
        &[
            "  move-changes: a guest with CAP: G set does not rely on bit 0 of 0x10\n",
            MOVES,
        ],
    );
}

/// Every guest that had no word gets one and the same.
#[test]
fn a_capability_word_that_comes() {
    let side = |word: &str, head: &str, when: &str| {
        let own =
            format!("register R @ 0x10 {{ cite \"t\"; {when} write store; migrate saved 2; }}");
        interface(head, &[word, &own])
    };
    let (old, head) = (side("", "", ""), "capability CAP;");
    for (given, verdict, found) in [
        ("default", "safe\nnew", "guests with CAP: G clear\n"),
        (
            "offered",
            "safe on conditions\n  a guest as created by default: goes on if it does not read or write 0x10\n  register-absent: it does not",
            "  register-absent  R 0x10  [",
        ),
    ] {
        let new = side(&word(given), head, "when CAP.G else fault;");
        told(&old, &new, &[&format!("old → new: {verdict}"), found]);
    }
}

/// Most writes go to the hook, and some fault.
#[test]
fn a_hook_in_place_of_the_hardware() {
    let side = |write: &str, migrate: &str| {
        let own = format!(
            "register R @ 0x10 {{ cite \"t\"; read pass; write {write}; migrate {migrate}; }}"
        );
        interface("", &["hook H(value: u64);", &own])
    };
    told(
        &side("pass", "transient \"t\""),
        &side("hook H; legal 0..=7 else fault", "derived"),
        &["      write: pass → hook H; other values: pass → #GP\n"],
    );
}

/// One name, two bits.
#[test]
fn a_capability_bit_that_moves() {
    let side = |bit: u32| {
        let cap = format!(
            "feature FF {{ bit CAP.F; offered; }} register CAP @ 0x179 {{ cite \"t\"; write ignore; migrate saved 100; restore accepts F; [{bit}] F: bool; }}"
        );
        let own = "register R @ 0x10 { cite \"t\"; when CAP.F else fault; write store; migrate saved 1; }";
        interface("capability CAP;", &[&cap, own])
    };
    told(
        &side(8),
        &side(9),
        &[
            "register-absent: a guest with CAP: F (bit 8) set, F (bit 9) clear does not read or write 0x10\n",
        ],
    );
}

/// What is not decided is not without a difference.
#[test]
fn no_difference_in_what_was_decided() {
    let side = |value: &str| {
        let own = format!(
            "register R @ 0x10 {{ cite \"t\"; require {value} else fault; write store; reserved store; migrate saved 1; [15:0] A: u16; [47:32] B: u16; }}"
        );
        interface("", &[&own])
    };
    let old = side("value & 0xffff == value >> 32 & 0xffff");
    let new = side("value & 0xfffe == value >> 32 & 0xffff");
    for (form, words) in [
        (&[][..], "\nno difference in what was decided\n"),
        (
            &["--markdown"][..],
            "\nNo difference in what was decided.\n",
        ),
    ] {
        let (text, status) = specs::diff(&old, &new, form);
        assert_eq!(status, 2, "{text}");
        has(&text, words);
    }
}
