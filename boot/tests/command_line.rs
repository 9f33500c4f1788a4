//! The program itself: exit statuses, what goes to standard output and what to standard error. Nothing is booted here.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

fn boot(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_boot"))
        .args(arguments)
        .output()
        .unwrap()
}

fn refused(arguments: &[&str]) -> String {
    let output = boot(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    assert!(!said.contains('\u{1b}'), "colours in a pipe: {said:?}");
    said
}

#[test]
fn a_scenario_that_is_not_there_is_said_so() {
    assert!(refused(&["run", "broadcast-sroa"]).contains("did you mean `broadcast-srao`?"));
    assert!(
        refused(&["run", "zzzzzzzzzzzz"])
            .contains("known: action-undecided, amd-consumer, amd-unconsumed, bench, ")
    );
}

#[test]
fn wrong_options_are_refused() {
    for arguments in [
        &["--timeout", "0"][..],
        &["--timeout", "soon"],
        &["--on", "vmware"],
        &["run"],
        &["frobnicate"],
        &["--iso", "--uefi"],
        &["--json", "list"],
    ] {
        assert!(refused(arguments).contains("error:"));
    }
}

#[test]
fn every_mistake_of_a_scenario_is_shown_with_its_place_before_anything_boots() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.toml");
    let path = file.to_str().unwrap();
    for (text, expected) in [
        (
            "title = 'x'\n[machine]\nprocesors = 2\n",
            ":3:1: unknown key `procesors`",
        ),
        (
            "title = 'x'\n[machine]\nprocessors = 0\n",
            ":3:14: `processors` must be 1 to 15, not 0",
        ),
        ("title = 'x'\n[machine]\nprocessors = 2q\n", ":3:"),
        (
            "title = 'x'\n[machine]\nprocessors = 1\n[[guest]]\nimage = 'broadcast'\nmemory = 200\n",
            ":4:1: the guests' 200 MiB do not fit in a machine with 128 MiB",
        ),
        ("\u{0}", ":1:1: "),
    ] {
        std::fs::write(&file, text).unwrap();
        let said = refused(&["run", path]);
        assert!(
            said.contains(&format!("{path}{expected}")),
            "{expected}: {said}"
        );
    }
    std::fs::write(&file, b"title = '\xff'").unwrap();
    assert!(refused(&["run", path]).contains("UTF-8"));
}

#[test]
fn a_log_that_is_none_is_refused() {
    assert!(refused(&["watch", "--image", "/dev/null", "-"]).contains("log table"));
    assert!(
        refused(&["watch", "--image", "/no/such/file", "-"]).contains("cannot read /no/such/file")
    );
}

#[test]
fn set_up_says_the_line_to_run_where_it_may_not_install() {
    let output = Command::new(env!("CARGO_BIN_EXE_boot"))
        .arg("setup")
        .env("PATH", "/nonexistent")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("sudo apt-get update && sudo apt-get install -y"),
        "{said}"
    );
    for package in [
        "bochs",
        "qemu-system-x86",
        "grub-common",
        "xorriso",
        "mtools",
    ] {
        assert!(said.contains(&format!(" {package}")), "{package}: {said}");
    }
}

/// A system on which `apt-get` is a script that notes what it is asked, and which has none of the programs at first.
fn install(exit: u8) -> (Output, String) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let script = |name: &str, text: &str| {
        let path = place.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let apt = "cd ${0%/*}\n\
               [ $1 = --version ] && exit 0\n\
               echo \"$@\" >> asked\n\
               [ $1 = update ] && exit 0\n\
               for program in bochs qemu-system-x86_64 grub-mkrescue xorriso mformat chromium valgrind g++; do : > $program; done\n";
    script(
        "apt-get",
        &format!("{apt}\necho no such package >&2\nexit {exit}"),
    );
    script("sudo", "[ $1 = -n ] && shift\nexec \"$@\"");
    std::os::unix::fs::symlink("/usr/bin/env", place.join("env")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_boot"))
        .arg("setup")
        .env("PATH", place)
        .output()
        .unwrap();
    let asked = std::fs::read_to_string(place.join("asked")).unwrap();
    (output, asked)
}

#[test]
fn set_up_installs_what_is_missing_and_says_why() {
    let (output, asked) = install(0);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let asked: Vec<_> = asked.lines().collect();
    assert_eq!(asked[0], "update");
    assert!(
        asked[1].starts_with("install -y --no-install-recommends bochs "),
        "{asked:?}"
    );
    assert_eq!(asked.len(), 2);
    assert_eq!(said.lines().count(), 1, "one line: {said}");
    assert!(
        said.contains("xorriso") && said.contains("to emulate a processor with VMX"),
        "{said}"
    );
}

#[test]
fn an_installation_that_fails_is_said_with_its_reason() {
    let (output, _) = install(100);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("no such package"), "{said}");
}

/// The first command of a fresh clone compiles the tool for minutes: cargo's progress must be seen.
#[test]
fn the_aliases_are_not_silent() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../.cargo/config.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let config: toml::Table = text.parse().unwrap();
    for alias in ["boot", "msr"] {
        let words = config["alias"][alias].as_str().unwrap();
        assert!(words.starts_with("run "), "{words}");
        assert!(!words.contains("-q"), "{words}");
    }
}

#[test]
fn an_iso_that_cannot_be_written_is_one_error_before_anything_is_built() {
    for (output, why) in [
        ("/nope/x.iso", "there is no folder /nope"),
        ("/tmp", "it is a folder"),
    ] {
        let said = refused(&["image", "-o", output]);
        assert_eq!(said, format!("error: cannot write {output}: {why}\n"));
    }
}
