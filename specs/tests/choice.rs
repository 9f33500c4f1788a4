//! The run-time choice of interface, version and features.

use specs::{Choice, McState};

fn create(text: &str) -> Result<McState, String> {
    let choice = Choice::parse(text).map_err(|error| error.to_string())?;
    choice.create().map_err(|error| error.to_string())
}

#[test]
fn a_guest_gets_what_its_line_says() {
    let plain = create("vmce@2").expect("vmce@2");
    assert_eq!(
        (plain.name(), plain.version(), plain.read(0x179)),
        ("vmce", 2, Ok(0x100_0c02))
    );
    let local = create("vmce@3+LMCE").expect("vmce@3+LMCE");
    assert_eq!(
        (local.version(), local.read(0x179), local.read(0x3a)),
        (3, Ok(0x900_0c02), Ok(0x10_0001))
    );
    let newest = create("vmce").expect("vmce");
    assert_eq!(Some(newest.version()), McState::newest("vmce"));
}

#[test]
fn what_cannot_be_is_refused_with_its_reason() {
    for (text, reason) in [
        (
            "vmcee@2",
            "no machine-check interface `vmcee`; there are vmce vmce-amd kvm sdm",
        ),
        (
            "vmce@99",
            "no version 99 of `vmce` that a guest can run under; there are 2 3 4",
        ),
        ("vmce@2+LMCE", "no feature LMCE in this version"),
        (
            "vmce@x",
            "`vmce@x` is not NAME, NAME@VERSION or NAME@VERSION+FEATURE",
        ),
        (
            "vmce@3+",
            "`vmce@3+` is not NAME, NAME@VERSION or NAME@VERSION+FEATURE",
        ),
        (
            "vmce@3++LMCE",
            "`vmce@3++LMCE` is not NAME, NAME@VERSION or NAME@VERSION+FEATURE",
        ),
        ("", "`` is not NAME, NAME@VERSION or NAME@VERSION+FEATURE"),
    ] {
        let error = create(text).expect_err(text);
        assert!(error.starts_with(reason), "{text}: {error}");
    }
}
