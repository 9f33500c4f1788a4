//! The command line as a user meets it: output, messages, exit statuses.

mod common;

use common::msr;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn spec(name: &str) -> String {
    format!("{}/../specs/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn case(name: &str) -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases")
        .join(name)
        .join("input.msr")
        .display()
        .to_string()
}

#[track_caller]
fn expect(arguments: &[&str], input: &str, status: i32, stdout: &str, stderr: &str) {
    let output = msr(arguments, input);
    assert_eq!(String::from_utf8_lossy(&output.stdout), stdout);
    assert_eq!(String::from_utf8_lossy(&output.stderr), stderr);
    assert_eq!(output.status.code(), Some(status));
}

#[test]
fn sim_answers_each_access() {
    let input = "reset\n\n# a comment\nrdmsr 0x179\nrdmsr 17A\nwrmsr 17a ffffffffffffffff\nrdmsr 17a\nwrmsr 401 1\nrdmsr 200\n";
    let answers =
        "0x0000000001000c02\n0x0000000000000000\nok\n0xffffffffffffffff\n#GP\nunhandled\n";
    expect(&["sim", &spec("vmce.msr")], input, 0, answers, "");
    expect(
        &["sim", &spec("platform.msr")],
        "wrmsr 0x830 4500\nrdmsr c0000080\n",
        0,
        "hook X2apicIcrWrite\npass\n",
        "",
    );
}

#[test]
fn sim_takes_version_features_and_capability() {
    expect(
        &["sim", &format!("{}@2", spec("vmce.msr"))],
        "rdmsr 4d0\n",
        0,
        "unhandled\n",
        "",
    );
    expect(
        &["sim", &format!("{}@3", spec("vmce.msr"))],
        "rdmsr 4d0\n",
        0,
        "#GP\n",
        "",
    );
    let lmce = ["sim", &spec("vmce.msr"), "--feature", "LMCE"];
    expect(
        &lmce,
        "rdmsr 4d0\nrdmsr 3a\n",
        0,
        "0x0000000000000000\n0x0000000000100001\n",
        "",
    );
    let old = ["sim", &spec("vmce.msr"), "--cap", "0x11c"];
    expect(
        &old,
        "rdmsr 179\nrdmsr 17b\n",
        0,
        "0x000000000000011c\n0xffffffffffffffff\n",
        "",
    );
}

#[test]
fn sim_refuses_bad_lines_with_their_number() {
    let file = spec("vmce.msr");
    for (input, stdout, message) in [
        (
            "rdmsr 179\nrdmr 179\n",
            "0x0000000001000c02\n",
            "line 2: unknown command `rdmr`: did you mean `rdmsr`?\n",
        ),
        (
            "rdmsr\n",
            "",
            "line 1: wrong number of words in `rdmsr`: write `rdmsr ADDR`\n",
        ),
        (
            "save 1\n",
            "",
            "line 1: wrong number of words in `save 1`: write `save`\n",
        ),
        (
            "rdmsr +179\n",
            "",
            "line 1: `+179` is not a hexadecimal number of at most 64 bits\n",
        ),
        (
            "rdmsr 0x\n",
            "",
            "line 1: `0x` is not a hexadecimal number of at most 64 bits\n",
        ),
        (
            "restore +1\n",
            "",
            "line 1: `+1` is not a record: two hexadecimal digits for each byte\n",
        ),
        (
            "\nrdmsr xyz\n",
            "",
            "line 2: `xyz` is not a hexadecimal number of at most 64 bits\n",
        ),
        (
            "rdmsr 100000000\n",
            "",
            "line 1: `100000000` is not an MSR's number: it has more than 32 bits\n",
        ),
        (
            "inject VAL=1\n",
            "",
            "line 1: unknown field `VAL`: one of: RIPV, EIPV, LMCE_S, STATUS, ADDR, MISC\n",
        ),
        (
            "inject MCIP=1\n",
            "",
            "line 1: a machine check sets MCIP always: leave it out\n",
        ),
        (
            "restore 0\n",
            "",
            "line 1: `0` is not a record: two hexadecimal digits for each byte\n",
        ),
    ] {
        expect(&["sim", &file], input, 2, stdout, message);
    }
}

