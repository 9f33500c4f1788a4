//! Hostile records: whatever the bytes, a restore gives a state or an error value, generated code and reference interpreter give the
//! same, and a refused record changes nothing.
//!
//! `corpus/` holds records with their answers, by interface, version and what is wrong with them, and what `cargo boot fuzz record` has
//! found. `MSR_ACCEPT=1` writes what is missing.
#[macro_use]
mod common;

use common::{Pair, watched};
use msr_dsl::model::Model;
use msr_runtime::Interface;
use msr_runtime::record::{HEADER, ITEM, crc32c};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::fmt::Debug;
use std::path::PathBuf;

/// Something done to a record that was good. Items are counted modulo their number.
#[derive(Clone, Debug)]
enum Harm {
    /// Flips a bit anywhere.
    Flip(usize),
    /// Cuts bytes off.
    Cut(usize),
    /// Adds bytes.
    Add(Vec<u8>),
    /// The header says another length.
    Length(u16),
    /// The header says another version.
    Version(u16),
    /// An item says another length.
    ItemLength(usize, u16),
    /// An item has another tag.
    Tag(usize, u16),
    /// An item's word has another value.
    Word(usize, u64),
    /// An item is there again, at the end.
    Twice(usize),
    /// Two items change places.
    Swap(usize, usize),
    /// An item is not there.
    Without(usize),
}

/// Where the items are, as far as their lengths lead.
fn items(record: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut items, mut at) = (Vec::new(), HEADER);
    while let Some(&[_, _, low, high]) = record.get(at..at + ITEM) {
        let end = at + ITEM + usize::from(u16::from_le_bytes([low, high]));
        if end > record.len() {
            break;
        }
        items.push(at..end);
        at = end;
    }
    items
}

fn put(record: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(to) = record.get_mut(at..at + bytes.len()) {
        to.copy_from_slice(bytes);
    }
}

impl Harm {
    fn apply(&self, record: &mut Vec<u8>) {
        let items = items(record);
        let item = |which: &usize| items.get(which % items.len().max(1)).cloned();
        match self {
            Self::Flip(bit) if !record.is_empty() => {
                let at = bit / 8 % record.len();
                record[at] ^= 1 << (bit % 8);
            }
            Self::Flip(_) => {}
            Self::Cut(bytes) => record.truncate(record.len().saturating_sub(*bytes)),
            Self::Add(bytes) => record.extend(bytes),
            Self::Length(length) => put(record, 14, &length.to_le_bytes()),
            Self::Version(version) => put(record, 12, &version.to_le_bytes()),
            Self::ItemLength(which, length) => {
                if let Some(item) = item(which) {
                    put(record, item.start + 2, &length.to_le_bytes());
                }
            }
            Self::Tag(which, tag) => {
                if let Some(item) = item(which) {
                    put(record, item.start, &tag.to_le_bytes());
                }
            }
            Self::Word(which, value) => {
                if let Some(item) = item(which) {
                    put(record, item.start + ITEM, &value.to_le_bytes());
                }
            }
            Self::Twice(which) => {
                if let Some(item) = item(which) {
                    record.extend_from_within(item);
                }
            }
            Self::Swap(one, other) => {
                if let (Some(one), Some(other)) = (item(one), item(other)) {
                    let (first, second) = if one.start < other.start {
                        (one, other)
                    } else {
                        (other, one)
                    };
                    if first.end <= second.start {
                        let parts = [
                            &record[..first.start],
                            &record[second.clone()],
                            &record[first.end..second.start],
                            &record[first.clone()],
                            &record[second.end..],
                        ];
                        *record = parts.concat();
                    }
                }
            }
            Self::Without(which) => {
                if let Some(item) = item(which) {
                    record.drain(item);
                }
            }
        }
    }
}

