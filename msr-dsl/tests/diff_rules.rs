//! The table of what can differ: for every rule of `msr diff` a change that is found by it, and, read backwards, by its mirror.

use msr_dsl::compare::rules::ALL;
use msr_dsl::compare::side::Side;
use msr_dsl::compare::{Comparison, compare};
use msr_dsl::source::compile_text;
use std::collections::BTreeSet;

/// A change, and the rules that find it from old to new.
struct Case {
    what: &'static str,
    rules: &'static [&'static str],
    sides: [Spec; 2],
}

/// The lines of a small interface in which a case differs.
#[derive(Clone, Copy)]
struct Spec {
    name: &'static str,
    version: &'static str,
    banks: &'static str,
    head: &'static str,
    /// Of the capability word.
    word: &'static str,
    /// Of the register `R`, after its address.
    register: &'static str,
    /// What follows.
    more: &'static str,
}

const SPEC: Spec = Spec {
    name: "rules",
    version: "version 1 \"t\";",
    banks: "",
    head: "feature A { bit CAP.A_P; offered; host none; }",
    word: "reset 0x2; restore accepts COUNT | A_P | B_P;",
    register: "@ 0x11 { cite \"t\"; write store; migrate saved 2; }",
    more: "",
};

impl Spec {
    fn side(&self, name: &str) -> Result<Side, String> {
        let text = format!(
            "interface! {{ interface {} {{ vendor intel; {} capability CAP; {} }} {}
             register CAP @ 0x10 {{ cite \"t\"; write ignore; migrate saved 1; {}
               [7:0] COUNT: u8; [8] A_P: bool; [9] B_P: bool; }}
             register R {} {} }}",
            self.name, self.version, self.banks, self.head, self.word, self.register, self.more
        );
        let compiled = compile_text(&text);
        let model = compiled.model;
        let model = model.ok_or_else(|| format!("{text}: {:?}", compiled.diagnostics))?;
        let first = model.views.first().ok_or("no version")?;
        Ok(Side::of_spec(name, name, &text, first))
    }
}

/// Two registers, whatever else.
fn registers(old: &'static str, new: &'static str) -> [Spec; 2] {
    [old, new].map(|register| Spec { register, ..SPEC })
}

