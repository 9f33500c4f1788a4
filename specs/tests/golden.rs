//! Records as released versions wrote them: a file for each in `golden/`. `MSR_ACCEPT=1` writes a new version's; an old one is never written
//! again.
#[macro_use]
mod common;

use common::{Pair, model, watched};
use msr_dsl::interpret::{Answer, Machine};
use msr_dsl::manifest::Manifest;
use msr_dsl::model::Model;
use msr_runtime::record::crc32c;
use msr_runtime::{ErrorRecord, Interface, MachineCheck, MachineCheckEvent};
use std::fmt::Debug;

type Vmce2 = specs::vmce::v2::State;
type Vmce3 = specs::vmce::v3::State;
type Vmce4 = specs::vmce::v4::State;

fn saved<S: Interface>(state: &S) -> Vec<u8> {
    let mut out = vec![0; S::RECORD_LENGTH];
    let length = state.save(&mut out, crc32c).expect("space");
    assert_eq!(length, out.len());
    out
}

/// Guests that have written to what they can, in the middle of a machine check: one born without any feature and, where there are some,
/// one that has them all.
fn golden<S: Interface + MachineCheck>() {
    golden_of(S::create(), "");
    if S::FEATURES.iter().any(|feature| !feature.default) {
        let names = S::FEATURES.iter().map(|feature| feature.name);
        let Ok(mut state) = S::with_features(names) else {
            panic!("{}@{} has no guest with all features", S::NAME, S::VERSION);
        };
        // Locked, with local machine checks, where the guest does that itself; its own switch for them; CMCI enabled.
        for (msr, value) in [(0x3a, 0x10_0001), (0x4d0, 1), (0x280, 0x4000_0005)] {
            let _ = state.write(msr, value);
        }
        assert_eq!(state.read(0x4d0).ok(), Some(1), "{}", S::NAME);
        golden_of(state, "-features");
    }
}

fn golden_of<S: Interface + MachineCheck>(mut state: S, which: &str) {
    for msr in [0x17a, 0x280, 0x281, 0x400, 0x404, 0x4d0] {
        // Some versions refuse some of them: what is stored is in the record.
        let _ = state.write(msr, 5);
        let _ = state.write(msr, 0x4000_0123);
    }
    let record = ErrorRecord {
        status: 0xbd80_0000_0000_0134,
        address: 0x5000,
        misc: 0x8c,
    };
    state.inject(&MachineCheckEvent {
        restart_ip_valid: true,
        error_ip_valid: false,
        local: false,
        record: Some(record),
    });
    written_as_ever(&state, which);
}

fn written_as_ever<S: Interface>(state: &S, which: &str) {
    kept(&format!("{}-{}{which}", S::NAME, S::VERSION), &saved(state));
}