/// The header says the length that the record has.
fn set_length(record: &mut [u8]) {
    let length = record.len() as u16;
    if let Some(said) = record.get_mut(14..16) {
        said.copy_from_slice(&length.to_le_bytes());
    }
}

/// The checksum is right.
fn seal(record: &mut [u8]) {
    if record.len() >= HEADER {
        let crc = crc32c(crc32c(0, &record[..16]), &record[HEADER..]);
        record[16..HEADER].copy_from_slice(&crc.to_le_bytes());
    }
}

/// The record of a vCPU whose registers were written to.
fn good<S: Interface>(model: &Model) -> Vec<u8> {
    let mut state = S::create();
    for msr in watched(model, S::VERSION) {
        let _ = state.write(msr, 1);
    }
    let mut record = vec![0; S::RECORD_LENGTH];
    state.save(&mut record, crc32c).expect("space");
    record
}

/// Both implementations restore or refuse alike; what both say.
fn answer<S: Interface + Clone + PartialEq + Debug>(
    model: &Model,
    record: &[u8],
) -> Result<String, String>
where
    S::Hook: Debug,
{
    let mut pair = Pair::<S>::new(model);
    for msr in watched(model, S::VERSION) {
        let _ = pair.write(msr, 1);
    }
    let before = pair.reference.cells().clone();
    let reference = pair.reference.restore(record);
    match (S::restore(record, crc32c), reference) {
        (Ok(state), Ok(())) => {
            pair.generated = state;
            pair.same(&watched(model, S::VERSION));
            Ok("ok".to_owned())
        }
        (Err(error), Err(reason)) if error.to_string() == reason => {
            if *pair.reference.cells() != before {
                return Err(format!("{reason}, and the vCPU has changed"));
            }
            Ok(reason)
        }
        (generated, reference) => Err(format!("generated {generated:?}, reference {reference:?}")),
    }
}

fn harm() -> impl Strategy<Value = Harm> {
    let tag = prop_oneof![4 => 0u16..12, 1 => any::<u16>()];
    let length = || prop_oneof![4 => (0u16..8).prop_map(|words| 8 * words), 2 => 0u16..600, 1 => any::<u16>()];
    let value =
        prop_oneof![2 => any::<u64>(), 2 => (0u32..64).prop_map(|bit| 1u64 << bit), 1 => 0u64..4];
    prop_oneof![
        4 => any::<usize>().prop_map(Harm::Flip),
        1 => (0usize..80).prop_map(Harm::Cut),
        1 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Harm::Add),
        1 => length().prop_map(Harm::Length),
        1 => (0u16..8).prop_map(Harm::Version),
        2 => (any::<usize>(), length()).prop_map(|(item, length)| Harm::ItemLength(item, length)),
        2 => (any::<usize>(), tag).prop_map(|(item, tag)| Harm::Tag(item, tag)),
        2 => (any::<usize>(), value).prop_map(|(item, value)| Harm::Word(item, value)),
        1 => any::<usize>().prop_map(Harm::Twice),
        2 => (any::<usize>(), any::<usize>()).prop_map(|(one, other)| Harm::Swap(one, other)),
        2 => any::<usize>().prop_map(Harm::Without),
    ]
}

