//! `[[fault]]`.

use std::ops::Range;

use regex::Regex;
use toml::de::DeValue;

use super::captures::names;
use super::fields::{Fields, shown, unsigned};
use super::guest::Guest;
use super::keys::AFTER;
use super::place::{Located, Problems, line_of, suggestion};
use super::{Captures, guest_index};
use crate::emulator::Machine;

/// A number that is written down, or captured in the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Written down.
    Number(u64),
    /// The capture of that name.
    Captured(String),
}

/// When a fault is raised.
#[derive(Clone, Debug)]
pub enum When {
    /// At that time stamp.
    At(u64),
    /// Once a console line matches.
    After {
        /// What the line must match.
        console: Regex,
        /// Whose console; `None`: anybody's.
        guest: Option<usize>,
    },
}

/// What MCi_ADDR holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Nothing was said.
    None,
    /// A host-physical address.
    Host(Amount),
    /// Where this guest-physical address of that guest is.
    Guest(usize, Amount),
}

/// An error that the injector raises.
#[derive(Clone, Debug)]
pub struct Fault {
    /// When.
    pub when: When,
    /// The processor whose bank holds it.
    pub processor: u64,
    /// The bank.
    pub bank: u64,
    /// MCi_STATUS.
    pub status: u64,
    /// MCG_STATUS.
    pub mcg_status: u64,
    /// MCi_ADDR.
    pub address: Address,
    /// MCi_MISC.
    pub misc: u64,
    /// Whether every processor gets the #MC.
    pub broadcast: bool,
    /// It comes in the middle of the processor's next copy of a guest's memory.
    pub at_copy: bool,
    /// Lines for the hypervisor's serial line that go before it, with `$name` for what was captured.
    pub commands: Vec<String>,
    /// In which boot of the machine, from 1: a fatal one before it resets the machine.
    pub boot: u32,
    /// The line of the file.
    pub line: usize,
}

impl Fault {
    /// The command for the injector (docs/boot-protocol.md). `None`: a capture has no number.
    pub fn command(&self, captures: &Captures) -> Option<String> {
        let at = match self.when {
            When::At(time) => format!("at={time} "),
            When::After { .. } if self.at_copy => "at=copy ".to_owned(),
            When::After { .. } => String::new(),
        };
        let (addr, guest) = match &self.address {
            Address::None => (0, String::new()),
            Address::Host(amount) => (captures.amount(amount)?, String::new()),
            Address::Guest(guest, amount) => (captures.amount(amount)?, format!(" guest={guest}")),
        };
        let broadcast = if self.broadcast { " broadcast" } else { "" };
        Some(format!(
            "{at}mce cpu={} bank={} status={:#x} mcg_status={:#x} addr={addr:#x} misc={:#x}{guest}{broadcast}",
            self.processor, self.bank, self.status, self.mcg_status, self.misc
        ))
    }
}

/// The names that console lines capture.
#[derive(Debug, Default)]
pub struct Captured {
    names: Vec<String>,
    /// An expression could not be read: it may have captured any name.
    unsure: bool,
}

impl Captured {
    /// Names whose values are known before the run.
    pub fn know<'n>(&mut self, names: impl Iterator<Item = &'n String>) {
        self.names.extend(names.cloned());
    }

    fn add(&mut self, console: &Regex) {
        let names = console.capture_names().flatten().map(str::to_owned);
        self.names.extend(names);
    }
}

/// Reads one table. `captured` are the names that earlier faults capture; this one's are added.
pub fn read(
    mut fields: Fields<'_, '_>,
    machine: Option<&Machine>,
    guests: &[Located<Guest>],
    captured: &mut Captured,
    source: &str,
) -> Option<Fault> {
    let line = line_of(source, &fields.span);
    let when = read_when(&mut fields, guests, captured);
    captured.unsure |= when.is_none();
    let processors = machine.map_or(u64::MAX, |machine| u64::from(machine.processors));
    let banks = machine.map_or(u64::MAX, |machine| u64::from(machine.banks));
    let processor = fields.number("processor", 0..=processors - 1);
    let bank = fields.number("bank", 0..=banks - 1);
    let status = fields.number("status", 0..=u64::MAX);
    let mcg_status = fields.number("mcg_status", 0..=u64::MAX);
    let misc = fields.number("misc", 0..=u64::MAX);
    let broadcast = fields.flag("broadcast");
    let boot = fields.number("boot", 1..=9);
    let at_copy = fields.flag("at_copy");
    let commands = fields.text("commands");
    for name in commands.iter().flat_map(|text| names(&text.value)) {
        let span = commands.as_ref().map_or(0..0, |text| text.span.clone());
        check_captured(name, captured, &span, fields.problems);
    }
    let address = read_address(&mut fields, guests, captured);

    if let (Some(When::At(_)), Some(commands)) = (&when, &commands) {
        fields.problems.add(
            &commands.span,
            "`commands` go with `after`: a fault with `at` is handed over before the machine runs",
        );
    }
    if let (Some(When::At(_)), Some(boot)) = (&when, &boot) {
        fields.problems.add_with_help(
            &boot.span,
            "a fault with `at` comes in every boot",
            "`boot` goes with `after`",
        );
    }
    if let (
        Some(When::At(_)),
        Some(Address::Host(Amount::Captured(_)) | Address::Guest(_, Amount::Captured(_))),
    ) = (&when, &address)
    {
        let span = fields.span.clone();
        fields.problems.add_with_help(
            &span,
            "a fault with `at` cannot use a captured address",
            "it is handed over before the guest runs: use `after`",
        );
    }
    Some(Fault {
        when: when?,
        processor: processor?.value,
        bank: bank?.value,
        status: status?.value,
        mcg_status: mcg_status?.value,
        address: address?,
        misc: misc.map_or(0, |misc| misc.value),
        broadcast,
        at_copy,
        commands: commands.map_or_else(Vec::new, |text| {
            text.value.lines().map(str::to_owned).collect()
        }),
        boot: boot.map_or(1, |boot| boot.value as u32),
        line,
    })
}