#[test]
fn sim_refuses_what_there_is_not() {
    let file = spec("vmce.msr");
    for version in ["77", "99999", "x", ""] {
        let message = format!("{file}: `{version}` is no version of `vmce`; it has 1, 2, 3, 4\n");
        let named = format!("{file}@{version}");
        expect(&["sim", &named], "", 2, "", &message);
        expect(&["show", &named], "", 2, "", &message);
        expect(&["lock", &named], "", 2, "", &message);
    }
    let refused = format!(
        "`MCG_CAP` {:#x} is refused: unknown bits {:#x}\n",
        1u64 << 40,
        1u64 << 40
    );
    expect(
        &["sim", &file, "--cap", "0x10000000000"],
        "",
        2,
        "",
        &refused,
    );
    let feature = "no feature `LMCEE` in version ";
    let output = msr(&["sim", &file, "--feature", "LMCEE"], "");
    assert!(String::from_utf8_lossy(&output.stderr).starts_with(feature));
    assert_eq!(output.status.code(), Some(2));
    let both = msr(&["sim", &file, "--feature", "LMCE", "--cap", "2"], "");
    let message = "'--feature <NAME>' cannot be used with '--cap <VALUE>'";
    assert!(String::from_utf8_lossy(&both.stderr).contains(message));
    assert_eq!(both.status.code(), Some(2));
    assert_eq!(msr(&["sim", "no-such-file.msr"], "").status.code(), Some(2));
    assert_eq!(
        msr(&["sim", &case("field_overlap")], "").status.code(),
        Some(2)
    );
}

#[test]
fn records_and_injections_go_through_sim() {
    let file = format!("{}@3", spec("vmce.msr"));
    let saved = msr(&["sim", &file], "wrmsr 281 77\nsave\n");
    let record = String::from_utf8_lossy(&saved.stdout)
        .lines()
        .nth(1)
        .expect("a record")
        .to_owned();
    let damaged = format!("{}01", &record[..record.len() - 2]);
    assert_ne!(damaged, record);
    let input = format!("restore {record}\nrdmsr 281\nrestore {damaged}\nrdmsr 281\n");
    let answers = "ok\n0x0000000000000077\nrefused: the record is damaged: its checksum differs\n0x0000000000000077\n";
    expect(&["sim", &file], &input, 0, answers, "");
    expect(
        &["sim", &file],
        "restore 00\n",
        0,
        "refused: the record is cut off\n",
        "",
    );
    let inject =
        "inject RIPV=1 EIPV=1 STATUS=bd80000000000134 ADDR=1000 MISC=8c\nrdmsr 17a\nrdmsr 405\n";
    expect(
        &["sim", &file],
        inject,
        0,
        "ok\n0x0000000000000007\n0xbd80000000000134\n",
        "",
    );
}

#[test]
fn sim_says_what_of_a_machine_check_does_not_arrive() {
    let vmce = spec("vmce.msr");
    let lines = "inject RIPV=1 LMCE_S=1 STATUS=bd80000000100134\nrdmsr 17a\nrdmsr 405\n";
    expect(
        &["sim", &format!("{vmce}@2")],
        lines,
        0,
        "ok\n0x0000000000000005\n0xbd80000000000134\n",
        "inject RIPV=1 LMCE_S=1 STATUS=bd80000000100134: version 2 of `vmce` gives an injection no LMCE_S: it is left out\n\
         inject RIPV=1 LMCE_S=1 STATUS=bd80000000100134: version 2 of `vmce` gives an injection no bits 0x100000 of STATUS: they are left out\n",
    );
    let local = ["sim", &format!("{vmce}@3"), "--feature", "LMCE"];
    let unasked = "inject LMCE_S=1: this vCPU has not enabled local machine checks (`deliver`): an engine would not set LMCE_S\n";
    expect(&local, "inject LMCE_S=1\n", 0, "ok\n", unasked);
    let enabled = "wrmsr 4d0 1\ninject LMCE_S=1\nrdmsr 17a\n";
    expect(&local, enabled, 0, "ok\nok\n0x000000000000000c\n", "");
}

