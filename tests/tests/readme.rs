//! Every command of the README and of the manual's tutorial is run here, in its order, in a copy of this workspace.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use boot::emulator::{Kind, Way};
use boot::run::{Options, Verdict, run};
use boot::scenario::Scenario;
use boot::setup::{self, Purpose};
use boot::show::Timeline;
use boot::workspace::Workspace;

/// Not run: this test is a part of it.
const ELSEWHERE: &str = "cargo boot test";

/// What must be in the output of the commands that hold this text, beyond an exit status of 0.
const SAID: [(&str, &str); 12] = [
    ("cargo boot  ", "g0 shuts down with exit code 0"),
    (
        "s/read all_ones/read zero/",
        "versions 2, 3, 4 are released, and this would alter MCi_CTL (0x400): read was 0xffffffffffffffff, would be 0x0",
    ),
    ("0x4d0' | cargo msr sim specs/vmce.msr@2", "unhandled\n"),
    (
        "sim specs/vmce.msr@3 --feature LMCE",
        "0x0000000000000000\n",
    ),
    ("git apply", "vmce fine: versions 1, 2, 3, 4, 5;"),
    (
        "--feature ELOG",
        "0x0000000005000c02\nok\n0x0000000000000002\n#GP\n0x0000000001000c02\n#GP\n",
    ),
    (
        "sim identity.msr",
        "#GP\nok\n0x0000000000008100\nok\n0x0000000000000000\n",
    ),
    ("vmce@5+ELOG", "rdmsr 0x17f -> 0x0000000000000002"),
    ("cargo boot list", "broadcast-srao"),
    ("cargo boot --json", "{\"t\":"),
    ("cargo boot bench", "RDMSR of MCG_CAP"),
    ("cargo boot --on qemu", "VMX"),
];

#[test]
fn every_command_works() {
    // Nothing is installed by a test.
    let missing = setup::missing(&Purpose::ALL);
    assert!(missing.is_empty(), "run `cargo boot setup`: {missing:?}");
    let workspace = Workspace::find().unwrap();
    let readme = std::fs::read_to_string(workspace.root.join("README.md")).unwrap();
    let manual = std::fs::read_to_string(workspace.root.join("docs/language.md")).unwrap();
    let blocks = [blocks(&readme), blocks(&manual)].concat();
    assert!(blocks.len() >= 9, "{blocks:?}");
    for (words, _) in SAID {
        assert!(
            blocks.iter().any(|block| block.contains(words)),
            "{words} is no longer in the README or the manual"
        );
    }

    let folder = workspace.root.join("target/readme");
    let copy = fresh_copy(&workspace.root, &folder.join("workspace"));
    for block in blocks {
        let output = Command::new("sh")
            .args(["-e", "-c", &block])
            .current_dir(&copy)
            // All of its own: in a shared folder cargo takes the copy's packages for the workspace's.
            .env("CARGO_TARGET_DIR", folder.join("target"))
            // Nobody debugs what is built here: a quarter less to build.
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(
            output.status.success(),
            "{block}\n{}: {said}",
            output.status
        );
        for (words, expected) in SAID {
            if block.contains(words) {
                assert!(
                    said.contains(expected),
                    "{block}\nmust say {expected}: {said}"
                );
            }
        }
    }
}