/// The golden record of a name, which is this one.
fn kept(name: &str, record: &[u8]) -> Vec<u8> {
    let hex: String = record.iter().map(|byte| format!("{byte:02x}")).collect();
    let path = format!("{}/tests/golden/{name}.hex", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("MSR_ACCEPT").is_some() && !std::fs::exists(&path).unwrap_or(true) {
        std::fs::write(&path, format!("{hex}\n")).expect("the golden record");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(golden.trim(), hex, "{path}");
    let digits: Vec<char> = golden.trim().chars().collect();
    let byte = |two: &[char]| u8::from_str_radix(&two.iter().collect::<String>(), 16);
    digits
        .chunks(2)
        .map(|two| byte(two).expect("hexadecimal"))
        .collect()
}

/// The platform takes no machine checks; what the hypervisor holds is in the record too.
fn golden_platform() {
    use specs::platform::v1::{Held, State};
    let mut state = State::create();
    for msr in [0x3b, 0x80b, 0x80f, 0x832, 0x200, 0x201, 0x250, 0x2ff] {
        // Some refuse some of them: what is stored is in the record.
        let _ = state.write(msr, 0x1_0000);
        let _ = state.write(msr, 0x0606_0606_0606_0606);
    }
    assert!(state.hold(Held::Ia32Lstar, 0xffff_8000_0000_0000));
    assert!(state.hold(Held::Ia32Efer, 0xd01));
    assert!(state.hold(Held::Ia32Pat, 0x0706_0504_0100_0007));
    assert!(state.hold(Held::Ia32TscAdjust, 0x1234_5678));
    written_as_ever(&state, "");
}

/// Whatever has a manifest has its golden record.
#[test]
fn every_released_version_has_a_golden_record() {
    let specs = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut released = 0;
    for file in std::fs::read_dir(specs).expect("specs/") {
        let path = file.expect("a file").path();
        if path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a manifest");
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .expect("a name");
        for version in Manifest::parse(&text)
            .expect("a manifest")
            .versions
            .into_keys()
        {
            let golden = specs.join(format!("tests/golden/{name}-{version}.hex"));
            assert!(golden.exists(), "{} is missing", golden.display());
            released += 1;
        }
    }
    assert!(released >= 8, "{released} released versions");
}

#[test]
fn released_versions_write_the_records_they_always_wrote() {
    golden::<Vmce2>();
    golden::<Vmce3>();
    golden::<Vmce4>();
    golden::<specs::vmce_amd::v2::State>();
    golden::<specs::kvm::v1::State>();
    golden::<specs::sdm::v1::State>();
    golden_platform();
}

/// What a hypervisor from before the redesign has saved: nine banks, MCG_CTL and all MCi_CTL as its guest has written them. No version runs
/// such guests, so the interpreter writes the record; the file holds it for ever.
#[test]
fn a_record_of_version_1_restores_into_every_later_version() {
    let vmce = model("vmce");
    let mut old = Machine::new(vmce.version(1).expect("version 1"));
    for (msr, value) in [
        (0x17b, 0x1234),
        (0x400, 0),
        (0x404, u64::MAX - 1),
        (0x420, 5),
    ] {
        assert_eq!(old.write(msr, value), Answer::Ok);
    }
    let record = kept("vmce-1", &old.save());
    goes_on::<Vmce2>(&vmce, &record);
    goes_on::<Vmce3>(&vmce, &record);
    goes_on::<Vmce4>(&vmce, &record);
}

/// The guest has its own MCG_CAP and all else as version 2 rules (semantics.md): what it wrote to MCG_CTL and MCi_CTL counts for nothing, its
/// banks from 2 on read zero, and those from its count on drop writes.
fn goes_on<S: Interface + Copy + PartialEq + Debug>(vmce: &Model, record: &[u8])
where
    S::Hook: Debug,
{
    let mut pair = Pair::<S>::new(vmce);
    pair.generated = S::restore(record, crc32c).expect("every later version restores it");
    pair.reference
        .restore(record)
        .expect("and so does the interpreter");
    pair.same(&watched(vmce, S::VERSION));
    let restored = pair.generated;
    for (msr, value) in [
        (0x179, 0x109),
        (0x17b, u64::MAX),
        (0x17a, 0),
        (0x400, u64::MAX),
        (0x404, u64::MAX),
        (0x420, u64::MAX),
        (0x424, 0),
        (0x421, 0),
        (0x280, 0),
    ] {
        assert_eq!(restored.read(msr).ok(), Some(value), "{msr:#x}");
    }
    let mut guest = restored;
    for (msr, value) in [
        (0x17b, 7),
        (0x420, 7),
        (0x425, 7),
        (0x288, 7),
        (0x289, 7),
        (0x421, 0),
    ] {
        assert!(guest.write(msr, value).is_ok(), "{msr:#x}");
    }
    assert!(guest.write(0x421, 1).is_err(), "bank 8 is one of its own");
    assert_eq!(guest, restored, "nothing of that is stored");
    // It travels on as it is.
    let again = S::restore(&saved(&guest), crc32c);
    assert_eq!(again, Ok(guest));
}