#[test]
fn check_says_yes_or_no() {
    let fine = msr(&["check", &spec("vmce.msr"), &spec("platform.msr")], "");
    assert_eq!(fine.status.code(), Some(0));
    let path = case("field_overlap");
    let bad = msr(&["check", &path], "");
    let expected =
        std::fs::read_to_string(path.replace("input.msr", "expected.txt")).expect("expected.txt");
    assert_eq!(bad.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&bad.stdout).trim_end(),
        expected.replace("input.msr", &path).trim_end()
    );
    assert_eq!(
        msr(&["check", "no-such-file.msr"], "").status.code(),
        Some(2)
    );
    assert_eq!(msr(&["check"], "").status.code(), Some(2));
}

#[test]
fn check_speaks_json() {
    let output = msr(&["check", "--json", &case("several_at_once")], "");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        (&lines[0]["line"], &lines[0]["column"], &lines[0]["code"]),
        (&12.into(), &20.into(), &"E001".into())
    );
}

/// Runs with a standard output that nobody reads.
fn unread(arguments: &[&str], input: &str) -> Output {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut child = Command::new(env!("CARGO_BIN_EXE_msr"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .expect("msr runs");
    let _ = child
        .stdin
        .take()
        .map(|mut stdin| stdin.write_all(input.as_bytes()));
    child.wait_with_output().expect("msr ends")
}

#[test]
fn a_reader_that_has_gone_away_is_no_error() {
    let (fine, bad) = (spec("vmce.msr"), case("field_overlap"));
    for (arguments, status) in [
        (&["check", &fine][..], 0),
        (&["check", &bad], 1),
        (&["check", "--json", &bad], 1),
        (&["check", "--explain", "E001"], 0),
        (&["show", &fine], 0),
        (&["show", &fine, "MCG_CAP"], 0),
        (&["sim", &fine], 0),
    ] {
        // What follows the answer that nobody reads is not run.
        let output = unread(arguments, "rdmsr 179\nnonsense\n");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let full = std::fs::File::create("/dev/full").expect("/dev/full");
    let output = Command::new(env!("CARGO_BIN_EXE_msr"))
        .args(["check", &spec("vmce.msr")])
        .stdout(full)
        .output()
        .expect("msr runs");
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("standard output: "));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn check_counts_one_register_as_one() {
    let folder = std::env::temp_dir().join(format!("msr-command-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("one.msr").display().to_string();
    let text = "interface! {\n    /// One.\n    interface one { version 1 \"first\"; }\n    /// It.\n    register ONE @ 0x10 { cite \"the test\"; read zero; write ignore; }\n}\n";
    std::fs::write(&path, text).expect("a spec");
    let output = format!("{path}: one fine: version 1; 1 register\n");
    expect(&["check", &path], "", 0, &output, "");
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn the_help_of_sim_names_lines_answers_and_statuses() {
    let output = msr(&["sim", "--help"], "");
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in [
        "wrmsr ADDR VALUE",
        "restore HEX",
        "inject [FIELD=VALUE ...]",
        "unhandled",
        "#GP",
        "Exit status: 0",
    ] {
        assert!(help.contains(part), "{part} is missing:\n{help}");
    }
}

#[test]
fn every_code_is_explained() {
    for code in msr_dsl::codes::ALL {
        let output = msr(&["check", "--explain", code.id], "");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(code.explanation));
        // The example is about this code alone, and its mend is a matter of lines.
        let (_, example) = text.split_once("\nAn example:\n\n").expect(code.id);
        let (said, mend) = example.split_once("\nMended:\n\n").expect(code.id);
        assert_eq!(said.matches("[E").count() + said.matches("[W").count(), 1);
        assert!(said.contains(&format!("[{}]", code.id)), "{text}");
        let changed = mend.lines().filter(|line| line.starts_with(['+', '-']));
        assert!((1..=10).contains(&changed.count()), "{text}");
    }
    assert_eq!(
        msr(&["check", "--explain", "E999"], "").status.code(),
        Some(2)
    );
}

#[test]
fn show_draws_an_interface_and_a_register() {
    let table = msr(&["show", &format!("{}@3", spec("vmce.msr"))], "");
    let text = String::from_utf8_lossy(&table.stdout).into_owned();
    let row = text
        .lines()
        .find(|line| line.starts_with("MCi_CTL2"))
        .expect("a row");
    assert_eq!(
        row.split_whitespace().collect::<Vec<_>>().join(" "),
        "MCi_CTL2 0x280 + i 0x0 state stored tag 2"
    );
    let register = msr(&["show", &spec("vmce.msr"), "MCG_EXT_CTL"], "");
    assert!(
        String::from_utf8_lossy(&register.stdout)
            .contains("A  [0]      LMCE_EN: bool. Local machine checks are enabled.")
    );
    expect(
        &["show", &spec("kvm.msr"), "MCG_CPA"],
        "",
        2,
        "",
        "no register `MCG_CPA` in version 1: did you mean `MCG_CAP`?\n",
    );
}

#[test]
fn show_finds_a_register_by_its_address() {
    for (address, name) in [("0x4d0", "MCG_EXT_CTL"), ("0x405", "MCi_STATUS")] {
        let by_name = msr(&["show", &spec("vmce.msr"), name], "");
        let by_address = msr(&["show", &spec("vmce.msr"), address], "");
        assert_eq!(by_address.status.code(), Some(0));
        assert_eq!(by_address.stdout, by_name.stdout);
    }
    let nowhere = msr(&["show", &spec("vmce.msr"), "0x4d1"], "");
    assert_eq!(nowhere.status.code(), Some(2));
}

#[test]
fn a_machine_check_that_makes_no_sense_ends_the_run() {
    for (line, message) in [
        ("inject RIPV=2", "line 1: `RIPV=2`: RIPV is a bit, 0 or 1\n"),
        (
            "inject STATUS=5 STATUS=7",
            "line 1: `STATUS` is there twice: leave one out\n",
        ),
    ] {
        expect(&["sim", &spec("vmce.msr")], line, 2, "", message);
    }
}

#[test]
fn what_is_held_keeps_to_the_rules() {
    let lines = "hold 277 2\nheld 277\nhold 277 6\nheld 277\n";
    let refused = "refused: IA32_PAT with the value 0x2 is not accepted\n";
    let states = "0x0007040600070406\n0x0000000000000006\n";
    let all = format!("{refused}{states}");
    expect(&["sim", &spec("platform.msr")], lines, 0, &all, "");
}

#[test]
fn expand_prints_rust() {
    let one = msr(&["expand", &format!("{}@2", spec("vmce.msr"))], "");
    assert_eq!(one.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&one.stderr).contains("holds every version"));
    for file in ["vmce.msr", "platform.msr"] {
        let output = msr(&["expand", &spec(file)], "");
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("    use ::msr_runtime::{Interface, Refusal, Reset};"));
        // Comments as people write them, and nothing left on one line as it came, macros neither.
        assert!(!text.contains("#[doc") && !text.contains(" ! {"), "{file}");
        let code = text.lines().filter(|line| !line.contains("///"));
        let widest = code.max_by_key(|line| line.len()).unwrap_or_default();
        assert!(widest.len() <= 140, "{widest}");
    }
    let vmce = msr(&["expand", &spec("vmce.msr")], "");
    let list = "                $module {\n                    Vmce2 = v2,\n                    Vmce3 = v3,\n";
    assert!(String::from_utf8_lossy(&vmce.stdout).contains(list));
}

#[test]
fn new_writes_a_spec_without_mistakes_and_nothing_over_another() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("new");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder under target/tmp");
    let run = |name: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_msr"));
        command
            .args(["new", name])
            .current_dir(&folder)
            .output()
            .expect("msr runs")
            .status
            .code()
    };
    assert_eq!(run("fresh"), Some(0));
    assert_eq!(run("fresh"), Some(2), "it is there already");
    assert_eq!(run("Not A Name"), Some(2));
    let file = folder.join("fresh.msr").display().to_string();
    expect(
        &["check", &file],
        "",
        0,
        &format!("{file}: fresh fine: version 1; 2 registers\n"),
        "",
    );
    expect(
        &["sim", &file, "--feature", "EXTRA"],
        "wrmsr 4f1 3\nwrmsr 4f1 5\nrdmsr 4f1\n",
        0,
        "ok\n#GP\n0x0000000000000003\n",
        "",
    );
}

#[test]
fn records_are_dumped_and_checked() {
    let file = spec("vmce.msr");
    let saved = msr(
        &["sim", &format!("{file}@3"), "--feature", "LMCE"],
        "wrmsr 4d0 1\nsave\n",
    );
    let record = String::from_utf8_lossy(&saved.stdout)
        .lines()
        .nth(1)
        .expect("a record")
        .to_owned();
    let items = "vmce version 3, 64 bytes\nitem 1 (MCG_CAP): 0x0000000009000c02\n    LMCE_P SER_P TES_P CMCI_P COUNT=0x2\n\
                 item 2 (MCi_CTL2): 0x0000000000000000 0x0000000000000000\nitem 3 (MCG_EXT_CTL): 0x0000000000000001\n    LMCE_EN\n";
    expect(&["record", "dump", &file, &record], "", 0, items, "");
    let answers = "version 2: refused\n    item 3 (MCG_EXT_CTL, since version 3) is unknown to version 2 and not zero\n    \
                   item 1: MCG_CAP with bits 0x8000000 (LMCE_P, since version 3) is not accepted\n\
                   version 3: accepted\nversion 4: accepted\n";
    expect(&["record", "check", &file, &record], "", 0, answers, "");
    expect(
        &["record", "check", &format!("{file}@2"), &record],
        "",
        1,
        answers,
        "",
    );
    expect(
        &["record", "dump", &file, "00"],
        "",
        2,
        "",
        "the record is cut off\n",
    );
}

#[test]
fn a_refusal_gives_every_reason() {
    let file = spec("vmce.msr");
    let lines =
        "wrmsr 4d0 1\nwrmsr 281 5\ninject RIPV=1 STATUS=bd000000000000cf ADDR=1000 MISC=8c\nsave\n";
    let saved = msr(&["sim", &file, "--feature", "LMCE"], lines);
    let answers = String::from_utf8_lossy(&saved.stdout).into_owned();
    let record = answers.lines().last().expect("a record");
    let unknown = [
        "item 6 (MCG_STATUS, since version 4)",
        "item 7 (MCi_STATUS, since version 4)",
        "item 8 (MCi_ADDR, since version 4)",
        "item 9 (MCi_MISC, since version 4)",
        "item 3 (MCG_EXT_CTL, since version 3)",
    ];
    let mut reasons: Vec<String> = unknown
        .iter()
        .map(|item| format!("{item} is unknown to version 2 and not zero"))
        .collect();
    reasons.push(
        "item 1: MCG_CAP with bits 0x8000000 (LMCE_P, since version 3) is not accepted".to_owned(),
    );
    let checked = msr(&["record", "check", &format!("{file}@2"), record], "");
    let checked = String::from_utf8_lossy(&checked.stdout).into_owned();
    let wanted = format!("version 2: refused\n    {}\n", reasons.join("\n    "));
    assert!(checked.starts_with(&wanted), "{checked}");
    // In `sim` on one line; `record convert` says the same, after what it finds item by item.
    let wanted = format!("refused: {}\n", reasons.join("; "));
    let restore = format!("restore {record}\n");
    expect(&["sim", &format!("{file}@2")], &restore, 0, &wanted, "");
    let two = format!("{file}@2");
    let converted = msr(&["record", "convert", &file, record, &two], "");
    let said = String::from_utf8_lossy(&converted.stderr).into_owned();
    assert_eq!(converted.status.code(), Some(1), "{said}");
    assert!(
        reasons.iter().all(|reason| said.contains(reason.as_str())),
        "{said}"
    );
}

#[test]
fn vectors_are_what_sim_answers() {
    for file in [
        "vmce.msr",
        "vmce-amd.msr",
        "kvm.msr",
        "sdm.msr",
        "platform.msr",
    ] {
        let vectors = msr(&["vectors", &spec(file)], "");
        let text = String::from_utf8_lossy(&vectors.stdout).into_owned();
        let promised: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split_once(" # ").map(|(_, answer)| answer))
            .collect();
        for word in ["rdmsr", "wrmsr", "init", "save", "restore"] {
            let said = text.lines().any(|line| line.starts_with(word));
            assert!(said, "{file}: nothing tries {word}");
        }
        let refused = |answer: &&str| answer.starts_with("refused: item");
        assert!(
            promised.iter().any(refused),
            "{file}: every record restores"
        );
        let answers = msr(&["sim", &spec(file)], &text);
        assert_eq!(
            String::from_utf8_lossy(&answers.stdout)
                .lines()
                .collect::<Vec<_>>(),
            promised,
            "{file}"
        );
        assert!(
            promised.len() > 60 && promised.contains(&"#GP"),
            "{file}: {}",
            promised.len()
        );
    }
}

