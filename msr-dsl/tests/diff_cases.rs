//! One change each, and what `msr diff`, `msr pool` and `msr record convert` say of it.

use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What a command prints, results and talk, and its status.
fn msr(arguments: &[&str]) -> (String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_msr"))
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("msr runs");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).expect("text");
    (text, output.status.code().unwrap_or(-1))
}

/// Two specs in a folder.
struct Pair {
    _folder: tempfile::TempDir,
    old: String,
    new: String,
}

impl Pair {
    fn new(old: &str, new: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path.display().to_string()
        };
        let (old, new) = (write("old.msr", old), write("new.msr", new));
        Self {
            _folder: folder,
            old,
            new,
        }
    }

    /// A shipped spec, and what it is with some text replaced.
    fn of(spec: &str, changes: &[(&str, &str)]) -> Self {
        let path = root().join(format!("specs/{spec}.msr"));
        let old = std::fs::read_to_string(path).expect("a shipped spec");
        let new = changes.iter().fold(old.clone(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        });
        Self::new(&old, &new)
    }

    fn text(&self) -> String {
        msr(&["diff", &self.old, &self.new]).0
    }

    fn back(&self) -> String {
        msr(&["diff", &self.new, &self.old]).0
    }
}

/// A register with some lines beside a capability word, a feature and a hook.
fn spec(lines: &str) -> String {
    with(
        "feature A { bit CAP.A_P; offered; } hook Look(value: u64);",
        lines,
    )
}

