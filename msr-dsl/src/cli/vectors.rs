//! `msr vectors`: conformance vectors of a spec, as lines that `msr sim` reads, each with its answer behind `#`.

use super::USAGE;
use super::file::named;
use super::output::{Reader, put, tell};
use super::sim::new_guest;
use msr_dsl::compare::items::{Item, items, record, smallest};
use msr_dsl::compare::steps::{Injected, Step, execute};
use msr_dsl::interpret::Machine;
use msr_dsl::model::{Register, Scope, View};
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
            line(&mut guest, Step::Read(msr), out);
            for value in values(register) {
                line(&mut guest, Step::Write { msr, value }, out);
                line(&mut guest, Step::Read(msr), out);
            }
        }
    }
    for register in view
        .registers
        .iter()
        .filter(|one| one.scope == Scope::Guest)
    {
        shared(&mut guest, register, out);
    }
    *out += "# next to the registers\n";
    for msr in neighbours(view) {
        line(&mut guest, Step::Read(msr), out);
        line(&mut guest, Step::Write { msr, value: 0 }, out);
    }
    checks(view, &mut guest, out);
    moves(view, guest, out);
}

/// What a machine check leaves in the registers that it sets, all banks of them: with every bit given, and without a record.
fn checks(view: &View, guest: &mut Machine, out: &mut String) {
    let Some(injection) = &view.injection else {
        return;
    };
    *out += "# a machine check\n";
    let roles = [
        injection.global.0,
        injection.status.0,
        injection.address.0,
        injection.misc.0,
    ];
    let roles = roles
        .into_iter()
        .flat_map(|id| &view.register(id).addresses);
    let msrs: Vec<u32> = roles
        .flat_map(|address| address.msrs())
        .map(|(msr, _)| msr)
        .collect();
    let all = Injected {
        flags: 0b1111,
        error: [u64::MAX; 3],
    };
    for what in [all, Injected::default()] {
        guest.reset(Reset::PowerOn);
        *out += "reset\n";
        line(guest, Step::Inject(what), out);
        for msr in &msrs {
            line(guest, Step::Read(*msr), out);
        }
    }
}

/// What a restore takes and refuses, item by item, what it does with a record that lacks the item, and what INIT leaves of it.
fn moves(view: &View, mut guest: Machine, out: &mut String) {
    let items = items(view);
    let word = guest.capability().unwrap_or(0);
    let own: Vec<(u16, Vec<u64>)> = items
        .iter()
        .filter(|item| item.capability)
        .map(|item| (item.tag, vec![word; item.words]))
        .collect();
    for item in &items {
        *out += &format!("# {} in a record\n", item.name);
        let with = |value: u64| {
            let others = own.iter().filter(|(tag, _)| *tag != item.tag).cloned();
            let one = (item.tag, vec![value; item.words]);
            record(view, &others.chain([one]).collect::<Vec<_>>())
        };
        let reset = view.register(item.id).reset;
        let accepted =
            smallest(view, item, |value| value != 0 && value != reset).filter(|_| !item.capability);
        let refused = (0..64)
            .map(|bit| 1 << bit)
            .filter(|bit| item.accepts & bit == 0);
        for value in refused {
            line(&mut guest, Step::Restore(with(value)), out);
        }
        let most = (!item.capability).then(|| with(most(item)));
        // What guests cannot set themselves they may still change.
        if let (Some(record), Some(msr)) = (&most, item.msrs.first()) {
            for value in values(view.register(item.id)) {
                line(&mut guest, Step::Restore(record.clone()), out);
                line(&mut guest, Step::Write { msr: *msr, value }, out);
                line(&mut guest, Step::Read(*msr), out);
            }
        }
        let records = accepted.into_iter().map(with).chain(most);
        for record in records.chain([record(view, &own)]) {
            line(&mut guest, Step::Restore(record), out);
            seen(&mut guest, item, out);
            line(&mut guest, Step::Init, out);
            seen(&mut guest, item, out);
        }
    }
    for scope in [Scope::Vcpu, Scope::Guest] {
        if let Some(item) = items.iter().find(|item| item.scope == scope) {
            line(&mut guest, item.save(), out);
        }
    }
}

/// Every bit that a restore takes; of an enumeration that is closed, its greatest value.
fn most(item: &Item) -> u64 {
    let closed = item.closed.iter();
    closed.fold(item.accepts, |all, (mask, values)| {
        all & !mask | values.iter().max().unwrap_or(&0)
    })
}

/// What one vCPU writes, another reads; and INIT of one, where the others may notice it.
fn shared(guest: &mut Machine, register: &Register, out: &mut String) {
    *out += &format!("# {}, by two vCPUs\n", register.name);
    let addresses = register.addresses.iter();
    for (msr, _) in addresses.flat_map(|address| address.msrs()) {
        guest.reset(Reset::PowerOn);
        *out += "reset\n";
        let mut both = |step: Step, out: &mut String| {
            line(guest, step, out);
            line(guest, Step::Vcpu(1), out);
            line(guest, Step::Read(msr), out);
            line(guest, Step::Vcpu(0), out);
        };
        for value in values(register) {
            both(Step::Write { msr, value }, out);
        }
        both(Step::Init, out);
    }
}

/// Reads the item's register.
fn seen(guest: &mut Machine, item: &Item, out: &mut String) {
    for msr in &item.msrs {
        line(guest, Step::Read(*msr), out);
    }
}

/// A line, with its answer if it has one.
fn line(guest: &mut Machine, step: Step, out: &mut String) {
    *out += &match execute(guest, &step) {
        Some(answer) => format!("{step} # {answer}\n"),
        None => format!("{step}\n"),
    };
}
