//! `msr show`: a table of an interface, or one register with its bits drawn.

use super::USAGE;
use super::file::named;
use super::output::{put, tell};
use msr_dsl::model::{FieldType, Migrate, Offer, Read, Register, View, Write};
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
        table(view);
        return Ok(());
    };
    let known: Vec<&str> = view
        .registers
        .iter()
        .map(|register| register.name.as_str())
        .collect();
    let id = view.find(name).ok_or_else(|| {
        format!(
            "no register `{name}` in version {}: {}",
            view.version,
            suggest(name, &known)
        )
    })?;
    draw(view, view.register(id));
    Ok(())
}

fn table(view: &View) {
    put!("{}, version {}: {}\n", view.name, view.version, view.text);
    let mut rows =
        vec![["register", "address", "reset", "read", "write", "migrates"].map(str::to_owned)];
    for register in &view.registers {
        rows.push([
            register.name.clone(),
            addresses(register),
            reset(register),
            read(view, register),
            write(view, register),
            migrates(register),
        ]);
    }
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..6).map(width).collect();
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
        put!(
            "\nfeature {} (bit {}): {who}. {}",
            feature.name,
            feature.bit,
            feature.doc.replace('\n', " ")
        );
    }
}

fn addresses(register: &Register) -> String {
    let text = |a: &msr_dsl::model::Address| match (a.count, register.banked, a.stride) {
        (1, false, _) => format!("{:#x}", a.first),
        (_, true, 1) => format!("{:#x} + i", a.first),
        (_, true, stride) => format!("{:#x} + {stride} * i", a.first),
        (count, false, _) => format!("{:#x}..={:#x}", a.first, a.first + count - 1),
    };
    let all: Vec<String> = register.addresses.iter().map(text).collect();
    if all.is_empty() {
        "hidden".to_owned()
    } else {
        all.join(", ")
    }
}

fn reset(register: &Register) -> String {
    match register.stored {
        true if register.reset == u64::MAX => "all ones".to_owned(),
        true => format!("{:#x}", register.reset),
        false => "-".to_owned(),
    }
}

fn read(view: &View, register: &Register) -> String {
    let base = match &register.read {
        Read::Value(msr_dsl::model::Expr::State) => "state",
        Read::Value(msr_dsl::model::Expr::Number(0))
            if register.fields.iter().all(|f| f.read.is_none()) =>
        {
            "zero"
        }
        Read::Value(msr_dsl::model::Expr::Number(u64::MAX)) => "all ones",
        Read::Value(_) => "computed",
        Read::Fault => "fault",
        Read::Unlisted => "unlisted",
        Read::Pass => "hardware",
        Read::Hook(hook) => return format!("hook {}", view.hooks[*hook].name),
    };
    if register.present.is_some() {
        format!("{base}, if present")
    } else {
        base.to_owned()
    }
}

fn write(view: &View, register: &Register) -> String {
    match &register.write {
        Write::Bits(_) if register.hidden() => "-".to_owned(),
        Write::Bits(_) => {
            let any = register.reserved_mask != 0 && register.reserved.changes()
                || register.fields.iter().any(|field| field.write.changes());
            let limits = if register.rules.is_empty() {
                ""
            } else {
                ", legal values"
            };
            format!("{}{limits}", if any { "stored" } else { "ignored" })
        }
        Write::Fault => "fault".to_owned(),
        Write::Unlisted => "unlisted".to_owned(),
        Write::Pass => "hardware".to_owned(),
        Write::Hook(hook) => format!("hook {}", view.hooks[*hook].name),
    }
}

fn migrates(register: &Register) -> String {
    match &register.migrate {
        Migrate::Saved { tag, .. } => format!("tag {tag}"),
        Migrate::Transient(_) => "no".to_owned(),
        Migrate::Derived => "-".to_owned(),
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
    put!(
        "\nreset {}, read {}, write {}, migrates {}\n",
        reset(register),
        read(view, register),
        write(view, register),
        migrates(register)
    );
    for top in [63u32, 31] {
        let bits = || (top - 31..=top).rev();
        let tens: String = bits()
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
            field.map_or('.', |at| char::from(b'A' + (at % 26) as u8))
        };
        let row: String = bits().map(|bit| format!(" {} ", letter(bit))).collect();
        put!("{}\n{}\n", tens.trim_end(), row.trim_end());
    }
    for (at, field) in register.fields.iter().enumerate() {
        let letter = char::from(b'A' + (at % 26) as u8);
        let bits = if field.hi == field.lo {
            format!("[{}]", field.hi)
        } else {
            format!("[{}:{}]", field.hi, field.lo)
        };
        let ty = match &field.ty {
            FieldType::Bool => "bool".to_owned(),
            FieldType::Unsigned => format!("u{}", field.width()),
            FieldType::Const(value) => format!("always {value:#x}"),
            FieldType::Enum { values, other } => {
                let mut names: Vec<String> = values
                    .iter()
                    .map(|(name, value)| format!("{name} = {value}"))
                    .collect();
                names.extend(other.then(|| "others".to_owned()));
                names.join(", ")
            }
        };
        put!(
            "{letter}  {bits:8} {}: {ty}. {}",
            field.name,
            field.doc.replace('\n', " ")
        );
    }
    if register.reserved_mask != 0 && !register.fields.is_empty() {
        put!(
            ".  reserved: a write is {}",
            match register.reserved {
                msr_dsl::model::BitRule::FaultIfSet => "refused (#GP) if it sets one",
                msr_dsl::model::BitRule::FaultOnChange => "refused (#GP) if it changes one",
                msr_dsl::model::BitRule::Ignore => "dropped there",
                _ => "stored there",
            }
        );
    }
}