fn read_when(
    fields: &mut Fields<'_, '_>,
    guests: &[Located<Guest>],
    captured: &mut Captured,
) -> Option<When> {
    let span = fields.span.clone();
    let at = fields.number("at", 0..=u64::MAX);
    let after = fields.table("after");
    match (at, after) {
        (Some(at), None) => Some(When::At(at.value)),
        (None, Some((table, span))) => {
            let mut fields = Fields::new(table, span, &AFTER, fields.problems);
            let console = fields.regex("console")?.value;
            captured.add(&console);
            let guest = match fields.text("guest") {
                Some(name) => Some(guest_index(&name, guests, fields.problems)?),
                None => None,
            };
            Some(When::After { console, guest })
        }
        (Some(_), Some((_, after))) => {
            fields
                .problems
                .add(&after, "a fault has either `at` or `after`");
            None
        }
        // A wrong one was reported already.
        (None, None) if fields.raw("at").is_some() || fields.raw("after").is_some() => None,
        (None, None) => {
            let help = "`at` a time stamp, or `after` a console line";
            fields
                .problems
                .add_with_help(&span, "nothing says when this fault is raised", help);
            None
        }
    }
}

fn read_address(
    fields: &mut Fields<'_, '_>,
    guests: &[Located<Guest>],
    captured: &Captured,
) -> Option<Address> {
    let guest = match fields.text("guest") {
        Some(name) => Some(guest_index(&name, guests, fields.problems)?),
        None => None,
    };
    match (
        fields.raw("host_physical"),
        fields.raw("guest_physical"),
        guest,
    ) {
        (None, None, None) => Some(Address::None),
        (Some(host), None, None) => Some(Address::Host(amount(fields, host, captured)?)),
        (None, Some(address), Some(guest)) => {
            Some(Address::Guest(guest, amount(fields, address, captured)?))
        }
        (Some(_), Some(address), _) => {
            let message = "an address is either host-physical or guest-physical";
            fields.problems.add(&address.span(), message);
            None
        }
        (None, Some(address), None) => {
            let message = "`guest_physical` in which guest?";
            fields
                .problems
                .add_with_help(&address.span(), message, "add guest = \"NAME\"");
            None
        }
        (_, None, Some(_)) => {
            let span: Range<usize> = fields.raw("guest").map_or(0..0, toml::Spanned::span);
            let message = "`guest` only says whose `guest_physical` it is, and there is none";
            fields.problems.add(&span, message);
            None
        }
    }
}

fn amount(
    fields: &mut Fields<'_, '_>,
    value: &toml::Spanned<DeValue<'_>>,
    captured: &Captured,
) -> Option<Amount> {
    match value.get_ref() {
        DeValue::Integer(integer) if unsigned(integer).is_some() => {
            unsigned(integer).map(Amount::Number)
        }
        DeValue::String(text) if text.starts_with('$') => {
            let name = &text[1..];
            check_captured(name, captured, &value.span(), fields.problems)?;
            Some(Amount::Captured(name.to_owned()))
        }
        other => {
            let message = format!("an address is a number or \"$name\", not {}", shown(other));
            fields.problems.add(&value.span(), message);
            None
        }
    }
}

/// A name that some console line has captured by then.
pub fn check_captured(
    name: &str,
    captured: &Captured,
    span: &Range<usize>,
    problems: &mut Problems,
) -> Option<()> {
    if captured.unsure || captured.names.iter().any(|captured| captured == name) {
        return Some(());
    }
    let names: Vec<_> = captured.names.iter().map(String::as_str).collect();
    let help = if names.is_empty() {
        format!("capture it with (?<{name}>...) in the `console` of an `after`")
    } else {
        suggestion(name, &names)
    };
    problems.add_with_help(
        span,
        format!("nothing captures `${name}` before this"),
        help,
    );
    None
}