/// The timeline in the README is one that a run shows: the same lines in the same order, but for times and addresses.
#[test]
fn the_timeline_is_of_a_run() {
    let workspace = Workspace::find().unwrap();
    let readme = std::fs::read_to_string(workspace.root.join("README.md")).unwrap();
    let (_, rest) = readme.split_once("\n```text\n").unwrap();
    let (pasted, _) = rest.split_once("\n```").unwrap();

    let scenario = Scenario::named(&workspace.root, "broadcast-srao")
        .unwrap_or_else(|error| panic!("{error}"));
    let artifacts = workspace.build().unwrap_or_else(|error| panic!("{error}"));
    let timeline = Timeline::new(scenario.guests.iter().map(|guest| guest.name.clone()));
    let options = Options {
        on: Kind::Bochs,
        way: Way::Direct,
        timeout: Duration::from_secs(120),
    };
    let mut shown = Vec::new();
    let (verdict, _) = run(&scenario, &artifacts, &options, |event| {
        let line = timeline.line(event);
        shown.push(without_numbers(
            &anstream::adapter::strip_str(&line).to_string(),
        ));
    })
    .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(verdict, Verdict::Met);

    let mut left = shown.iter();
    for line in pasted.lines() {
        let line = without_numbers(line);
        assert!(
            left.any(|shown| *shown == line),
            "no run shows `{line}` there: paste a new timeline; this run:\n{}",
            shown.join("\n")
        );
    }
}

/// What the README says of costs is what a run measures, within 5 %.
#[test]
fn the_costs_are_those_of_a_run() {
    const ROWS: [(&str, &str, &str); 7] = [
        ("bench", "rdmsr-mcg-cap", "RDMSR of MCG_CAP"),
        ("bench", "rdmsr-mc1-status", "RDMSR of MC1_STATUS"),
        (
            "bench",
            "rdmsr-slowest",
            "RDMSR, the slowest of the interface",
        ),
        ("bench", "wrmsr-mc1-status-0", "WRMSR of 0 to MC1_STATUS"),
        ("bench", "cpuid-0", "CPUID leaf 0"),
        (
            "bench",
            "machine-check",
            "from the injector's #MC to the guest's handler, 1 processor",
        ),
        (
            "bench-two-processors",
            "machine-check-last-vcpu",
            "the same with 2 processors, last vCPU",
        ),
    ];
    let workspace = Workspace::find().unwrap();
    let readme = std::fs::read_to_string(workspace.root.join("README.md")).unwrap();
    let (_, rest) = readme.split_once("| | Bankshot |").unwrap();
    let (_, rest) = rest.split_once("|---|---|---|---|\n").unwrap();
    let (table, _) = rest.split_once("\n\n").unwrap();
    let mut shown = std::collections::BTreeMap::new();
    for row in table.lines() {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        shown.insert(cells[1], cells[2].parse::<u64>().unwrap());
    }
    assert_eq!(shown.len(), ROWS.len(), "{shown:?}");

    let artifacts = workspace.build().unwrap_or_else(|error| panic!("{error}"));
    for scenario in ["bench", "bench-two-processors"] {
        let measured = Scenario::named(&workspace.root, scenario).unwrap();
        let options = Options {
            on: Kind::Bochs,
            way: Way::Direct,
            timeout: Duration::from_secs(120),
        };
        let (verdict, followed) = run(&measured, &artifacts, &options, |_| {}).unwrap();
        assert_eq!(verdict, Verdict::Met);
        for (_, name, words) in ROWS.iter().filter(|row| row.0 == scenario) {
            let start = format!("bench {name} ");
            let mut texts = followed.events.iter().filter_map(|event| event.get("text"));
            let row = texts
                .find_map(|text| text.to_string().strip_prefix(&start).map(str::to_owned))
                .unwrap_or_else(|| panic!("nothing measures {name}"));
            let median: u64 = row.split(' ').nth(1).unwrap().parse().unwrap();
            assert!(
                shown[words].abs_diff(median) * 20 <= median,
                "{words}: the README says {}, a run {median}",
                shown[words]
            );
        }
    }
}