fn cases() -> Vec<Case> {
    let head = |head| Spec { head, ..SPEC };
    let word = |word| Spec { word, ..SPEC };
    let more = |more| Spec { more, ..SPEC };
    let case = |what, rules, sides| Case { what, rules, sides };
    let plain = SPEC.register;
    vec![
        case(
            "a capability bit",
            &["capability-bit-added"],
            [word("reset 0x2; restore accepts COUNT | A_P;"), SPEC],
        ),
        case(
            "a capability bit that every new guest has",
            &["capability-bit-given"],
            [
                head(
                    "feature A { bit CAP.A_P; offered; host none; } feature B { bit CAP.B_P; offered; host none; }",
                ),
                Spec {
                    head: "feature A { bit CAP.A_P; offered; host none; } feature B { bit CAP.B_P; default; host none; }",
                    word: "reset 0x202; restore accepts COUNT | A_P | B_P;",
                    ..SPEC
                },
            ],
        ),
        case(
            "the number of banks",
            &["bank-count-raised"],
            [
                banks("reset 0x2; restore accepts COUNT | A_P | B_P;", BANKS),
                banks("reset 0x3; restore accepts COUNT | A_P | B_P;", BANKS),
            ],
        ),
        case(
            "where the number of banks comes from",
            &["bank-count-source"],
            [
                banks(SPEC.word, BANKS),
                banks(
                    SPEC.word,
                    "banks { count 2; limit 4; stored 2; beyond fault; }",
                ),
            ],
        ),
        case(
            "the banks with state",
            &["item-longer"],
            [
                banks(SPEC.word, BANKS),
                banks(
                    SPEC.word,
                    "banks { count CAP.COUNT; limit 4; stored 3; beyond fault; }",
                ),
            ],
        ),
        case(
            "a register",
            &["register-added", "item-added"],
            [
                SPEC,
                more("register S @ 0x12 { cite \"t\"; write store; migrate saved 3; }"),
            ],
        ),
        case(
            "who has a register",
            &["register-present"],
            registers(
                "@ 0x11 { cite \"t\"; when A else fault; write store; migrate saved 2; }",
                plain,
            ),
        ),
        case(
            "what absence does",
            &["absence-answers"],
            registers(
                "@ 0x11 { cite \"t\"; when A else fault; write store; migrate saved 2; }",
                "@ 0x11 { cite \"t\"; when A else zero; write store; migrate saved 2; }",
            ),
        ),
        case(
            "who answers with the fault",
            &["msr-claimed"],
            [
                SPEC,
                more("register S @ 0x12 { cite \"t\"; read fault; write fault; }"),
            ],
        ),
        case(
            "the address",
            &["address-moved"],
            registers(
                plain,
                "@ 0x13 { cite \"t\"; write store; migrate saved 2; }",
            ),
        ),
        case(
            "reset",
            &["reset-changed"],
            registers(
                plain,
                "@ 0x11 { cite \"t\"; reset 5; write store; migrate saved 2; }",
            ),
        ),
        case(
            "INIT",
            &["init-changed"],
            registers(
                plain,
                "@ 0x11 { cite \"t\"; init reset; write store; migrate saved 2; }",
            ),
        ),
        case(
            "a read that faults",
            &["read-faults"],
            registers(
                "@ 0x11 { cite \"t\"; read 5; write ignore; }",
                "@ 0x11 { cite \"t\"; read fault; write ignore; }",
            ),
        ),
        case(
            "a value that faults",
            &["write-faults"],
            registers(
                plain,
                "@ 0x11 { cite \"t\"; legal 0..=7 else fault; write store; migrate saved 2; restore accepts all; }",
            ),
        ),
        case(
            "a value that is ignored, as a whole",
            &["write-ignored"],
            registers(
                plain,
                "@ 0x11 { cite \"t\"; legal 0..=7 else ignore; write store; migrate saved 2; restore accepts all; }",
            ),
        ),
        case(
            "a value whose field is kept",
            &["write-ignored"],
            registers(
                "@ 0x11 { cite \"t\"; write store; migrate saved 2; restore accepts all; reserved ignore; [7:0] F: u8; }",
                "@ 0x11 { cite \"t\"; write store; migrate saved 2; restore accepts all; reserved ignore; [7:0] F: u8 { legal 0..=7 else keep; } }",
            ),
        ),
        case(
            "bits that read zero",
            &["read-zero"],
            registers(
                "@ 0x11 { cite \"t\"; read CAP >> 8; write ignore; }",
                "@ 0x11 { cite \"t\"; read CAP >> 9 << 1; write ignore; }",
            ),
        ),
        case(
            "bits that read one",
            &["read-constant"],
            registers(
                plain,
                "@ 0x11 { cite \"t\"; read state | 0xff; write store; migrate saved 2; }",
            ),
        ),
        case(
            "where in the register a read shows the state",
            &["write-effect"],
            registers(
                plain,
                "@ 0x11 { cite \"t\"; read state >> 1 | state << 63; write store; migrate saved 2; }",
            ),
        ),
        case(
            "a constant that becomes state, which an old record does not bring",
            &["move-changes"],
            registers(
                "@ 0x11 { cite \"t\"; read 6; write ignore; }",
                "@ 0x11 { cite \"t\"; reset 6; write store; migrate saved 2 default 0; }",
            ),
        ),
        case(
            "whose state it is",
            &["scope-guest", "shared-state-added"],
            registers(
                plain,
                "@ 0x11 { cite \"t\"; scope guest; write store; migrate saved 2; }",
            ),
        ),
        case(
            "an injection",
            &["injection-added"],
            [errors(""), errors(INJECTS)],
        ),
        case(
            "what an injection sets",
            &["injection-sets-more"],
            [
                errors(
                    "injection { deliver broadcast; bank 1; global STATUS sets RIPV | MCIP; status ERROR sets all; address ADDRESS sets all; misc MISC sets all; }",
                ),
                errors(INJECTS),
            ],
        ),
        case(
            "the bank of an injection",
            &["injection-bank"],
            [
                errors(INJECTS),
                errors(
                    "injection { deliver broadcast; bank 0; global STATUS sets RIPV | EIPV | MCIP; status ERROR sets all; address ADDRESS sets all; misc MISC sets all; }",
                ),
            ],
        ),
        case(
            "who is told",
            &["delivery-broadcast"],
            [
                errors(
                    "injection { deliver one; bank 1; global STATUS sets RIPV | EIPV | MCIP; status ERROR sets all; address ADDRESS sets all; misc MISC sets all; }",
                ),
                errors(INJECTS),
            ],
        ),
        case(
            "local delivery",
            &["local-delivery-added"],
            [errors(INJECTS), errors(LOCAL)],
        ),
        case(
            "the condition of local delivery",
            &["local-delivery-changed"],
            [
                errors(LOCAL),
                errors(
                    "injection { deliver broadcast; bank 1; global STATUS sets RIPV | EIPV | MCIP; status ERROR sets all; address ADDRESS sets all; misc MISC sets all; local R == 2; }",
                ),
            ],
        ),
        case(
            "a hook",
            &["hook-added"],
            [head(HOOKS), hooked("then hook Look")],
        ),
        case(
            "another hook",
            &["hook-changed"],
            [hooked("then hook Look"), hooked("then hook Other")],
        ),
        case(
            "what a hook is told",
            &["hook-arguments"],
            [
                hooked("then hook Look"),
                Spec {
                    head: "feature A { bit CAP.A_P; offered; host none; } hook Look(value: u64, msr: u32); hook Other(value: u64);",
                    ..hooked("then hook Look")
                },
            ],
        ),
        case(
            "who sets the state",
            &["held-added"],
            registers(
                "@ 0x11 { cite \"t\"; write fault; migrate saved 2; restore accepts all; }",
                "@ 0x11 { cite \"t\"; held; write fault; migrate saved 2; restore accepts all; }",
            ),
        ),
        case(
            "the hardware's register",
            &["pass-through-added"],
            registers(
                "@ 0x11 { cite \"t\"; read 0; write ignore; }",
                "@ 0x11 { cite \"t\"; read pass; write pass; migrate transient \"t\"; }",
            ),
        ),
        case(
            "an item that is read and dropped",
            &["item-dropped"],
            [
                SPEC,
                Spec {
                    register: "@ 0x11 { cite \"t\"; write store; migrate transient \"t\"; }",
                    more: "removed tag 2 accepted \"t\";",
                    ..SPEC
                },
            ],
        ),
        case(
            "a tag",
            &["item-retagged"],
            registers(
                plain,
                "@ 0x11 { cite \"t\"; write store; migrate saved 9; }",
            ),
        ),
        case(
            "whose an item is",
            &["item-owner"],
            [
                Spec {
                    register: "@ 0x11 { cite \"t\"; write store; migrate saved 2; }",
                    more: "register S @ 0x12 { cite \"t\"; write store; migrate transient \"t\"; }",
                    ..SPEC
                },
                Spec {
                    register: "@ 0x11 { cite \"t\"; write store; migrate transient \"t\"; }",
                    more: "register S @ 0x12 { cite \"t\"; write store; migrate saved 2; }",
                    ..SPEC
                },
            ],
        ),
        case(
            "what a restore accepts",
            &["restore-accepts-more"],
            registers(
                "@ 0x11 { cite \"t\"; write fault; read state & 7; migrate saved 2; restore accepts [7:0]; }",
                "@ 0x11 { cite \"t\"; write fault; read state & 7; migrate saved 2; restore accepts [15:0]; }",
            ),
        ),
        case(
            "the default of an item",
            &["item-default"],
            registers(
                plain,
                "@ 0x11 { cite \"t\"; write store; migrate saved 2 default 5; }",
            ),
        ),
        case(
            "an item of old records",
            &["old-item-accepted"],
            [SPEC, more("removed tag 7 accepted \"t\";")],
        ),
        case(
            "a state that only a record brings",
            &["restored-changes", "restored-back-changes"],
            [record_alone("R & 1"), record_alone("R & 3")],
        ),
        case(
            "the interface's name",
            &["interface-name"],
            [
                SPEC,
                Spec {
                    name: "other",
                    ..SPEC
                },
            ],
        ),
        case("a feature", &["feature-added"], [head(""), SPEC]),
        case(
            "a feature's name",
            &["feature-renamed"],
            [SPEC, head("feature B { bit CAP.A_P; offered; host none; }")],
        ),
        case(
            "what a feature requires",
            &["requirement-added"],
            [
                head(
                    "feature A { bit CAP.A_P; offered; host none; } feature B { bit CAP.B_P; offered; host none; }",
                ),
                head(
                    "feature A { bit CAP.A_P; offered; requires B; host none; } feature B { bit CAP.B_P; offered; host none; }",
                ),
            ],
        ),
        case(
            "what a feature needs of the host",
            &["host-requirement-added"],
            [SPEC, head("feature A { bit CAP.A_P; offered; host LMCE; }")],
        ),
        case(
            "whether guests run",
            &["restore-only"],
            [
                Spec {
                    version: "version 1 \"t\"; version 2 \"u\";",
                    more: "register S @ 0x12 in 2.. { cite \"t\"; write store; migrate saved 3; }",
                    ..SPEC
                },
                Spec {
                    version: "version 1 restore_only \"t\"; version 2 \"u\";",
                    more: "register S @ 0x12 in 2.. { cite \"t\"; write store; migrate saved 3; }",
                    ..SPEC
                },
            ],
        ),
        case(
            "which of a guest's bits a read shows",
            &["read-changed"],
            registers(
                "@ 0x11 { cite \"t\"; read CAP >> 8 & 1; write ignore; }",
                "@ 0x11 { cite \"t\"; read CAP >> 9 & 1; write ignore; }",
            ),
        ),
        case(
            "a register that comes with a write, and its reset",
            &["write-effect"],
            [
                Spec {
                    register: "@ 0x11 { cite \"t\"; reset 1; write store; migrate saved 2; }",
                    ..more(LOCK)
                },
                Spec {
                    register: "@ 0x11 { cite \"t\"; when L.ON else zero; write store; migrate saved 2; }",
                    ..more(LOCK)
                },
            ],
        ),
        case(
            "the order of a restore",
            &["restore-order"],
            [
                Spec {
                    register: "@ 0x11 { cite \"t\"; write store; migrate saved 2; restore after L; }",
                    ..more(LOCK)
                },
                more(LOCK),
            ],
        ),
        case(
            "words",
            &["documentation"],
            registers(
                plain,
                "@ 0x11 { cite \"another page\"; write store; migrate saved 2; }",
            ),
        ),
    ]
}

