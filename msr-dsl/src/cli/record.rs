//! `msr record`: what a saved record holds, and which versions take it.

use super::file::{Named, model, named};
use super::output::{put, tell};
use super::{NO, USAGE};
use msr_dsl::compare::convert::{Converted, convert_what_can_be};
use msr_dsl::interpret::Machine;
use msr_dsl::model::{FieldType, Migrate, Model, Register, View};
use msr_runtime::record::{KIND, OF_GUEST, Record, crc32c, name};
use std::process::ExitCode;

/// Prints the items of a record.
pub fn dump(file: &str, record: &str) -> ExitCode {
    finish(
        model(file)
            .and_then(|model| items(&model, &bytes(record)?))
            .map(|()| true),
    )
}

/// Writes a record as another version has it; if asked to, also where the guest loses something.
pub fn convert(old: &str, record: &str, new: &str, lossy: bool) -> ExitCode {
    finish(named(old).and_then(|old| {
        let (bytes, new) = (bytes(record)?, named(new)?);
        let writer = match old.is_versioned() {
            true => None,
            false => writer(&old.model, &bytes),
        };
        let from = writer.unwrap_or(old.view());
        let (record, said) = match convert_what_can_be(from, new.view(), &bytes) {
            Ok(Converted { record, lost }) => ((lossy || lost.is_empty()).then_some(record), lost),
            Err(reasons) => (None, reasons),
        };
        said.iter().for_each(|line| tell!("{line}"));
        let Some(record) = record else {
            return Ok(false);
        };
        let digits: String = record.iter().map(|byte| format!("{byte:02x}")).collect();
        put!("{digits}");
        Ok(true)
    }))
}

/// The version that wrote a record.
fn writer<'m>(model: &'m Model, bytes: &[u8]) -> Option<&'m View> {
    let record = Record::open(bytes, name(&model.name), crc32c).ok()?;
    model.version(record.version)
}

/// Says for each version whether it takes the record, and if not, why. Status 1 if the asked (or the newest) version does not.
pub fn check(spec: &str, record: &str) -> ExitCode {
    finish(named(spec).and_then(|named| takes(&named, &bytes(record)?)))
}

fn finish(result: Result<bool, String>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(NO),
        Err(message) => {
            tell!("{message}");
            ExitCode::from(USAGE)
        }
    }
}

/// The record as hexadecimal digits, or `@FILE` with the digits.
fn bytes(record: &str) -> Result<Vec<u8>, String> {
    let text = match record.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?,
        None => record.to_owned(),
    };
    super::sim::bytes(text.trim())
}

fn items(model: &Model, bytes: &[u8]) -> Result<(), String> {
    let record =
        Record::open(bytes, name(&model.name), crc32c).map_err(|error| error.to_string())?;
    put!(
        "{} version {}, {} bytes",
        model.name,
        record.version,
        bytes.len()
    );
    let writer = model.version(record.version).unwrap_or(model.newest());
    for item in record.items() {
        let (tag, payload) = item.map_err(|error| error.to_string())?;
        if tag == KIND {
            put!("item {tag}: {}", kind(payload));
            continue;
        }
        let words: Vec<String> = payload.chunks(8).map(word).collect();
        let register = owner(model, writer, tag);
        put!(
            "item {tag} ({}): {}",
            register.map_or("unknown", |register| &register.name),
            words.join(" ")
        );
        for (bank, value) in payload.chunks(8).map(number).enumerate() {
            let said = register.map(|register| fields(register, value));
            let Some(said) = said.filter(|said| value != 0 && !said.is_empty()) else {
                continue;
            };
            match register.is_some_and(|register| register.banked) {
                true => put!("    bank {bank}: {said}"),
                false => put!("    {said}"),
            };
        }
    }
    Ok(())
}

/// The fields of a value that are not zero, and what else is set: `VAL AR MCACOD=0x134, reserved 0x10`.
fn fields(register: &Register, value: u64) -> String {
    let fields = register.fields.iter();
    let known = fields.fold(0, |all, field| all | field.mask());
    let said = register.fields.iter().filter_map(|field| {
        let own = (value & field.mask()) >> field.lo;
        match &field.ty {
            FieldType::Enum { values, .. } => {
                let named = values.iter().find(|(_, number)| *number == own);
                let own = named.map_or(format!("{own:#x}"), |(name, _)| name.clone());
                Some(format!("{}={own}", field.name))
            }
            _ if own == 0 => None,
            FieldType::Bool => Some(field.name.clone()),
            FieldType::Unsigned | FieldType::Const(_) => Some(format!("{}={own:#x}", field.name)),
        }
    });
    let said: Vec<String> = said.collect();
    let rest = value & !known;
    match (said.is_empty(), rest != 0 && known != 0) {
        (_, false) => said.join(" "),
        (true, true) => format!("reserved {rest:#x}"),
        (false, true) => format!("{}, reserved {rest:#x}", said.join(" ")),
    }
}

/// Of what the record is.
fn kind(payload: &[u8]) -> &'static str {
    match payload == OF_GUEST.to_le_bytes() {
        true => "of what the guest's vCPUs share",
        false => "of an unknown kind",
    }
}

/// Little-endian.
fn number(chunk: &[u8]) -> u64 {
    let bytes = chunk.iter().rev();
    bytes.fold(0u64, |value, byte| value << 8 | u64::from(*byte))
}

fn word(chunk: &[u8]) -> String {
    let value = number(chunk);
    if chunk.len() == 8 {
        format!("{value:#018x}")
    } else {
        format!("{value:#x} ({} bytes)", chunk.len())
    }
}

/// The register of a tag, in the version that wrote the record if it is known, else in any.
fn owner<'m>(model: &'m Model, writer: &'m View, tag: u16) -> Option<&'m Register> {
    let mut views = std::iter::once(writer).chain(&model.views);
    views.find_map(|view| {
        let mut saved = view.registers.iter();
        saved.find(|one| matches!(one.migrate, Migrate::Saved { tag: own, .. } if own == tag))
    })
}

fn takes(named: &Named, bytes: &[u8]) -> Result<bool, String> {
    let asked = named.view().version;
    let mut answer = None;
    for view in named.model.views.iter().filter(|view| !view.restore_only) {
        let reasons = Machine::new(view).refusals(bytes);
        let version = view.version;
        match reasons.is_empty() {
            true => put!("version {version}: accepted"),
            false => put!("version {version}: refused"),
        };
        for reason in &reasons {
            put!("    {reason}");
        }
        if version == asked {
            answer = Some(reasons.is_empty());
        }
    }
    answer.ok_or_else(|| {
        format!(
            "no guest runs under version {asked} of `{}`: name a later one",
            named.model.name
        )
    })
}
