//! `msr vectors`: conformance vectors of a spec, as lines that `msr sim` reads, each with its answer behind `#`.

use super::USAGE;
use super::file::named;
use super::output::{Reader, put, tell};
use super::sim::{answer_text, new_guest};
use msr_dsl::interpret::Machine;
use msr_dsl::model::{Register, View};
use msr_runtime::Reset;
use std::collections::BTreeSet;
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
    let guest = new_guest(named.view(), features, cap)?;
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

/// Values at which the register's rules turn: zero, all ones, each field alone, each reserved edge, and last zero again.
fn values(register: &Register) -> Vec<u64> {
    let mut values = vec![0, u64::MAX, !1, !(1 << 10), 1, 1 << 63];
    for field in &register.fields {
        values.extend([field.mask(), 1 << field.lo, !field.mask()]);
    }
    let reserved = register.reserved_mask;
    values.extend([
        reserved,
        1u64.checked_shl(reserved.trailing_zeros()).unwrap_or(0),
    ]);
    let mut seen = BTreeSet::new();
    values.retain(|value| seen.insert(*value));
    values.push(0);
    values
}

/// MSRs that the version does not list, beside those that it does.
fn neighbours(view: &View) -> BTreeSet<u32> {
    let addresses = view
        .registers
        .iter()
        .flat_map(|register| &register.addresses);
    let listed: BTreeSet<u32> = addresses
        .flat_map(|address| address.msrs())
        .map(|(msr, _)| msr)
        .collect();
    let beside = listed
        .iter()
        .flat_map(|msr| [msr.saturating_sub(1), msr.saturating_add(1)]);
    beside.filter(|msr| !listed.contains(msr)).collect()
}
