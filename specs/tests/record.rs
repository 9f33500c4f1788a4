//! Saved records: both implementations write the same bytes, hostile bytes give an error, a refused record changes nothing.
mod common;

use common::{Pair, capabilities, model, watched};
use msr_dsl::model::Model;
use msr_runtime::record::{HEADER, crc32c, name};
use msr_runtime::{ErrorRecord, Interface, MachineCheck, MachineCheckEvent, RecordError};
use proptest::prelude::*;
use std::fmt::Debug;
use std::sync::OnceLock;

type Vmce2 = specs::vmce::v2::State;
type Vmce3 = specs::vmce::v3::State;
type Vmce4 = specs::vmce::v4::State;

fn saved<S: Interface>(state: &S) -> Vec<u8> {
    let mut out = vec![0; S::RECORD_LENGTH];
    let length = state
        .save(&mut out, crc32c)
        .expect("the buffer is as long as the record");
    assert_eq!(length, out.len());
    out
}

/// The record with these items and a right checksum.
fn record(interface: &str, version: u16, items: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = b"MSR1".to_vec();
    bytes.extend(name(interface));
    bytes.extend(version.to_le_bytes());
    let length = HEADER
        + items
            .iter()
            .map(|(_, payload)| 4 + payload.len())
            .sum::<usize>();
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend([0; 4]);
    for (tag, payload) in items {
        bytes.extend(tag.to_le_bytes());
        bytes.extend((payload.len() as u16).to_le_bytes());
        bytes.extend(*payload);
    }
    seal(&mut bytes);
    bytes
}

fn seal(bytes: &mut [u8]) {
    let crc = crc32c(crc32c(0, &bytes[..16]), &bytes[HEADER..]);
    bytes[16..HEADER].copy_from_slice(&crc.to_le_bytes());
}

fn both_write_the_same<S: Interface + Copy + PartialEq + Debug>(model: &Model)
where
    S::Hook: Debug,
{
    for word in capabilities(model, S::VERSION) {
        let mut pair = Pair::<S>::new(model).with_capability(word);
        for msr in watched(model, S::VERSION) {
            pair.write(msr, 0x5555_aaaa_0000_0001);
            pair.write(msr, 1);
        }
        let bytes = saved(&pair.generated);
        assert_eq!(bytes, pair.reference.save());
        let mut other = Pair::<S>::new(model);
        other.generated = S::restore(&bytes, crc32c).expect("its own record");
        other.reference.restore(&bytes).expect("its own record");
        other.same(&watched(model, S::VERSION));
        assert_eq!(saved(&other.generated), bytes);
    }
}

#[test]
fn generated_code_and_interpreter_write_the_same_record() {
    every_version!(both_write_the_same);
}

#[test]
fn records_are_small() {
    let longest = saved(&Vmce3::with_features(["LMCE"]).expect("LMCE")).len();
    assert!(longest <= 96, "{longest} bytes");
}

#[test]
fn an_older_versions_record_restores() {
    let mut old = Vmce2::create();
    old.set_capability_word(0x100_0d1c);
    let new = Vmce3::restore(&saved(&old), crc32c).expect("a record of version 2");
    assert_eq!(new.capability_word(), 0x100_0d1c);
    assert_eq!(new.mcg_ext_ctl().into_bits(), 0);
}

#[test]
fn a_newer_versions_record_restores_if_nothing_is_lost() {
    let plain = Vmce3::create();
    assert_eq!(
        Vmce2::restore(&saved(&plain), crc32c).map(|state| state.capability_word()),
        Ok(0x100_0c02)
    );
    let local = Vmce3::with_features(["LMCE"]).expect("LMCE");
    let refused = RecordError::Refused {
        tag: 1,
        register: "MCG_CAP",
        bits: 1 << 27,
    };
    assert_eq!(Vmce2::restore(&saved(&local), crc32c), Err(refused));
}

#[test]
fn a_guest_from_before_the_redesign_goes_on_with_its_own_capability() {
    let vmce = model("vmce");
    let first = vmce.version(1).expect("version 1");
    let mut old = msr_dsl::interpret::Machine::new(first);
    assert_eq!(old.write(0x17b, 0x1234), msr_dsl::interpret::Answer::Ok);
    let bytes = old.save();
    for capability in [
        Vmce2::restore(&bytes, crc32c).map(|state| (state.capability_word(), state.mcg_ctl())),
        Vmce3::restore(&bytes, crc32c).map(|state| (state.capability_word(), state.mcg_ctl())),
        Vmce4::restore(&bytes, crc32c).map(|state| (state.capability_word(), state.mcg_ctl())),
    ] {
        assert_eq!(capability, Ok((0x109, u64::MAX)));
    }
}