#[test]
fn sim_takes_what_an_administrator_names() {
    let vmce2 = format!("{}@2", spec("vmce.msr"));
    let lines = "rdmsr 4d0\nwrmsr 4d0 5\nrdmsr 4d0\nrdmsr 4d1\nrdmsr 17a\nrdmsr 179\n";
    let (named, zero) = (["--extra", "cap:27,msr:0x4d0"], "0x0000000000000000");
    let answers = format!("{zero}\nok\n{zero}\nunhandled\n{zero}\n0x0000000009000c02\n");
    let sim = ["sim", &vmce2, "--cap", "0x9000c02"];
    expect(&[&sim[..], &named].concat(), lines, 0, &answers, "");
    let refused =
        "`MCG_CAP` 0x9000c02 is refused: unknown bits 0x8000000 (LMCE_P, since version 3)\n";
    expect(&sim, "", 2, "", refused);
    // A record of version 3 with LMCE and LMCE_EN, under version 2, with what the manual says to name.
    let vmce3 = format!("{}@3", spec("vmce.msr"));
    let saved = msr(&["sim", &vmce3, "--feature", "LMCE"], "wrmsr 4d0 1\nsave\n");
    let saved = String::from_utf8_lossy(&saved.stdout).into_owned();
    let restore = format!(
        "restore {}\nrdmsr 179\nrdmsr 4d0\nrdmsr 3a\n",
        saved.lines().nth(1).expect("a record")
    );
    let tag = "item 3 (MCG_EXT_CTL, since version 3) is unknown to version 2 and not zero";
    let bit = "; item 1: MCG_CAP with bits 0x8000000 (LMCE_P, since version 3) is not accepted";
    for too_few in [&[][..], &["--extra", "cap:27,msr:0x4d0,msr:0x3a"]] {
        let sim = [&["sim", vmce2.as_str()][..], too_few].concat();
        let told = match too_few {
            [] => format!("refused: {tag}{bit}\n0x0000000001000c02\nunhandled\nunhandled\n"),
            _ => format!("refused: {tag}\n0x0000000001000c02\n{zero}\n{zero}\n"),
        };
        expect(&sim, &restore, 0, &told, "");
    }
    let manual = include_str!("../../docs/language.md");
    let list = "cap:27,tag:3,msr:0x4d0,msr:0x3a";
    assert!(manual.contains(list), "the manual names another list");
    let all = ["sim", &vmce2, "--extra", list];
    let answers = format!("ok\n0x0000000009000c02\n{zero}\n{zero}\n");
    expect(&all, &restore, 0, &answers, "");
    let wrong = ["sim", &vmce2, "--extra", "cap:27,msr"];
    let told = "--extra: `msr` is not cap:BIT, tag:NUMBER, msr:ADDRESS or msr:FIRST-LAST\n";
    expect(&wrong, "", 2, "", told);
    let wrong = ["sim", &vmce2, "--extra", "cap:27,msr:4d0"];
    let told = "--extra: `msr:4d0` is not cap:BIT, tag:NUMBER, msr:ADDRESS or msr:FIRST-LAST (hexadecimal is `0x4d0` here)\n";
    expect(&wrong, "", 2, "", told);
    let wrong = ["sim", &vmce2, "--extra", "cap:3"];
    let told = "--extra cap:3: version 2 of `vmce`: an extra capability bit that the interface does not take: 3\n";
    expect(&wrong, "", 2, "", told);
    let platform = ["sim", &spec("platform.msr"), "--extra", "msr:1"];
    let told = "--extra msr:1: version 1 of `platform`: the interface takes no extras\n";
    expect(&platform, "", 2, "", told);
}

