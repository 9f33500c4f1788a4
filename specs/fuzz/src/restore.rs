//! A restore of any bytes.

use msr_dsl::interpret::{Answer, Machine};
use msr_dsl::model::View;
use msr_runtime::record::crc32c;
use msr_runtime::{Interface, Refusal};
use std::fmt::Debug;

/// Generated code and reference interpreter take the bytes, to the same state, or refuse them for the same reason and change nothing. A
/// state that came from a record can be saved, and comes back from that.
///
/// # Panics
/// If not: that is a finding.
pub fn restore<S: Interface + Clone + PartialEq + Debug>(view: &View, bytes: &[u8])
where
    S::Hook: Debug,
{
    let mut machine = Machine::new(view);
    let before = machine.cells().clone();
    match (S::restore(bytes, crc32c), machine.restore(bytes)) {
        (Ok(state), Ok(())) => {
            for msr in msrs(view) {
                assert_eq!(read(&state, msr), machine.read(msr), "rdmsr {msr:#x}");
            }
            comes_back(&state, &machine);
        }
        (Err(error), Err(reason)) => {
            assert_eq!(error.to_string(), reason, "the reason of the refusal");
            assert_eq!(*machine.cells(), before, "a refused record changes nothing");
        }
        (generated, reference) => panic!("generated {generated:?}, reference {reference:?}"),
    }
}

fn comes_back<S: Interface + PartialEq + Debug>(state: &S, machine: &Machine) {
    let mut record = vec![0; S::RECORD_LENGTH];
    let length = state.save(&mut record, crc32c).expect("there is space");
    assert_eq!(record[..length], machine.save(), "the record");
    let again = S::restore(&record[..length], crc32c).expect("its own record");
    assert_eq!(&again, state, "a record's state, saved and restored");
}

/// The first MSRs of each register, and the last of its banks.
fn msrs(view: &View) -> impl Iterator<Item = u32> {
    let addresses = view
        .registers
        .iter()
        .flat_map(|register| &register.addresses);
    addresses.flat_map(|address| {
        let all: Vec<u32> = address.msrs().map(|(msr, _)| msr).collect();
        let last = all.len().saturating_sub(1).max(3);
        let near = all.iter().take(3).chain(all.iter().skip(last));
        near.copied().collect::<Vec<u32>>()
    })
}

fn read<S: Interface>(state: &S, msr: u32) -> Answer
where
    S::Hook: Debug,
{
    match state.read(msr) {
        Ok(value) => Answer::Value(value),
        Err(Refusal::Fault) => Answer::Fault,
        Err(Refusal::Unlisted) => Answer::Unlisted,
        Err(Refusal::Pass) => Answer::Pass,
        Err(Refusal::Hook(hook)) => {
            let text = format!("{hook:?}");
            Answer::Hook(text.split(' ').next().unwrap_or("").to_owned())
        }
    }
}