#[test]
fn from_version_4_on_a_guest_moves_in_the_middle_of_its_handler() {
    let mut guest = Vmce4::create();
    let record = ErrorRecord {
        status: 0xbd80_0000_0000_0134,
        address: 0x5000,
        misc: 0x8c,
    };
    guest.inject(&MachineCheckEvent {
        restart_ip_valid: true,
        error_ip_valid: true,
        local: false,
        record: Some(record),
    });
    guest.set_pending(true);
    let there = Vmce4::restore(&saved(&guest), crc32c).expect("its own record");
    assert!(there.pending() && there.in_progress());
    assert_eq!(there.read(0x405), Ok(0xbd80_0000_0000_0134));
    assert_eq!(there, guest);
    // An older version cannot honour a pending machine check, and takes the record once it is over.
    assert_eq!(
        Vmce3::restore(&saved(&guest), crc32c),
        Err(RecordError::UnknownItem(6))
    );
    guest.reset(msr_runtime::Reset::PowerOn);
    assert!(!guest.pending());
    assert!(Vmce3::restore(&saved(&guest), crc32c).is_ok());
}

#[test]
fn every_reason_to_refuse() {
    let good = saved(&Vmce3::create());
    let cap = 0x100_0c02u64.to_le_bytes();
    let refused = |bytes: &[u8]| Vmce3::restore(bytes, crc32c).expect_err("refused");
    for length in 0..good.len() {
        assert_eq!(
            refused(&good[..length]),
            RecordError::Short,
            "{length} bytes"
        );
    }
    assert_eq!(
        refused(&[good.as_slice(), &[0]].concat()),
        RecordError::Long
    );
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        refused(&bytes);
    }
    assert_eq!(
        refused(&record("kvm", 3, &[])),
        RecordError::OtherInterface(name("kvm"))
    );
    assert_eq!(
        refused(&record("vmce", 3, &[(1, &cap), (1, &cap)])),
        RecordError::ItemTwice(1)
    );
    assert_eq!(
        refused(&record("vmce", 3, &[(99, &[1])])),
        RecordError::UnknownItem(99)
    );
    assert!(
        Vmce3::restore(&record("vmce", 9, &[(99, &[0; 5])]), crc32c).is_ok(),
        "zero is nothing"
    );
    assert_eq!(
        refused(&record("vmce", 3, &[(1, &cap[..7])])),
        RecordError::ItemLength(1)
    );
    assert_eq!(
        refused(&record("vmce", 3, &[(1, &[])])),
        RecordError::ItemLength(1)
    );
    let unknown = (0x100_0c02u64 | 1 << 26).to_le_bytes();
    let bits = RecordError::Refused {
        tag: 1,
        register: "MCG_CAP",
        bits: 1 << 26,
    };
    assert_eq!(refused(&record("vmce", 3, &[(1, &unknown)])), bits);
    let mut out = [0; 8];
    assert_eq!(
        Vmce3::create().save(&mut out, crc32c),
        Err(RecordError::NoSpace)
    );
}

#[test]
fn a_refused_record_changes_nothing() {
    let vmce = model("vmce");
    let mut guest = Pair::<Vmce3>::new(&vmce);
    guest.write(0x280, 0x77);
    let before = guest.reference.cells().clone();
    let unknown = (1u64 << 26).to_le_bytes();
    assert!(
        guest
            .reference
            .restore(&record("vmce", 3, &[(2, &[9; 16]), (1, &unknown)]))
            .is_err()
    );
    assert_eq!(*guest.reference.cells(), before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any bytes with a right checksum: both implementations say the same, and what is taken is taken alike.
    #[test]
    fn hostile_bytes(mut bytes in proptest::collection::vec(any::<u8>(), HEADER..120), header in 0u8..8, tags in any::<[u8; 4]>()) {
        if header > 0 {
            let length = bytes.len() as u16;
            bytes[..4].copy_from_slice(b"MSR1");
            bytes[4..12].copy_from_slice(&name("vmce"));
            bytes[14..16].copy_from_slice(&length.to_le_bytes());
            // Items that often have a tag and a length that mean something.
            let mut at = HEADER;
            for tag in tags {
                if let Some(item) = bytes.get_mut(at..at + 4) {
                    item.copy_from_slice(&[tag % 5, 0, 8 * (1 + tag / 100), 0]);
                    at += 4 + 8 * (1 + usize::from(tag / 100));
                }
            }
            seal(&mut bytes);
        }
        static VMCE: OnceLock<Model> = OnceLock::new();
        let vmce = VMCE.get_or_init(|| model("vmce"));
        let mut pair = Pair::<Vmce3>::new(vmce);
        let reference = pair.reference.restore(&bytes);
        match (Vmce3::restore(&bytes, crc32c), reference) {
            (Ok(state), Ok(())) => {
                pair.generated = state;
                pair.same(&watched(vmce, 3));
            }
            (Err(error), Err(reason)) => prop_assert_eq!(error.to_string(), reason),
            (generated, reference) => prop_assert!(false, "generated {:?}, reference {:?}", generated, reference),
        }
    }
}
