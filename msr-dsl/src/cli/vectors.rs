//! `msr vectors`: conformance vectors of a spec, as lines that `msr sim` reads, each with its answer behind `#`.

use super::USAGE;
use super::file::named;
use super::output::{Reader, put, tell};
use super::sim::{answer_text, new_guest};
use msr_dsl::interpret::Machine;
use msr_dsl::model::View;
use msr_dsl::vectors::{neighbours, values};
use msr_runtime::{Extra, Reset};
use std::process::ExitCode;

/// Prints the vectors of a version for a guest.
pub fn vectors(spec: &str, features: &[String], cap: Option<u64>) -> ExitCode {
    match run(spec, features, cap) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            tell!("{message}");
            ExitCode::from(USAGE)
        }
    }
}

fn run(spec: &str, features: &[String], cap: Option<u64>) -> Result<(), String> {
    let named = named(spec)?;
    let guest = new_guest(named.view(), features, cap, Extra::NONE)?;
    let mut text = String::new();
    lines(named.view(), guest, &mut text);
    for line in text.lines() {
        if put!("{line}") == Reader::Gone {
            break;
        }
    }
    Ok(())
}

fn lines(view: &View, mut guest: Machine, out: &mut String) {
    *out += &format!("# {} version {}\n", view.name, view.version);
    for register in view.registers.iter().filter(|register| !register.hidden()) {
        *out += &format!("# {}\n", register.name);
        for (msr, _) in register.addresses.iter().flat_map(|address| address.msrs()) {
            guest.reset(Reset::PowerOn);
            *out += "reset\n";
            *out += &read(&guest, msr);
            for value in values(register) {
                *out += &write(&mut guest, msr, value);
                *out += &read(&guest, msr);
            }
        }
    }
    *out += "# next to the registers\n";
    for msr in neighbours(view) {
        *out += &read(&guest, msr);
        *out += &write(&mut guest, msr, 0);
    }
}

fn read(guest: &Machine, msr: u32) -> String {
    format!("rdmsr {msr:#x} # {}\n", answer_text(guest.read(msr)))
}

fn write(guest: &mut Machine, msr: u32, value: u64) -> String {
    format!(
        "wrmsr {msr:#x} {value:#x} # {}\n",
        answer_text(guest.write(msr, value))
    )
}
