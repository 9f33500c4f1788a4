//! The run-time choice of interface, version and features.

use msr_dsl::compare::pool::{Host, pool};
use msr_dsl::compare::side::Side;
use msr_dsl::interpret::Machine;
use msr_dsl::source::compile_text;
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

/// What `msr pool` prints is the boot option of a guest: the hypervisor takes it, and the guest has what it names.
#[test]
fn what_a_pool_offers_is_a_boot_option() {
    let mut offered = std::collections::BTreeSet::new();
    for spec in ["vmce", "vmce-amd", "kvm", "sdm"] {
        let path = format!("{}/{spec}.msr", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).expect("a shipped spec");
        let model = compile_text(&text).model.expect("without mistakes");
        let host = |newest: usize, has: &[&str]| Host {
            name: format!("{spec}@{newest}"),
            versions: model.views[..newest]
                .iter()
                .map(|view| Side::of_spec(spec, &path, &text, view))
                .collect(),
            has: has.iter().map(|one| (*one).to_owned()).collect(),
        };
        let kinds =
            (1..=model.views.len()).flat_map(|newest| [(newest, &["LMCE"][..]), (newest, &[])]);
        let kinds: Vec<_> = kinds.collect();
        for (at, (newest, has)) in kinds.iter().enumerate() {
            for (other, other_has) in &kinds[at..] {
                let hosts = [host(*newest, has), host(*other, other_has)];
                let answer = pool(&hosts).unwrap_or_else(|reason| panic!("{reason}"));
                let Ok(answer) = answer else {
                    // Version 1 is for guests that are restored.
                    assert_eq!((spec, *newest.min(other)), ("vmce", 1));
                    continue;
                };
                let guest = create(&answer.choice);
                let guest = guest.unwrap_or_else(|reason| panic!("{}: {reason}", answer.choice));
                let view = model.version(guest.version()).expect("it is in the spec");
                let mut reference = Machine::new(view);
                for feature in answer.choice.split('+').skip(1) {
                    reference.add_feature(feature).expect("it is offered");
                }
                let word = reference.capability().expect("a word");
                assert_eq!(guest.read(0x179), Ok(word), "{}", answer.choice);
                offered.insert(answer.choice);
            }
        }
    }
    let some = ["vmce@2", "vmce@4+LMCE", "vmce-amd@2", "kvm@1+CMCI+LMCE"];
    assert!(some.iter().all(|one| offered.contains(*one)), "{offered:?}");
}
