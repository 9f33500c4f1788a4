//! `msr diff`, `msr pool` and `msr record convert` as a user meets them.

use msr_dsl::compare::rules::ALL;
use serde_json::Value;
mod common;

use std::path::PathBuf;
use std::process::{Command, Output};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn msr(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_msr"))
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("msr runs")
}

#[track_caller]
fn says(arguments: &[&str], status: i32) -> String {
    let output = msr(arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{text}{talk}");
    if status == 2 { talk } else { text }
}

fn file(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Enough of JSON Schema for docs/diff.schema.json; a word that it does not know is a mistake in the schema.
fn fits(value: &Value, schema: &Value, whole: &Value, place: &str) {
    for (word, said) in schema.as_object().expect("a schema is an object") {
        match word.as_str() {
            "$schema" | "title" | "$defs" => {}
            "$ref" => {
                let path = said
                    .as_str()
                    .and_then(|path| path.strip_prefix('#'))
                    .expect("a local reference");
                fits(
                    value,
                    whole.pointer(path).expect("it is there"),
                    whole,
                    place,
                );
            }
            "const" => assert_eq!(value, said, "{place}"),
            "enum" => assert!(
                said.as_array().expect("a list").contains(value),
                "{place}: {value}"
            ),
            "type" => {
                let types: Vec<&str> = match said {
                    Value::String(one) => vec![one],
                    list => list
                        .as_array()
                        .expect("a list")
                        .iter()
                        .filter_map(Value::as_str)
                        .collect(),
                };
                let is = match value {
                    Value::Null => "null",
                    Value::Bool(_) => "boolean",
                    Value::Number(_) => "integer",
                    Value::String(_) => "string",
                    Value::Array(_) => "array",
                    Value::Object(_) => "object",
                };
                assert!(types.contains(&is), "{place} is {is}");
            }
            "required" => {
                for key in said
                    .as_array()
                    .expect("a list")
                    .iter()
                    .filter(|_| value.is_object())
                {
                    assert!(
                        value.get(key.as_str().expect("a key")).is_some(),
                        "{place} lacks {key}"
                    );
                }
            }
            "additionalProperties" => {
                let known = schema["properties"].as_object().expect("properties");
                let more = value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .find(|(key, _)| !known.contains_key(*key));
                assert_eq!(more, None, "{place}");
            }
            "properties" => {
                for (key, of) in said.as_object().expect("properties") {
                    if let Some(own) = value.get(key) {
                        fits(own, of, whole, &format!("{place}/{key}"));
                    }
                }
            }
            "items" => value
                .as_array()
                .into_iter()
                .flatten()
                .for_each(|one| fits(one, said, whole, place)),
            other => panic!("{place}: `{other}` is not known"),
        }
    }
}

#[test]
fn json_fits_its_schema() {
    let schema: Value = serde_json::from_str(&file("docs/diff.schema.json")).expect("JSON");
    for sides in [
        ["specs/vmce.msr@2", "specs/vmce.msr@4"],
        ["specs/vmce.lock@1", "specs/kvm.msr"],
        ["specs", "specs"],
    ] {
        let text = says(&["diff", "--json", sides[0], sides[1]], 0);
        let value: Value = serde_json::from_str(&text).expect("JSON");
        fits(&value, &schema, &schema, "");
    }
}

#[test]
fn nothing_breaks_between_the_released_versions_and_the_specs() {
    for spec in ["vmce", "vmce-amd", "kvm", "sdm"] {
        let sides = [format!("specs/{spec}.lock"), format!("specs/{spec}.msr")];
        says(&["diff", "--deny", "breaking", &sides[0], &sides[1]], 0);
    }
}

#[test]
fn the_manuals_list_is_the_table() {
    let text = file("docs/diff.md");
    let (_, rest) = text
        .split_once("<!-- rules -->\n")
        .expect("the mark before the list");
    let (list, _) = rest
        .split_once("<!-- end of rules -->")
        .expect("the mark behind the list");
    let effect = |rule: &msr_dsl::compare::rules::Rule| format!("{:?}", rule.effect).to_lowercase();
    let lines = ALL.iter().map(|rule| {
        format!(
            "| `{}` | {} | `{}` | {} | {} |\n",
            rule.id,
            effect(rule),
            rule.mirror,
            rule.title,
            rule.explanation
        )
    });
    let table = format!(
        "| rule | old to new | mirror | | |\n|---|---|---|---|---|\n{}",
        lines.collect::<String>()
    );
    assert_eq!(list.trim(), table.trim());
}

#[test]
fn rules_are_explained() {
    let text = says(&["diff", "--explain", "write-faults"], 0);
    assert!(
        text.starts_with("write-faults: a value once accepted now faults\n"),
        "{text}"
    );
    assert!(text.contains("the mirror: write-accepted"), "{text}");
    assert!(
        says(&["diff", "--explain", "write-fault"], 2).contains("did you mean `write-faults`?")
    );
}

#[test]
fn denied_findings_are_waived_with_a_reason() {
    let sides = ["specs/vmce.msr@3", "specs/vmce.msr@2"];
    says(&["diff", sides[0], sides[1]], 0);
    says(&["diff", "--deny", "breaking", sides[1], sides[0]], 0);
    says(&["diff", "--deny", "any", sides[1], sides[0]], 1);
    says(&["diff", "--deny", "breaking", sides[0], sides[1]], 1);
    let value: Value =
        serde_json::from_str(&says(&["diff", "--json", sides[0], sides[1]], 0)).expect("JSON");
    let findings = value["comparisons"][0]["findings"]
        .as_array()
        .expect("findings");
    let prints: Vec<&str> = findings
        .iter()
        .filter_map(|one| one["fingerprint"].as_str())
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let waivers = folder.path().join("waivers");
    let path = waivers.display().to_string();
    let write = |text: String| std::fs::write(&waivers, text).expect("a file");
    write(
        prints
            .iter()
            .map(|print| format!("{print} nobody uses it\n"))
            .collect(),
    );
    let text = says(
        &[
            "diff",
            "--deny",
            "any",
            "--waivers",
            &path,
            sides[0],
            sides[1],
        ],
        0,
    );
    assert!(text.contains("waived: nobody uses it"), "{text}");
    write(format!("# one reason is missing\n{}\n", prints[0]));
    let talk = says(&["diff", "--waivers", &path, sides[0], sides[1]], 2);
    assert!(
        talk.contains(":2:1: ") && talk.contains("without a reason"),
        "{talk}"
    );
    write("01234567-89abcdef gone\n".to_owned());
    let talk = says(&["diff", "--waivers", &path, sides[0], sides[1]], 2);
    assert!(
        talk.contains(":1:1: no finding `01234567-89abcdef`"),
        "{talk}"
    );
}

#[test]
fn every_form_names_every_finding() {
    let sides = ["specs/vmce.msr@3", "specs/vmce.msr@2"];
    let value: Value =
        serde_json::from_str(&says(&["diff", "--json", sides[0], sides[1]], 0)).expect("JSON");
    let findings = value["comparisons"][0]["findings"]
        .as_array()
        .expect("findings")
        .clone();
    let text = says(&["diff", sides[0], sides[1]], 0);
    let markdown = says(&["diff", "--markdown", sides[0], sides[1]], 0);
    let github = says(&["diff", "--github", sides[0], sides[1]], 0);
    let junit = says(&["diff", "--junit", sides[0], sides[1]], 0);
    let sarif: Value =
        serde_json::from_str(&says(&["diff", "--sarif", sides[0], sides[1]], 0)).expect("JSON");
    let results = sarif["runs"][0]["results"].as_array().expect("results");
    assert_eq!(
        (results.len(), github.lines().count()),
        (findings.len(), findings.len())
    );
    assert!(
        github.lines().all(
            |line| line.starts_with("::warning file=specs/vmce.msr,line=")
                || line.starts_with("::notice file=")
        ),
        "{github}"
    );
    for finding in &findings {
        let (rule, print) = (
            finding["rule"].as_str().expect("a rule"),
            finding["fingerprint"].as_str().expect("one"),
        );
        assert!(
            text.contains(print)
                && markdown.contains(print)
                && github.contains(&format!("title={rule}::"))
        );
        assert!(
            results
                .iter()
                .any(|one| one["partialFingerprints"]["msrDiff/v1"] == print
                    && one["ruleId"] == rule)
        );
        let breaking = finding["old_to_new"]["effect"] != "safe";
        assert_eq!(junit.contains(print), breaking, "{rule}");
    }
}

/// A spec changed in five ways, with the verdict that its author expects.
#[test]
fn five_changes_and_their_verdicts() {
    let spec = file("specs/vmce.msr");
    let folder = tempfile::tempdir().expect("a folder");
    let old = folder.path().join("old.msr").display().to_string();
    std::fs::write(&old, &spec).expect("a file");
    let cases = [
        // A rename and other words.
        (
            spec.replace("MCi_CTL2", "MCi_CONTROL2")
                .replace("/// The bank holds an error.", "/// There is an error."),
            &["documentation"][..],
            "safe",
            "safe",
        ),
        // Reserved bits that were stored fault; a record that holds them is refused too.
        (
            spec.replacen(
                "// As Xen: all 64 bits are stored.\n        reserved store;",
                "reserved fault_if_set;",
                1,
            ),
            &["restore-accepts-less", "write-faults"],
            "conditional",
            "safe",
        ),
        // The injection loses the address.
        (
            spec.replace(
                "address MCi_ADDR sets all;",
                "address MCi_ADDR sets all less [63:52];",
            ),
            &["injection-sets-less"],
            "conditional",
            "safe",
        ),
        // A bank at or above the count faults.
        (
            spec.replace("beyond zero;", "beyond fault;"),
            &["absence-faults"],
            "conditional",
            "safe",
        ),
        // The pending machine check is no longer saved under its tag.
        (
            spec.replace("migrate saved 10;", "migrate saved 11;"),
            &["item-retagged"],
            "conditional",
            "conditional",
        ),
    ];
    for (number, (text, rules, forth, back)) in cases.into_iter().enumerate() {
        assert_ne!(text, spec, "change {number}");
        let new = folder
            .path()
            .join(format!("new{number}.msr"))
            .display()
            .to_string();
        std::fs::write(&new, text).expect("a file");
        let value: Value =
            serde_json::from_str(&says(&["diff", "--json", &old, &new], 0)).expect("JSON");
        let one = &value["comparisons"][0];
        let findings = one["findings"].as_array().expect("findings");
        let mut own: Vec<&str> = findings
            .iter()
            .filter_map(|one| one["rule"].as_str())
            .collect();
        own.sort_unstable();
        own.dedup();
        assert_eq!(own, rules, "change {number}");
        let verdicts = [
            &one["verdicts"]["old_to_new"]["verdict"],
            &one["verdicts"]["new_to_old"]["verdict"],
        ];
        assert_eq!(verdicts, [forth, back], "change {number}");
    }
}

#[test]
fn sides_come_from_git_and_from_folders() {
    let text = says(&["diff", "specs", "specs"], 0);
    assert_eq!(text.matches("\nno difference\n").count(), 5, "{text}");
    assert!(
        says(&["diff", "specs/vmce.msr@9", "specs/vmce.msr"], 2)
            .contains("`9` is no version of `vmce`; it has 1, 2, 3, 4")
    );
    assert!(
        says(
            &["diff", "no-such-revision:specs/vmce.msr", "specs/vmce.msr"],
            2
        )
        .starts_with("git")
    );
    // Which of two would be compared?
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["a.msr", "b.msr"] {
        std::fs::write(folder.path().join(name), file("specs/sdm.msr")).expect("a file");
    }
    let path = folder.path().display().to_string();
    let text = says(&["diff", "specs", &path], 2);
    let both = format!("{path}: {path}/a.msr@1 and {path}/b.msr@1 are both of interface `sdm`");
    assert!(text.starts_with(&both), "{text}");
}

#[test]
fn a_pool_offers_what_all_can_honour() {
    let text = says(
        &["pool", "specs/vmce.msr@4+LMCE", "specs/vmce.msr@3+LMCE"],
        0,
    );
    assert!(text.starts_with("interface=vmce@3+LMCE\n"), "{text}");
    let text = says(&["pool", "specs/vmce.msr@3+LMCE", "specs/vmce.msr@3"], 0);
    assert_eq!(
        text,
        "interface=vmce@3\nspecs/vmce.msr@3+LMCE: of vmce@3+LMCE it loses\n  feature LMCE\nspecs/vmce.msr@3: loses nothing\n"
    );
    let text = says(&["pool", "specs/vmce.msr", "specs/kvm.msr"], 1);
    assert!(text.contains("specs/kvm.msr does not have it"), "{text}");
    assert!(says(&["pool", "specs/vmce.msr+LMC"], 2).contains("did you mean `LMCE`?"));
}

#[test]
fn a_record_is_converted_or_every_reason_is_given() {
    let golden = file("specs/tests/golden/vmce-2.hex").trim().to_owned();
    let converted = says(
        &[
            "record",
            "convert",
            "specs/vmce.msr",
            &golden,
            "specs/vmce.msr@4",
        ],
        0,
    );
    let dump = says(&["record", "dump", "specs/vmce.msr", converted.trim()], 0);
    assert!(dump.starts_with("vmce version 4, "), "{dump}");
    let output = msr(&[
        "record",
        "convert",
        "specs/vmce.msr",
        &golden,
        "specs/kvm.msr",
    ]);
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        (output.status.code(), output.stdout.len()),
        (Some(1), 0),
        "{talk}"
    );
    assert!(
        talk.contains("MCG_CAP with bits 0x800 is not accepted"),
        "{talk}"
    );
}

/// Not even with `--lossy` is a machine check taken from a guest that is in its handler.
#[test]
fn a_machine_check_that_is_being_handled_is_not_lost() {
    let saved = |lines: &str| {
        let kvm = root().join("specs/kvm.msr").display().to_string();
        let output = common::msr(&["sim", &kvm], lines);
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().last().expect("a record").to_owned()
    };
    let convert = |record: &str| {
        let sides = ["specs/kvm.msr", record, "specs/vmce.msr"];
        let output = msr(&[&["record", "convert", "--lossy"], &sides[..]].concat());
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let handling = "inject STATUS=0xbd000000000000cf ADDR=0x5000 MISC=0x8c\nsave\n";
    let (status, talk) = convert(&saved(handling));
    assert_eq!(status, Some(1), "{talk}");
    let reason = "a machine check is being handled, and 0x425 reads 0xbd000000000000cf, there 0x0000000000000000";
    assert!(talk.contains(reason), "{talk}");
    // Once it is handled, what is left in a bank is one thing more that the guest reads otherwise.
    let handled = handling.replace("save", "wrmsr 0x17a 0\nsave");
    let (status, talk) = convert(&saved(&handled));
    assert_eq!(status, Some(0), "{talk}");
    assert!(
        talk.contains("MCi_STATUS (0x425) reads 0xbd000000000000cf, there 0x0000000000000000"),
        "{talk}"
    );
}

/// A guest that was saved under one and goes on under the other loses what the record does not bring.
#[test]
fn what_a_move_changes_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let write = |name: &str, lines: &str| {
        let text = format!(
            "interface! {{ interface moved {{ vendor any; version 1 \"t\"; }}
             register B @ 0x11 {{ cite \"t\"; write store; migrate saved 7; }}
             register A @ 0x10 {{ cite \"t\"; {lines} }} }}"
        );
        std::fs::write(path(name), text).expect("a file");
    };
    let compared = |old: &str, new: &str| -> Value {
        write("old.msr", old);
        write("new.msr", new);
        let text = says(&["diff", "--json", &path("old.msr"), &path("new.msr")], 0);
        let value: Value = serde_json::from_str(&text).expect("JSON");
        value["comparisons"][0].clone()
    };
    let cases = [
        // A constant becomes state that an old record does not bring.
        (
            "read 6; write ignore;",
            "reset 6; write store; migrate saved 1 default 0;",
            ["rdmsr 0x10", "0x0000000000000006", "0x0000000000000000"],
        ),
        // One state in two encodings.
        (
            "write one_sets; reserved ignore; migrate saved 1; [0] L: bool;",
            "reset 1; read !state & 1; write one_clears; reserved ignore; migrate saved 1; [0] L: bool;",
            ["rdmsr 0x10", "0x0000000000000000", "0x0000000000000001"],
        ),
        // Lost by neither before; now it comes along with another value.
        (
            "write store; migrate transient \"t\";",
            "write store; migrate saved 1 default 5;",
            ["rdmsr 0x10", "0x0000000000000000", "0x0000000000000005"],
        ),
    ];
    for (old, new, shown) in cases {
        let one = compared(old, new);
        let findings = one["findings"].as_array().expect("findings");
        let own = findings.iter().find(|one| one["rule"] == "move-changes");
        let own = own.unwrap_or_else(|| panic!("{old} → {new}: {findings:#?}"));
        let witness = &own["witness"];
        let lines = witness["lines"].as_array().expect("lines");
        assert!(
            lines[0].as_str().expect("a line").starts_with("restore "),
            "{lines:?}"
        );
        assert_eq!(lines.last().expect("a line"), shown[0], "{own:#}");
        assert_eq!(witness["answers"], serde_json::json!([shown[1], shown[2]]));
        assert_eq!(one["verdicts"]["old_to_new"]["verdict"], "conditional");
    }
    // What was another register's state is one of its own: that shows without a move.
    let one = compared("read B; write ignore;", "write store; migrate saved 1;");
    let findings = one["findings"].as_array().expect("findings");
    let own = findings.iter().find(|one| one["rule"] == "write-effect");
    let own = own.unwrap_or_else(|| panic!("{findings:#?}"));
    let lines = ["wrmsr 0x11 0xffffffffffffffff", "rdmsr 0x10"];
    assert_eq!(own["witness"]["lines"], serde_json::json!(lines));
    assert_eq!(one["verdicts"]["old_to_new"]["verdict"], "conditional");
    // What an old guest never had it does not miss.
    let one = compared("read zero; write ignore;", "write store; migrate saved 1;");
    assert_eq!(one["verdicts"]["old_to_new"]["verdict"], "safe", "{one:#}");
}

#[test]
fn another_default_of_the_capability_word_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let new = folder.path().join("new.msr").display().to_string();
    let spec = file("specs/vmce.msr").replacen(
        "migrate saved 1;",
        "migrate saved 1 default 0x1000002;",
        1,
    );
    std::fs::write(&new, spec).expect("a file");
    let text = says(&["diff", "specs/vmce.msr", &new], 0);
    assert!(text.contains("  item-default  MCG_CAP 0x179  ["), "{text}");
}
