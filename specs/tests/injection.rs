//! What an injection shows a guest, in generated code and interpreter alike.
mod common;

use common::{Pair, model};
use msr_dsl::interpret::Answer;
use msr_runtime::{ErrorRecord, Interface, MachineCheck, MachineCheckEvent};
use std::fmt::Debug;

type Vmce3 = specs::vmce::v3::State;

fn srar(local: bool) -> MachineCheckEvent {
    let record = ErrorRecord {
        status: 0xbd80_0000_ffff_0134,
        address: 0x1234_5000,
        misc: 0x8c,
    };
    MachineCheckEvent {
        restart_ip_valid: true,
        error_ip_valid: true,
        local,
        record: Some(record),
    }
}

fn inject<S: Interface + MachineCheck + Copy>(pair: &mut Pair<S>, event: &MachineCheckEvent)
where
    S::Hook: Debug,
{
    pair.generated.inject(event);
    assert!(pair.reference.inject(event));
    assert_eq!(pair.generated.in_progress(), pair.reference.in_progress());
    assert_eq!(
        pair.generated.local_enabled(),
        pair.reference.local_enabled()
    );
}

#[test]
fn a_record_arrives_in_bank_1_without_model_specific_bits() {
    let vmce = model("vmce");
    let mut guest = Pair::<Vmce3>::new(&vmce);
    inject(&mut guest, &srar(false));
    assert_eq!(guest.read(0x17a), Answer::Value(7));
    assert_eq!(guest.read(0x401), Answer::Value(0), "bank 0 stays clean");
    assert_eq!(guest.read(0x405), Answer::Value(0xbd80_0000_0000_0134));
    assert_eq!(guest.read(0x406), Answer::Value(0x1234_5000));
    assert_eq!(guest.read(0x407), Answer::Value(0x8c));
    assert_eq!(
        guest.read(0),
        Answer::Value(0x1234_5000),
        "P5_MC_ADDR is bank 1's ADDR"
    );
    assert_eq!(
        guest.read(1),
        Answer::Value(0xbd80_0000_0000_0134),
        "P5_MC_TYPE is bank 1's STATUS"
    );
    assert!(guest.generated.in_progress());
    assert_eq!(guest.write(0x405, 0), Answer::Ok);
    assert_eq!(guest.write(0x17a, 0), Answer::Ok);
    assert_eq!(guest.read(0x405), Answer::Value(0));
    assert!(!guest.generated.in_progress());
}

#[test]
fn who_is_only_told_gets_clean_banks() {
    let vmce = model("vmce");
    let mut guest = Pair::<Vmce3>::new(&vmce);
    inject(
        &mut guest,
        &MachineCheckEvent {
            restart_ip_valid: true,
            error_ip_valid: false,
            local: false,
            record: None,
        },
    );
    assert_eq!(guest.read(0x17a), Answer::Value(5));
    for msr in 0x401..0x480 {
        if msr % 4 != 0 {
            assert_eq!(guest.read(msr), Answer::Value(0));
        }
    }
}

#[test]
fn local_delivery_needs_the_feature_and_the_guests_switch() {
    let vmce = model("vmce");
    let mut guest = Pair::<Vmce3>::new(&vmce).with_capability(0x900_0c02);
    assert!(!guest.generated.local_enabled());
    assert_eq!(guest.write(0x4d0, 1), Answer::Ok);
    assert!(guest.generated.local_enabled() && guest.reference.local_enabled());
    inject(&mut guest, &srar(true));
    assert_eq!(guest.read(0x17a), Answer::Value(0xf));

    // The switch of a guest that was never promised local machine checks counts for nothing.
    let mut other = guest.clone().with_capability(0x100_0c02);
    assert!(!other.generated.local_enabled() && !other.reference.local_enabled());
    inject(&mut other, &srar(false));
    assert_eq!(other.read(0x17a), Answer::Value(7));
}

#[test]
fn version_2_never_says_local() {
    let vmce = model("vmce");
    let mut guest = Pair::<specs::vmce::v2::State>::new(&vmce);
    inject(&mut guest, &srar(true));
    assert_eq!(guest.read(0x17a), Answer::Value(7));
}