/// Every relative link of the README and the documents leads somewhere, and the README names every document and every spec.
#[test]
fn links_lead_somewhere_and_nothing_is_left_out() {
    let root = Workspace::find().unwrap().root;
    let files = |folder: &str, end: &str| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(root.join(folder)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .filter(|path| path.extension().is_some_and(|is| is == end))
            .collect()
    };
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    for document in files("docs", "md") {
        let link = format!("(docs/{})", name(&document));
        assert!(readme.contains(&link), "the README does not link to {link}");
    }
    for spec in files("specs", "msr") {
        let word = format!("`{}`", name(&spec));
        assert!(readme.contains(&word), "the README does not name {word}");
    }
    let link = regex::Regex::new(r"\]\(([^)#]+)[^)]*\)").unwrap();
    let mut followed = 0;
    for file in [
        files("docs", "md"),
        vec![root.join("README.md"), root.join("CHANGELOG.md")],
    ]
    .concat()
    {
        let text = std::fs::read_to_string(&file).unwrap();
        for found in link
            .captures_iter(&text)
            .filter(|found| !found[1].contains("://"))
        {
            let to = file.parent().unwrap().join(&found[1]);
            assert!(
                to.exists(),
                "{}: a dead link to {}",
                file.display(),
                &found[1]
            );
            followed += 1;
        }
    }
    assert!(followed > 8, "{followed}");
}

/// The registers that the README shows stand so in the spec.
#[test]
fn the_registers_are_of_the_spec() {
    let root = Workspace::find().unwrap().root;
    let read = |file: &str| std::fs::read_to_string(root.join(file)).unwrap();
    let (readme, spec) = (read("README.md"), read("specs/vmce.msr"));
    let excerpts = readme.split("\n```text\n").skip(1);
    let excerpts = excerpts.map(|rest| rest.split_once("\n```").unwrap().0);
    let registers: Vec<&str> = excerpts.filter(|text| text.contains("register ")).collect();
    assert_eq!(registers.len(), 2, "{registers:?}");
    for excerpt in registers {
        assert!(
            spec.contains(excerpt),
            "specs/vmce.msr no longer has:\n{excerpt}"
        );
    }
}

/// A line with its numbers (grouped, hexadecimal) replaced; not those within a word, such as `cpu0`.
fn without_numbers(line: &str) -> String {
    let numbers = regex::Regex::new(r"\b(0x[0-9a-f]+|\d+( \d{3})*)\b").unwrap();
    numbers.replace_all(line.trim_start(), "#").into_owned()
}

/// The commands, a block each.
fn blocks(readme: &str) -> Vec<String> {
    let fenced = readme.split("\n```sh\n").skip(1);
    fenced
        .map(|block| block.split("\n```").next().unwrap_or_default())
        .map(|block| {
            let lines = block.lines().filter(|line| !line.starts_with(ELSEWHERE));
            lines.map(|line| format!("{line}\n")).collect()
        })
        .collect()
}

/// What a clone with the present state of the files would be, with a history of its own.
fn fresh_copy(root: &Path, copy: &Path) -> PathBuf {
    std::fs::create_dir_all(copy).unwrap();
    let files = git(root, &["ls-files", "-co", "--exclude-standard", "-z"]);
    for file in files
        .split('\0')
        .filter(|file| !file.is_empty() && root.join(file).exists())
    {
        let (from, to) = (std::fs::read(root.join(file)).unwrap(), copy.join(file));
        // A file that has not changed keeps its time: cargo need not build it again.
        if std::fs::read(&to).is_ok_and(|old| old == from) {
            continue;
        }
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(&to, from).unwrap();
    }
    git(copy, &["init", "--quiet"]);
    let known: Vec<&str> = files.split('\0').collect();
    // What an earlier run copied and is gone since would still be built.
    for old in git(copy, &["ls-files", "-z"]).split('\0') {
        if !old.is_empty() && !known.contains(&old) {
            std::fs::remove_file(copy.join(old)).unwrap();
        }
    }
    git(copy, &["add", "--all"]);
    let author = [
        "-c",
        "user.name=test",
        "-c",
        "user.email=test@example.org",
        "-c",
        "commit.gpgsign=false",
    ];
    git(
        copy,
        &[
            &author[..],
            &[
                "commit",
                "--quiet",
                "--allow-empty",
                "--no-verify",
                "--message",
                "copy",
            ],
        ]
        .concat(),
    );
    copy.to_owned()
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}