const LOCK: &str = "register L @ 0x13 { cite \"t\"; write store; reserved ignore; migrate saved 3; [0] ON: bool; }";

/// What only a comparison of folders can find, below.
const OF_FOLDERS: [&str; 2] = ["interface-added", "interface-removed"];

const BANKS: &str = "banks { count CAP.COUNT; limit 4; stored 2; beyond fault; }";

fn banks(word: &'static str, banks: &'static str) -> Spec {
    Spec {
        banks,
        word,
        more: "bank register B @ 0x20 + i { cite \"t\"; write store; migrate saved 4; }",
        ..SPEC
    }
}

const INJECTS: &str = "injection { deliver broadcast; bank 1; global STATUS sets RIPV | EIPV | MCIP; status ERROR sets all; \
                       address ADDRESS sets all; misc MISC sets all; }";
const LOCAL: &str = "injection { deliver broadcast; bank 1; global STATUS sets RIPV | EIPV | MCIP; status ERROR sets all; \
                     address ADDRESS sets all; misc MISC sets all; local R == 1; }";

/// An interface that shows errors, if it has such a section.
fn errors(injection: &str) -> Spec {
    let more = format!(
        "register STATUS @ 0x30 {{ cite \"t\"; write store; migrate saved 5; reserved store; [0] RIPV: bool; [1] EIPV: bool; [2] MCIP: bool; }}
         bank register ERROR @ 0x40 + i {{ cite \"t\"; write store; migrate saved 6; }}
         bank register ADDRESS @ 0x50 + i {{ cite \"t\"; write store; migrate saved 7; }}
         bank register MISC @ 0x60 + i {{ cite \"t\"; write store; migrate saved 8; }}
         {injection}"
    );
    Spec {
        banks: BANKS,
        more: more.leak(),
        ..SPEC
    }
}

const HOOKS: &str =
    "feature A { bit CAP.A_P; offered; host none; } hook Look(value: u64); hook Other(value: u64);";

fn hooked(then: &str) -> Spec {
    Spec {
        head: HOOKS,
        register: format!("@ 0x11 {{ cite \"t\"; write store {then}; migrate saved 2; }}").leak(),
        ..SPEC
    }
}

fn record_alone(read: &str) -> Spec {
    let more = format!("register S @ 0x12 {{ cite \"t\"; read {read}; write fault; }}");
    Spec {
        register: "@ 0x11 { cite \"t\"; write store; migrate saved 2; reserved fault_if_set; restore accepts X | Y;
            [0] X: bool; [1] Y: bool { write fault_if_set; } }",
        more: more.leak(),
        ..SPEC
    }
}

fn found(comparison: &Comparison) -> BTreeSet<&'static str> {
    comparison
        .findings
        .iter()
        .map(|finding| finding.rule.id)
        .collect()
}

/// What has to hold in a direction: the same, whichever side is called the old one.
fn reasons(comparison: &Comparison, direction: usize) -> BTreeSet<String> {
    let own = comparison.verdicts[direction].reasons().iter();
    own.map(|reason| format!("{}: {}", reason.rule, reason.text))
        .collect()
}

#[test]
fn every_rule_has_a_change_that_it_finds_and_its_mirror() {
    let mut met = BTreeSet::new();
    let mut wrong = Vec::new();
    for case in cases() {
        let (old, new) = match (case.sides[0].side("old"), case.sides[1].side("new")) {
            (Ok(old), Ok(new)) => (old, new),
            (Err(mistakes), _) | (_, Err(mistakes)) => {
                wrong.push(mistakes);
                continue;
            }
        };
        let decided = |old: &Side, new: &Side| {
            let comparison = compare(old, new).decided();
            comparison.unwrap_or_else(|question| panic!("{}: {question}", case.what))
        };
        let (there, back) = (decided(&old, &new), decided(&new, &old));
        for direction in [0, 1] {
            let (own, other) = (reasons(&there, direction), reasons(&back, 1 - direction));
            if own != other {
                wrong.push(format!(
                    "{}: {own:#?}, looked at from the other side {other:#?}",
                    case.what
                ));
            }
        }
        let (there, back) = (found(&there), found(&back));
        for id in case.rules {
            let mirror = ALL
                .iter()
                .find(|rule| rule.id == *id)
                .map(|rule| rule.mirror);
            let mirror = mirror.unwrap_or_else(|| panic!("{id} is no rule"));
            if !there.contains(id) || !back.contains(mirror) {
                wrong.push(format!("{}: {there:?}, back {back:?}: {id}", case.what));
            }
            met.extend([*id, mirror]);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let missing: Vec<&str> = ALL
        .iter()
        .map(|rule| rule.id)
        .filter(|id| !met.contains(id) && !OF_FOLDERS.contains(id))
        .collect();
    assert_eq!(missing, [""; 0], "rules without a case");
}

#[test]
fn an_interface_that_one_folder_lacks_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "interface! { interface one { vendor any; version 1 \"t\"; } register R @ 0x11 { cite \"t\"; write store; migrate saved 2; } }";
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    write("few/one.msr", text);
    write("many/one.msr", text);
    write(
        "many/two.msr",
        &text.replace("interface one", "interface two"),
    );
    for (old, new, rule, verdict) in [
        ("few", "many", OF_FOLDERS[0], "old → new: safe\n"),
        ("many", "few", OF_FOLDERS[1], "old → new: refused"),
    ] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_msr"))
            .arg("diff")
            .args([folder.path().join(old), folder.path().join(new)])
            .output()
            .expect("msr runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert!(
            text.contains(&format!("  {rule}")) && text.contains(verdict),
            "{text}"
        );
    }
}
