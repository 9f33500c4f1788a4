//! The image on machines without VMX, and by UEFI: it says what is missing and stops.

use std::process::{Command, Output};

/// Runs the program. Nothing is installed by a test: without the emulator it would be.
fn boot(arguments: &[&str]) -> Output {
    let missing = boot::setup::missing(&boot::setup::Purpose::ALL);
    assert!(missing.is_empty(), "run `cargo boot setup`: {missing:?}");
    let mut program = Command::new(env!("CARGO_BIN_EXE_boot"));
    program.args(arguments).output().unwrap()
}

/// The exit status, and what went to standard error.
fn status_and_talk(arguments: &[&str]) -> (Option<i32>, String) {
    let output = boot(arguments);
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

fn says_that_there_is_no_vmx(arguments: &[&str]) {
    let (status, talk) = status_and_talk(arguments);
    assert_eq!(status, Some(1), "{talk}");
    let verdict = talk.lines().last().unwrap_or_default();
    assert!(
        verdict.contains("cannot run on this machine") && verdict.contains("VMX"),
        "{talk}"
    );
}

#[test]
fn without_vmx_the_hypervisor_says_so() {
    says_that_there_is_no_vmx(&["--on", "qemu"]);
}

#[test]
fn the_iso_boots_without_vmx_by_bios_too() {
    says_that_there_is_no_vmx(&["--on", "qemu", "--iso"]);
}

#[test]
fn the_iso_boots_by_uefi() {
    says_that_there_is_no_vmx(&["--on", "qemu", "--uefi"]);
}

#[test]
fn bochs_has_no_uefi() {
    let (status, talk) = status_and_talk(&["--uefi"]);
    assert_eq!(status, Some(2), "{talk}");
    assert!(talk.contains("Bochs has no UEFI firmware"), "{talk}");
}

/// The machine that runs this test may have nested VMX: then the scenario must end well there.
#[test]
fn kvm_without_vmx_is_refused_with_its_reason() {
    let (status, talk) = status_and_talk(&["--on", "kvm"]);
    if status != Some(0) {
        assert_eq!(status, Some(2), "{talk}");
        assert!(talk.contains("no VMX through KVM: "), "{talk}");
    }
}
