//! `msr show`: a table of an interface, or one register with its bits drawn.

use super::USAGE;
use super::file::named;
use super::output::{put, tell};
use msr_dsl::document::register::{facts, field_words, field_write};
use msr_dsl::document::text::{
    addresses, bits, extra, field_type, migrates, owner, read, reset, write,
};
use msr_dsl::model::{Model, Offer, Register, RegisterId, View, Write};
use msr_dsl::words::suggest;
use std::process::ExitCode;

/// Shows a version, or one register of it.
pub fn show(spec: &str, register: Option<&str>) -> ExitCode {
    match run(spec, register) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            tell!("{message}");
            ExitCode::from(USAGE)
        }
    }
}

fn run(spec: &str, register: Option<&str>) -> Result<(), String> {
    let named = named(spec)?;
    let view = named.view();
    let Some(name) = register else {
        table(&named.model, view);
        return Ok(());
    };
    let known: Vec<&str> = view
        .registers
        .iter()
        .map(|register| register.name.as_str())
        .collect();
    let id = view.find(name).or_else(|| at(view, name)).ok_or_else(|| {
        format!(
            "no register `{name}` in version {}: {}",
            view.version,
            suggest(name, &known)
        )
    })?;
    draw(view, view.register(id));
    Ok(())
}

/// The register at an address, `0x...`.
fn at(view: &View, text: &str) -> Option<RegisterId> {
    let msr = u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()?;
    let lists = |register: &Register| {
        let mut all = register.addresses.iter();
        all.any(|address| address.index_of(msr).is_some())
    };
    let (id, _) = view.ids().find(|(_, register)| lists(register))?;
    Some(id)
}

/// ` in 3..`: the versions that have a feature, if not all have it.
fn versions(model: &Model, name: &str) -> String {
    let has = |view: &&View| view.features.iter().any(|feature| feature.name == name);
    let all: Vec<u16> = model
        .views
        .iter()
        .filter(has)
        .map(|view| view.version)
        .collect();
    match (all.as_slice(), model.newest().version) {
        (all, _) if all.len() == model.views.len() => String::new(),
        ([first, .., last], newest) if *last == newest => format!(" in {first}.."),
        ([first, .., last], _) => format!(" in {first}..={last}"),
        (one, newest) if one == [newest] => format!(" in {newest}.."),
        (one, _) => one.iter().map(|one| format!(" in {one}")).collect(),
    }
}

fn table(model: &Model, view: &View) {
    put!("{}, version {}: {}\n", view.name, view.version, view.text);
    let mut rows = vec![
        [
            "register", "address", "reset", "read", "write", "migrates", "state",
        ]
        .map(str::to_owned),
    ];
    for register in &view.registers {
        rows.push([
            register.name.clone(),
            addresses(register),
            reset(register),
            read(view, register),
            write(view, register),
            migrates(register),
            owner(register),
        ]);
    }
    // A column that says nothing is none.
    if rows.iter().skip(1).all(|row| row[6].is_empty()) {
        rows[0][6].clear();
    }
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..7).map(width).collect();
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        put!("{}", cells.join("  ").trim_end());
    }
    for feature in &view.features {
        let who = if feature.offer == Offer::Default {
            "every guest"
        } else {
            "guests that are given it"
        };
        let of = |list: &Vec<String>| format!(" Requires {}.", list.join(" or "));
        let requires: String = feature.requires.iter().map(of).collect();
        let host = feature.host.as_ref();
        let host = host.map_or(String::new(), |host| format!(" The host's {host}."));
        put!(
            "\nfeature {} (bit {}){}: {who}. {}{requires}{host}",
            feature.name,
            feature.bit,
            versions(model, &feature.name),
            feature.doc.replace('\n', " ")
        );
    }
    if let Some(extra) = extra(view) {
        put!("\nan administrator may name for guests from newer hosts: {extra}");
    }
}

fn draw(view: &View, register: &Register) {
    put!(
        "{} ({}), version {} of {}",
        register.name,
        addresses(register),
        view.version,
        view.name
    );
    for line in register.doc.lines() {
        put!("{line}");
    }
    for cite in &register.cite {
        put!("[{cite}]");
    }
    put!("");
    for (heading, lines) in facts(view, register) {
        for (at, line) in lines.iter().enumerate() {
            put!("{:11}{line}", if at == 0 { heading } else { "" });
        }
    }
    put!("");
    for top in [63u32, 31] {
        let row = || (top - 31..=top).rev();
        let tens: String = row()
            .map(|bit| {
                if bit % 8 == 7 || bit % 8 == 0 {
                    format!("{bit:>2} ")
                } else {
                    "   ".to_owned()
                }
            })
            .collect();
        let letter = |bit: u32| {
            let field = register
                .fields
                .iter()
                .position(|field| (field.lo..=field.hi).contains(&bit));
            field.map_or('.', letter_of)
        };
        let letters: String = row().map(|bit| format!(" {} ", letter(bit))).collect();
        put!("{}\n{}\n", tens.trim_end(), letters.trim_end());
    }
    let writes = matches!(register.write, Write::Bits(_));
    for (at, field) in register.fields.iter().enumerate() {
        put!(
            "{}  {:8} {}: {}{}. {}",
            letter_of(at),
            bits(field.hi, field.lo),
            field.name,
            field_type(field),
            match (writes, field_write(view, field)) {
                (true, how) if how != "stored" => format!(", a write: {how}"),
                _ => String::new(),
            },
            field_words(view, field).replace('\n', " ")
        );
    }
}

/// A sign for each of the 64 fields that a register can have.
fn letter_of(field: usize) -> char {
    let signs = ('A'..='Z')
        .chain('a'..='z')
        .chain('0'..='9')
        .chain(['+', '*']);
    signs.into_iter().nth(field).unwrap_or('?')
}
