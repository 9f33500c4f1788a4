//! Runs that do not end well, and machines that are none for the hypervisor.

use std::time::Duration;

use boot::emulator::{Kind, Way};
use boot::run::{Options, Verdict};

use super::{BOCHS, artifacts, boot, log, scenario, workspace};

#[test]
fn the_image_is_small() {
    let elf = std::fs::read(&artifacts().kernel).unwrap();
    let size = boot::check_image::size(&elf).unwrap();
    assert!(
        (16 << 10..boot::check_image::SIZE_BUDGET).contains(&size),
        "{size} bytes"
    );
}

/// A guest that never ends is ended by the time limit, with the last lines shown.
#[test]
fn a_hang_is_ended_and_shown() {
    let mut scenario = scenario("broadcast-srao");
    scenario.faults.clear();
    let short = Options {
        timeout: Duration::from_secs(3),
        ..BOCHS
    };
    let (verdict, _) = boot(&scenario, &short);
    let Verdict::Hung(_, _, last) = &verdict else {
        panic!("{verdict}");
    };
    assert!(
        last.iter().any(|line| line.contains("page 0x")),
        "{verdict}"
    );
    assert!(
        verdict
            .to_string()
            .starts_with("no end after 3 s (`--timeout`"),
        "{verdict}"
    );
}

/// `cargo boot` refuses it before; another loader may not.
#[test]
fn a_second_privileged_guest_stops_the_boot() {
    let mut scenario = scenario("two-guests");
    for guest in &mut scenario.guests {
        guest.privileged = true;
    }
    let (verdict, followed) = boot(&scenario, &BOCHS);
    assert_ne!(verdict, Verdict::Met);
    let last = log(&followed.events);
    assert!(
        last.contains(
            "boot.refused cpu=0 what=more than one privileged guest text=guest image=pvh name=g1 "
        ),
        "{last}"
    );
}

/// What was not met is named, with what came instead.
#[test]
fn an_unmet_expectation_is_named() {
    let path = workspace().root.join("tests/scenarios/broadcast-srao.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let spoilt = text.replacen(
        "vcpu = 1, mcg_status = 5, record = \"no\"",
        "vcpu = 1, mcg_status = 7",
        1,
    );
    assert_ne!(text, spoilt);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spoilt.toml");
    std::fs::write(&path, spoilt).unwrap();
    let (verdict, _) = boot(&scenario(path.to_str().unwrap()), &BOCHS);
    let Verdict::Unmet(unmet) = &verdict else {
        panic!("{verdict}");
    };
    assert_eq!(unmet.expected, "vmce.injected guest=0 vcpu=1 mcg_status=7");
    assert!(
        unmet.instead[0].contains("(mcg_status is 0x5)"),
        "{verdict}"
    );
}

/// A machine without VMX: said clearly, and the answer is no.
fn no_vmx(way: Way) {
    let options = Options {
        on: Kind::Qemu,
        way,
        timeout: Duration::from_secs(120),
    };
    let (verdict, followed) = boot(&scenario("broadcast-srao"), &options);
    let Verdict::Unsupported(reason) = &verdict else {
        panic!("{verdict}\n{}", log(&followed.events));
    };
    assert_eq!(reason, "no-vmx");
}

#[test]
fn qemu_has_no_vmx() {
    no_vmx(Way::Direct);
}

#[test]
fn qemu_has_no_vmx_from_an_iso() {
    no_vmx(Way::Iso);
}

#[test]
fn qemu_has_no_vmx_through_uefi() {
    no_vmx(Way::IsoUefi);
}