fn harmed_records<S: Interface + Clone + PartialEq + Debug>(model: &Model)
where
    S::Hook: Debug,
{
    let good = good::<S>(model);
    let mut runner = TestRunner::new(Config {
        cases: 1000,
        failure_persistence: None,
        ..Config::default()
    });
    let harms = proptest::collection::vec(harm(), 1..4);
    // Mostly whole again around the harm, or the checksum alone would be tried.
    let mended = proptest::option::weighted(0.9, proptest::bool::weighted(0.8));
    let run = runner.run(&(harms, mended), |(harms, mended)| {
        let mut record = good.clone();
        harms.iter().for_each(|harm| harm.apply(&mut record));
        if mended == Some(true) {
            set_length(&mut record);
        }
        if mended.is_some() {
            seal(&mut record);
        }
        answer::<S>(model, &record).map_err(TestCaseError::fail)?;
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{} {}: {error}", S::NAME, S::VERSION));
}

#[test]
fn a_harmed_record_is_taken_or_refused_by_both_alike() {
    every_version!(harmed_records);
}

/// What the corpus has of each version: a name, the harm, and whether length and checksum are right all the same.
fn corpus() -> Vec<(&'static str, Harm, bool)> {
    vec![
        ("cut-in-the-header", Harm::Cut(usize::MAX / 2), false),
        ("cut-by-a-byte", Harm::Cut(1), true),
        ("a-byte-more", Harm::Add(vec![1]), true),
        ("another-checksum", Harm::Flip(8 * 16), false),
        ("another-magic", Harm::Flip(0), false),
        ("another-interface", Harm::Flip(8 * 4), true),
        ("later-version", Harm::Version(u16::MAX), true),
        ("giant-length", Harm::Length(u16::MAX), false),
        ("no-length", Harm::Length(0), false),
        ("giant-item", Harm::ItemLength(0, u16::MAX), true),
        ("item-without-a-word", Harm::ItemLength(0, 0), true),
        ("item-of-half-a-word", Harm::ItemLength(0, 4), true),
        ("item-over-the-next", Harm::ItemLength(0, 16), true),
        ("item-twice", Harm::Twice(0), true),
        ("unknown-item", Harm::Tag(0, 999), true),
        ("items-in-another-order", Harm::Swap(0, 1), true),
        ("item-missing", Harm::Without(0), true),
        ("every-bit-set", Harm::Word(0, u64::MAX), true),
    ]
}

fn replay<S: Interface + Clone + PartialEq + Debug>(model: &Model)
where
    S::Hook: Debug,
{
    let folder = format!(
        "{}/tests/corpus/{}-{}",
        env!("CARGO_MANIFEST_DIR"),
        S::NAME,
        S::VERSION
    );
    if std::env::var_os("MSR_ACCEPT").is_some() {
        write_missing::<S>(model, &folder);
    }
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    assert!(
        files.len() >= corpus().len(),
        "{folder}: {} files",
        files.len()
    );
    for file in files {
        let text = std::fs::read_to_string(&file).expect("text");
        let (hex, expected) = text.split_once('\n').unwrap_or((&text, ""));
        let digits: Vec<char> = hex.chars().collect();
        let byte = |pair: &[char]| {
            u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("hexadecimal")
        };
        let record: Vec<u8> = digits.chunks(2).map(byte).collect();
        let file = file.display();
        let said = answer::<S>(model, &record).unwrap_or_else(|why| panic!("{file}: {why}"));
        if expected.is_empty() && std::env::var_os("MSR_ACCEPT").is_some() {
            std::fs::write(file.to_string(), format!("{hex}\n{said}\n")).expect("a file");
        } else {
            assert_eq!(said, expected.trim(), "{file}");
        }
    }
}

fn write_missing<S: Interface + Clone + PartialEq + Debug>(model: &Model, folder: &str)
where
    S::Hook: Debug,
{
    std::fs::create_dir_all(folder).expect("a folder");
    for (name, harm, whole) in corpus() {
        let path = format!("{folder}/{name}.hex");
        if std::fs::exists(&path).unwrap_or(true) {
            continue;
        }
        let mut record = good::<S>(model);
        harm.apply(&mut record);
        if whole {
            set_length(&mut record);
            seal(&mut record);
        }
        let hex: String = record.iter().map(|byte| format!("{byte:02x}")).collect();
        let answer = answer::<S>(model, &record).unwrap_or_else(|why| panic!("{path}: {why}"));
        std::fs::write(&path, format!("{hex}\n{answer}\n")).expect("a file");
    }
}

#[test]
fn the_corpus_gets_the_answers_it_always_got() {
    every_version!(replay);
}