#[test]
fn fmt_writes_only_what_differs_and_only_specs() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.msr");
    let name = file.to_str().expect("a name");
    let (rough, smooth) = (
        "interface! {\n    interface a { vendor any;\n  version 1 \"a\"; }\n}\n",
        "interface! {\n    interface a {\n        vendor any;\n        version 1 \"a\";\n    }\n}\n",
    );
    std::fs::write(&file, rough).expect("a.msr");
    let told = format!("{name}:2: not formatted\n");
    expect(&["fmt", "--check", name], "", 1, &told, "");
    assert_eq!(std::fs::read_to_string(&file).expect("a.msr"), rough);
    expect(&["fmt", name], "", 0, "", "");
    assert_eq!(std::fs::read_to_string(&file).expect("a.msr"), smooth);
    expect(&["fmt", "--check", name], "", 0, "", "");
    expect(&["fmt", "-"], rough, 0, smooth, "");
    expect(
        &["fmt", "-", "--check"],
        rough,
        1,
        "standard input:2: not formatted\n",
        "",
    );

    // Nothing is written of a file with mistakes, and the others are still done.
    let wrong = folder.path().join("wrong.msr");
    let text = "interface! {\n    interface a { vendr any; }\n}\n";
    std::fs::write(&wrong, text).expect("wrong.msr");
    std::fs::write(&file, rough).expect("a.msr");
    let output = msr(&["fmt", wrong.to_str().expect("a name"), name], "");
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told.contains("wrong.msr:2:19: error[E001]: unknown statement of an interface `vendr`"),
        "{told}"
    );
    assert!(
        told.ends_with("wrong.msr has mistakes and was left as it is\n"),
        "{told}"
    );
    assert_eq!(std::fs::read_to_string(&wrong).expect("wrong.msr"), text);
    assert_eq!(std::fs::read_to_string(&file).expect("a.msr"), smooth);
    assert_eq!(
        std::fs::read_dir(folder.path())
            .expect("the folder")
            .count(),
        2,
        "a file left over"
    );
    assert_eq!(msr(&["fmt", "/nowhere.msr"], "").status.code(), Some(2));
}

#[test]
fn show_says_what_a_feature_needs() {
    let shown = msr(&["show", &spec("vmce.msr")], "");
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    let lmce = "feature LMCE (bit 27) in 3..: guests that are given it. Local machine checks: an SRAR is told to the vCPU that met it, alone. \
                Requires SER. The host's LMCE.\n";
    assert!(text.contains(lmce), "{text}");
}