fn with(head: &str, lines: &str) -> String {
    format!(
        "interface! {{ interface cases {{ vendor any; version 1 \"t\"; capability CAP; }} {head}
         register CAP @ 0x10 {{ cite \"t\"; reset 0x2; write ignore; migrate saved 1; restore accepts COUNT | A_P;
           [7:0] COUNT: u8; [8] A_P: bool; }}
         register R @ 0x11 {{ cite \"t\"; migrate saved 2; {lines} }} }}"
    )
}

fn pair(old: &str, new: &str) -> Pair {
    Pair::new(&spec(old), &spec(new))
}

#[track_caller]
fn has(text: &str, part: &str) {
    assert!(text.contains(part), "no `{part}` in\n{text}");
}

#[track_caller]
fn lacks(text: &str, part: &str) {
    assert!(!text.contains(part), "`{part}` in\n{text}");
}

#[test]
fn a_value_on_which_a_hook_acted_faults() {
    let pair = pair(
        "write store then hook Look;",
        "legal 0..=7 else fault; write store then hook Look; restore accepts all;",
    );
    let (there, back) = (pair.text(), pair.back());
    has(&there, "  write-faults  R 0x11");
    has(
        &there,
        "wrmsr of values with any of bits 63:3: hook Look → #GP",
    );
    has(&back, "  write-accepted  R 0x11");
    lacks(&there, "hook-removed");
    lacks(&back, "hook-added");
}

#[test]
fn a_hook_that_is_told_of_more_is_another_one() {
    let lines = "write store then hook Look;";
    let feature = "feature A { bit CAP.A_P; offered; }";
    let old = with(&format!("{feature} hook Look(value: u64);"), lines);
    let new = with(
        &format!("{feature} hook Look(value: u64, msr: u32);"),
        lines,
    );
    let text = Pair::new(&old, &new).text();
    has(&text, "  hook-arguments  R 0x11");
    has(&text, "hook Look(value) → Look(value, msr)");
    has(&text, "old → new: safe on conditions");
}

#[test]
fn features_come_and_go_by_name() {
    let (hook, lines) = ("hook Look(value: u64);", "write store then hook Look;");
    let had = with(
        &format!("feature A {{ bit CAP.A_P; offered; }} {hook}"),
        lines,
    );
    let other = with(
        &format!("feature B {{ bit CAP.A_P; offered; }} {hook}"),
        lines,
    );
    let none = with(hook, lines);
    let removed = Pair::new(&had, &none);
    has(&removed.text(), "  feature-removed  A");
    has(
        &removed.text(),
        "feature A: can be given to new guests → no longer",
    );
    has(&removed.back(), "  feature-added  A");
    has(&Pair::new(&had, &other).text(), "feature A → B");
}

#[test]
fn swapped_tags_have_witnesses() {
    let changes = [
        ("migrate saved 6;", "migrate saved 99;"),
        ("migrate saved 10;", "migrate saved 6;"),
        ("migrate saved 99;", "migrate saved 10;"),
    ];
    let pair = Pair::of("vmce", &changes);
    let (text, _) = msr(&["diff", "--json", &pair.old, &pair.new]);
    let value: Value = serde_json::from_str(&text).expect("JSON");
    let findings = value["comparisons"][0]["findings"]
        .as_array()
        .expect("findings");
    let own = findings.iter().filter(|one| one["rule"] == "item-retagged");
    let own: Vec<&Value> = own.collect();
    assert_eq!(own.len(), 2, "{text}");
    for finding in own {
        let answers = finding["witness"]["answers"].as_array().expect("a witness");
        assert_ne!(answers[0], answers[1], "{finding:#}");
    }
}

#[test]
fn a_verdict_says_what_becomes_of_the_default_guest() {
    let (text, _) = msr(&["diff", "specs/vmce.msr", "specs/kvm.msr"]);
    has(
        &text,
        "old → new: safe on conditions\n  a guest as created by default: refused (capability bits 0x800 are not known there: TES_P)\n",
    );
    has(
        &text,
        "  capability-bit-removed: not a guest with MCG_CAP: any of bits 7:4 set\n",
    );
    let (text, _) = msr(&["diff", "specs/vmce.msr@3", "specs/vmce.msr@2"]);
    has(&text, "new → old: safe\n");
    has(
        &text,
        "old → new: safe on conditions\n  a guest as created by default: goes on if it does not read or write 0x3a, and 1 more\n  local-delivery-removed: a guest with MCG_CAP: LMCE_P set does not get a machine check\n",
    );
    // What it saves may have changed since.
    let (text, _) = msr(&["diff", "specs/vmce.msr@4", "specs/vmce.msr@3"]);
    has(
        &text,
        "  a guest as created by default: goes on if PENDING has all bits clear, and 4 more\n",
    );
    let (text, _) = msr(&["diff", "--markdown", "specs/vmce.msr", "specs/kvm.msr"]);
    has(
        &text,
        "| old → new | safe on conditions | refused (capability bits 0x800 are not known there: TES\\_P) |",
    );
    has(
        &text,
        "\nold → new is safe for guests of which all of this holds:\n\n* it does not get a machine check\n",
    );
}

/// A default guest of kvm has no LMCE_P and ten banks.
#[test]
fn a_condition_says_which_guests_it_is_about() {
    for (from, to, condition) in [
        (
            "MCG_EXT_CTL @ 0x4d0",
            "MCG_EXT_CTL @ 0x4d1",
            "address-moved: a guest with MCG_CAP: LMCE_P set does not touch 0x4d0 or 0x4d1",
        ),
        (
            "count MCG_CAP.COUNT;",
            "count MCG_CAP.COUNT & 0xb;",
            "bank-count-source: a guest with MCG_CAP: bit 2 set, bit 3 clear does not touch banks that it has on one side alone",
        ),
        (
            "local MCG_EXT_CTL.LMCE_EN;",
            "local MCG_EXT_CTL.LMCE_EN && MCG_CAP.CMCI_P;",
            "local-delivery-changed: a guest with MCG_CAP: CMCI_P clear, LMCE_P set does not get a machine check",
        ),
    ] {
        let text = Pair::of("kvm", &[(from, to)]).text();
        for direction in ["old → new", "new → old"] {
            has(
                &text,
                &format!(
                    "{direction}: safe on conditions\n  a guest as created by default: goes on\n  {condition}\n"
                ),
            );
        }
    }
}

#[test]
fn what_is_reached_by_a_difference_alone_is_told() {
    let lines = "write store; reserved fault_if_set; [0] ON: bool;";
    let more =
        "} register S @ 0x12 { cite \"t\"; when R.B else fault; write store; migrate saved 3;";
    let wider = "write store; reserved fault_if_set; [0] ON: bool; [1] B: bool;";
    let text = pair(lines, &format!("{wider} {more}")).text();
    has(&text, "  register-added  S 0x12");
    has(
        &text,
        "unhandled → #GP; it answers after what the other side answers otherwise",
    );
    // One that only faults.
    let more = "} register S @ 0x12 { cite \"t\"; read fault; write fault;";
    let text = pair(lines, &format!("{lines} {more}")).text();
    has(&text, "  msr-claimed  S 0x12");
}

#[test]
fn sets_of_values_are_named() {
    let store = "write store; restore accepts all;";
    let says = |lines: &str, words: &str| {
        let text = pair(store, &format!("{lines} {store}")).text();
        has(&text, &format!("wrmsr of {words}: ok → #GP"));
    };
    says(
        "legal 0..=0x40007fff else fault;",
        "values from 0x40008000 on",
    );
    // It begins with one of them.
    let from = |lines: &str| format!("reset 0x10; {lines} {store}");
    let text = pair(&from(""), &from("legal 0x10..=0x20 else fault;")).text();
    has(
        &text,
        "wrmsr of any value but values from 0x10 to 0x20: ok → #GP",
    );
    says(
        "legal zero, all_ones else fault;",
        "any value but 0x0 or 0xffffffffffffffff",
    );
    says(
        "require value & 6 != 2 else fault;",
        "values with bit 1 set and bit 2 clear",
    );
    says(
        "require value < 3 || value > 9 && value != 0x20 else fault;",
        "values from 0x3 to 0x9 or 0x20",
    );
    says(
        "legal 0x0, 0x1, 0x5, 0x105, 0x900 else fault;",
        "any value but 0x0, 0x1, 0x5, 0x105 or 0x900",
    );
    // None of these: how many there are, and one of them.
    says(
        "require value & 0x1f == value >> 8 & 0x1f else fault;",
        "any of 17870283321406128128 values (the least is 0x1)",
    );
    let text = pair(store, &format!("legal 0, 5 else fault; {store}")).text();
    has(
        &text,
        "\n  write-faults: every write to 0x11 is of 0x0 or 0x5\n",
    );
    let text = pair(
        store,
        "when CAP.COUNT > 2 else fault; write store; restore accepts all;",
    )
    .text();
    has(&text, "guests with CAP: COUNT below 3");
}

#[test]
fn what_a_restore_takes_is_named_exactly() {
    let held = |legal: &str| format!("held; write fault; restore accepts all; {legal}");
    let text = pair(&held(""), &held("legal 0..=5, 9 else fault;")).text();
    has(
        &text,
        "\n  restore-accepts-less: R holds none of values from 0x6 to 0x8 or from 0xa on\n",
    );
}

#[test]
fn conditions_say_which_guests_and_what_in_one_sentence() {
    let lines = "write store; restore accepts all;";
    let text = pair(lines, &format!("when CAP.A_P else fault; {lines}")).text();
    has(
        &text,
        "\n  register-absent: a guest with CAP: A_P clear does not read or write 0x11\n",
    );
    // Of the guest that is meant nothing more has to be said.
    has(
        &text,
        "a guest as created by default: goes on if it does not read or write 0x11",
    );
}

#[test]
fn a_witness_has_no_more_banks_than_there_are() {
    let (text, _) = msr(&["diff", "specs/vmce.msr", "specs/kvm.msr"]);
    for word in text.split("--cap 0x").skip(1) {
        let digits: String = word.chars().take_while(char::is_ascii_hexdigit).collect();
        let word = u64::from_str_radix(&digits, 16).expect("a number");
        assert!(word & 0xff <= 32, "--cap {word:#x}");
    }
}

#[test]
fn what_is_about_no_register_is_named_too() {
    let pair = Pair::of("vmce", &[("deliver broadcast", "deliver one")]);
    has(&pair.text(), "  delivery-one  injection  [");
    has(&pair.text(), "an error is told to every vCPU → one vCPU");
    let (text, _) = msr(&["diff", "--github", &pair.old, &pair.new]);
    has(&text, "title=delivery-one::injection: ");
}

#[test]
fn waived_findings_are_counted_apart() {
    let pair = Pair::of("vmce", &[("deliver broadcast", "deliver one")]);
    let (text, _) = msr(&["diff", "--json", &pair.old, &pair.new]);
    let value: Value = serde_json::from_str(&text).expect("JSON");
    let print = value["comparisons"][0]["findings"][0]["fingerprint"].as_str();
    let waivers = format!("{}.waivers", pair.new);
    std::fs::write(&waivers, format!("{} meant\n", print.expect("one"))).expect("a file");
    let (text, _) = msr(&["diff", "--waivers", &waivers, &pair.old, &pair.new]);
    has(&text, "1 finding, 1 waived, 0 breaking");
}

#[test]
fn sides_that_are_none_are_named() {
    let says = |side: &str, words: &str| {
        let (text, status) = msr(&["diff", side, "specs/vmce.msr"]);
        assert_eq!(status, 2, "{text}");
        has(&text, words);
    };
    says(
        "specs/vmce.msr@x",
        "`x` is no version of `vmce`; it has 1, 2, 3, 4",
    );
    let in_git = Command::new("git")
        .args(["rev-parse", "HEAD:specs"])
        .current_dir(root())
        .output();
    if in_git.is_ok_and(|output| output.status.success()) {
        says(
            "HEAD:specs",
            "HEAD:./specs is a folder: name a spec in it, as HEAD:specs/NAME.msr",
        );
    }
}

#[test]
fn a_pool_says_what_is_lost_and_why() {
    let (text, _) = msr(&["pool", "specs/vmce.msr@4", "specs/vmce.msr@2"]);
    has(
        &text,
        "interface=vmce@2\n  not vmce@4: specs/vmce.msr@2 does not have it\n  not vmce@3: ",
    );
    // No guest of a host without the capability ever had the register.
    lacks(&text, "MCG_EXT_CTL");
    lacks(&text, "new side");
    let (text, _) = msr(&["pool", "specs/vmce.msr@4+LMCE", "specs/vmce.msr@2"]);
    has(&text, "MCG_EXT_CTL 0x4d0: register-removed: ");
    // What a host without local machine checks never had it does not lose.
    let (text, _) = msr(&["pool", "specs/vmce.msr@3", "specs/vmce.msr@2"]);
    has(&text, "register-removed: read or write: ");
    lacks(&text, "injection-sets-less");
    let (text, _) = msr(&["pool", "specs/vmce.msr@3+LMCE", "specs/vmce.msr@2"]);
    has(&text, "injection-sets-less");
    let (text, status) = msr(&["pool", "specs/vmce.msr+X"]);
    assert_eq!(status, 2);
    assert_eq!(text.matches("LMCE").count(), 1, "{text}");
    has(
        &msr(&["pool", "specs/vmce.msr@9"]).0,
        "specs/vmce.msr: `9` is no version of `vmce`",
    );
    has(
        &msr(&["pool", "specs/vmce.lock"]).0,
        "specs/vmce.lock: a manifest does not say what a host ships",
    );
}

#[test]
fn a_converted_record_loses_nothing_that_is_computed() {
    let spec = |name: &str, lines: &str| {
        format!(
            "interface! {{ interface {name} {{ vendor any; version 1 \"t\"; }}
             register B @ 0x11 {{ cite \"t\"; write store; migrate saved 7; }}
             register A @ 0x10 {{ cite \"t\"; {lines} }} }}"
        )
    };
    let converted = |lines: &str, options: &[&str]| {
        let pair = Pair::new(&spec("one", "read 6; write ignore;"), &spec("two", lines));
        let record = sim(&[&pair.old], "save\n");
        let arguments = ["record", "convert", &pair.old, record.trim(), &pair.new];
        let (text, status) = msr(&[&arguments, options].concat());
        let read = sim(
            &[&pair.new, "--from", &pair.old],
            &format!("restore {record}\nrdmsr 10\n"),
        );
        (text, status, read)
    };
    // What the guest reads becomes state of the other side, if that takes it.
    let (text, status, read) = converted("write store; migrate saved 1;", &[]);
    assert_eq!(
        (status, read.as_str()),
        (0, "ok\n0x0000000000000006\n"),
        "{text}"
    );
    let narrow = "write store; reserved fault_if_set; migrate saved 1; [0] X: bool;";
    let (text, status, read) = converted(narrow, &[]);
    let lost = "A (0x10) reads 0x0000000000000006, there 0x0000000000000000\n";
    assert_eq!((text.as_str(), status), (lost, 1));
    assert_eq!(read, "ok\n0x0000000000000000\n");
    // Asked to, it is converted all the same, and says what is lost.
    let (text, status, _) = converted(narrow, &["--lossy"]);
    assert!(
        status == 0 && text.starts_with("4d535231") && text.ends_with(lost),
        "{text}"
    );
}

/// What `msr sim` prints.
fn sim(arguments: &[&str], lines: &str) -> String {
    let mut sim = Command::new(env!("CARGO_BIN_EXE_msr"));
    sim.arg("sim")
        .args(arguments)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut child = sim.spawn().expect("msr runs");
    let mut input = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut input, lines.as_bytes()).expect("lines");
    drop(input);
    let output = child.wait_with_output().expect("msr ends").stdout;
    String::from_utf8(output).expect("text")
}

#[test]
fn what_the_hypervisor_puts_into_a_register_is_an_input() {
    let dependent = |read: &str| {
        spec(&format!(
            "held; write fault; }} register S @ 0x12 {{ cite \"t\"; read {read}; write fault;"
        ))
    };
    let text = Pair::new(&dependent("R << 16 | 1"), &dependent("R << 16 | R & 2 | 1")).text();
    has(&text, "  read-not-zero  S 0x12");
    has(&text, "        hold 0x11 0x2\n        rdmsr 0x12\n");
    lacks(&text, "R 0x11");
}

#[test]
fn what_no_read_shows_of_a_held_register_is_compared() {
    let pass = |lines: &str| format!("held; read pass; write pass; {lines}");
    let other = pair(&pass("reset 5;"), &pass("reset 6;"));
    has(&other.text(), "  reset-changed  R 0x11");
    has(
        &other.text(),
        "        held 0x11\n        # 0x0000000000000005 → 0x0000000000000006",
    );
    let init = pair(&pass("init reset;"), &pass(""));
    has(&init.text(), "  init-changed  R 0x11");
    let narrower = |limit: u32| pass(&format!("require value >> {limit} == 0 else fault;"));
    let legal = pair(&narrower(47), &narrower(46));
    has(&legal.text(), "  restore-accepts-less  R 0x11");
    has(
        &legal.text(),
        "values from 0x400000000000 to 0x7fffffffffff restored → refused",
    );
    has(&legal.back(), "  restore-accepts-more  R 0x11");
    let held = pair("held; write fault;", "write store;");
    has(&held.text(), "  held-removed  R 0x11");
    has(&held.text(), "# 0x0000000000000000 → not held");
    has(&held.back(), "  held-added  R 0x11");
}

/// The sides differ in a state in which a guest comes only from a record.
#[test]
fn what_a_record_alone_brings_is_looked_at() {
    let lines = |read: &str| {
        format!(
            "write store; reserved fault_if_set; restore accepts X | Y; [0] X: bool; [1] Y: bool {{ write fault_if_set; }} }}
             register S @ 0x12 {{ cite \"t\"; read {read}; write fault;"
        )
    };
    let pair = pair(&lines("R & 1"), &lines("R & 3"));
    for (text, rules) in [
        (pair.text(), ["restored-changes", "restored-back-changes"]),
        (pair.back(), ["restored-changes", "restored-back-changes"]),
    ] {
        for rule in rules {
            has(&text, &format!("  {rule}  S 0x12"));
        }
        has(
            &text,
            "# a record that no guest of this version comes to by itself",
        );
        has(
            &text,
            "it does not rely on bit 1 of 0x12 in a state that only a record brings",
        );
        has(&text, "a guest as created by default: goes on\n");
        lacks(&text, "  move-changes");
    }
    // Where a restore takes no more than a guest can have, there is no such state.
    let closed = |read: &str| lines(read).replace("restore accepts X | Y;", "");
    let text = Pair::new(&spec(&closed("R & 1")), &spec(&closed("R & 3"))).text();
    has(&text, "no difference");
}

/// The shortest way to a difference may be a harmless one; what else leads there is told too, and counts for the verdict.
#[test]
fn every_cause_of_a_difference_is_told() {
    let cases = [
        (
            "write store; reserved ignore; [7:0] N: u8 { legal 0..=2 else ignore; }",
            "write store; reserved ignore; [7:0] N: u8 { legal 0, 2..=3 else ignore; }",
            ["write-kept", "write-ignored"],
            "        wrmsr 0x11 0x1\n        rdmsr 0x11\n        # 0x0000000000000001 → 0x0000000000000000\n",
        ),
        (
            "write store; reserved ignore; [0] ON: bool; [1] X: bool { write locked !ON; }",
            "write store; reserved ignore; [0] ON: bool; [1] X: bool { write locked ON; }",
            ["write-kept", "write-ignored"],
            "        wrmsr 0x11 0x1\n        wrmsr 0x11 0x2\n        rdmsr 0x11\n        # 0x0000000000000002 → 0x0000000000000000\n",
        ),
        (
            "write store; reserved ignore; [0] ON: bool { write sticky; }",
            "init reset; write store; reserved ignore; [0] ON: bool;",
            ["write-kept", "init-changed"],
            "        wrmsr 0x11 0x1\n        init\n        rdmsr 0x11\n        # 0x0000000000000001 → 0x0000000000000000\n",
        ),
    ];
    for (old, new, rules, witness) in cases {
        let text = pair(old, new).text();
        for rule in rules {
            has(&text, &format!("  {rule}  R 0x11  ["));
        }
        has(&text, witness);
        has(&text, "old → new: safe on conditions");
    }
    let told = |rule: &str, bits: &str| {
        with(
            &format!(
                "injection {{ deliver broadcast; bank 1; global ST sets RIPV | EIPV | MCIP; status SS sets {bits}; address AA sets all; misc MM sets all; }}
                 register ST @ 0x17a {{ cite \"t\"; write store; reserved ignore; migrate saved 3; [0] RIPV: bool; [1] EIPV: bool; [2] MCIP: bool; }}
                 bank register SS @ 0x401 + 4 * i {{ cite \"t\"; {rule} migrate saved 4; }}
                 bank register AA @ 0x402 + 4 * i {{ cite \"t\"; write store; migrate saved 5; }}
                 bank register MM @ 0x403 + 4 * i {{ cite \"t\"; write store; migrate saved 6; }}"
            ),
            "write ignore; read zero; migrate derived;",
        )
        .replace("capability CAP;", "capability CAP; banks { count CAP.COUNT; limit 2; stored 2; beyond fault; }")
        .replace("migrate saved 2; ", "")
    };
    let old = told(
        "write store; require value & 0x100 == 0 else ignore;",
        "all",
    );
    let new = told("write store;", "all less [8]");
    let text = Pair::new(&old, &new).text();
    has(&text, "  write-kept  SS 0x405  [");
    has(&text, "  injection-sets-less  SS 0x405  [");
    has(
        &text,
        "        inject STATUS=0x100\n        rdmsr 0x405\n        # 0x0000000000000100 → 0x0000000000000000\n",
    );
}

/// Functions of which no order of the bits is a good one: given up, with a word, before they fill the memory.
#[test]
fn what_is_too_large_is_given_up() {
    let compares = |other: u32| {
        with(
            &format!(
                "register S @ 0x12 {{ cite \"t\"; read 1 if R & 0xffff == R >> 48 else {other}; write ignore; migrate derived; }}"
            ),
            "write store;",
        )
    };
    let pair = Pair::new(&compares(0), &compares(2));
    let (text, status) = msr(&["diff", &pair.old, &pair.new]);
    assert_eq!(status, 2, "{text}");
    has(
        &text,
        "too many states hang together to decide: those of R 0x11, S 0x12.",
    );
    has(
        &text,
        "S 0x12 asks for all bits of R. Let these rules ask for fewer bits",
    );
}

/// The refusal of a spec that alters what was released comes with what it altered, and how a guest notices.
#[test]
fn an_altered_release_is_shown_with_the_refusal() {
    let folder = tempfile::tempdir().expect("a folder");
    let (spec, lock) = (
        folder.path().join("vmce.msr"),
        folder.path().join("vmce.lock"),
    );
    std::fs::copy(root().join("specs/vmce.lock"), &lock).expect("a manifest");
    let text = std::fs::read_to_string(root().join("specs/vmce.msr")).expect("a shipped spec");
    std::fs::write(&spec, text.replace("beyond zero;", "beyond fault;")).expect("a file");
    let [spec, lock] = [spec, lock].map(|path| path.display().to_string());
    let (text, status) = msr(&["diff", &lock, &spec]);
    assert_eq!(status, 2, "{text}");
    has(&text, "error[E121]");
    for version in 2..=3 {
        has(&text, &format!("{lock}@{version} → {spec}@{version}\n"));
    }
    has(&text, "  absence-faults  ");
    has(&text, "        # 0x0000000000000000 → #GP\n");
    has(
        &text,
        "above is what it alters in versions that were released",
    );
    // The other mistakes of a spec have no such thing to show.
    std::fs::write(&spec, "interface!").expect("a file");
    let (text, status) = msr(&["diff", &lock, &spec]);
    assert_eq!(status, 2, "{text}");
    lacks(&text, "→");
}
