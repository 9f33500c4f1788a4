//! Which values of a closed enumeration a restore takes: those that a guest can have, or that an older version can have written.
//! Generated code and reference interpreter say the same.

use msr_dsl::interpret::Machine;
use msr_dsl::model::Model;
use msr_dsl::source::compile_text;
use msr_runtime::record::{self, HEADER, crc32c};
use msr_runtime::{Interface, RecordError};

#[allow(missing_docs)]
mod level {
    use msr_dsl_macros::interface;
    include!("closed/level.msr");
}

fn model() -> Model {
    let outcome = compile_text(include_str!("closed/level.msr"));
    assert!(outcome.diagnostics.is_empty(), "{:?}", outcome.diagnostics);
    outcome.model.expect("no errors")
}

/// A record of a version with one item.
fn record_of(version: u16, tag: u16, value: u64) -> Vec<u8> {
    let mut items = Vec::from(tag.to_le_bytes());
    items.extend(8u16.to_le_bytes());
    items.extend(value.to_le_bytes());
    let length = (HEADER + items.len()) as u16;
    let mut head = record::header(record::name("level"), version, length);
    record::seal(&mut head, &items, crc32c);
    [head.as_slice(), &items].concat()
}

/// What a version answers to a record with this value under a tag: both implementations, as text.
fn answer<S: Interface>(model: &Model, tag: u16, value: u64) -> Result<(), String> {
    let bytes = record_of(1, tag, value);
    let generated = S::restore(&bytes, crc32c).map(|_| ());
    let view = model.version(S::VERSION).expect("a version of both");
    let reference = Machine::new(view).restore(&bytes);
    assert_eq!(generated.map_err(|error| error.to_string()), reference);
    reference
}

#[test]
fn a_restore_takes_what_some_guest_can_have() {
    type One = level::v1::State;
    type Two = level::v2::State;
    let model = model();
    let taken = |answer: fn(&Model, u16, u64) -> Result<(), String>, tag: u16, most: u64| {
        let values = (0..=most).filter(|value| answer(&model, tag, *value).is_ok());
        values.collect::<Vec<u64>>()
    };
    // The bits were reserved, and clear, in version 1.
    assert_eq!(taken(answer::<One>, 2, 3), [0]);
    assert_eq!(taken(answer::<Two>, 2, 3), [0, 1, 2]);
    // There was no register.
    assert_eq!(taken(answer::<Two>, 3, 3), [1, 2]);
    // There was a number.
    assert_eq!(taken(answer::<Two>, 4, 3), [0, 1, 2, 3]);
    // There were other names.
    assert_eq!(taken(answer::<One>, 5, 7), [0, 1, 5]);
    assert_eq!(taken(answer::<Two>, 5, 7), [0, 1, 2, 5]);
    // Not every guest has the field.
    assert_eq!(taken(answer::<Two>, 6, 3), [0, 1, 2, 3]);
    // A guest sets bits one by one.
    assert_eq!(taken(answer::<Two>, 7, 3), [0, 1, 2, 3]);
    // What goes to hardware is what the rules say.
    assert_eq!(taken(answer::<Two>, 8, 5), [1, 2, 3]);
}

#[test]
fn the_refusal_names_register_and_value() {
    let refused = RecordError::Illegal {
        tag: 3,
        register: "FRESH",
        value: 0,
    };
    assert_eq!(
        level::v2::State::restore(&record_of(2, 3, 0), crc32c),
        Err(refused)
    );
    assert_eq!(
        refused.to_string(),
        "item 3: FRESH with the value 0x0 is not accepted"
    );
}

/// Whatever a guest writes, its own record restores, and as every later version has it.
#[test]
fn what_guests_of_version_1_save_version_2_restores() {
    let model = model();
    for msr in 0x11..=0x17 {
        for value in 0..=8 {
            for word in [0, 1] {
                let mut guest = Machine::new(model.version(1).expect("version 1"));
                guest.set_capability(word);
                guest.write(msr, value);
                for version in &model.views {
                    let restored = Machine::new(version).restore(&guest.save());
                    assert_eq!(restored, Ok(()), "{msr:#x} {value} {}", version.version);
                }
            }
        }
    }
}
