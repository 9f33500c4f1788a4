//! `[[guest]]`.

use super::fields::Fields;
use super::place::{Located, Problems, suggestion};
use super::vectors::Table;
use super::{Known, interface, plain_word};
use crate::emulator::Machine;

/// What the hypervisor keeps for itself, in MiB: its image, tables and stacks, and what is below 1 MiB.
const HYPERVISOR_MIB: u64 = 16;

/// What a guest program's tables hold (tests/guests/src/tables.rs).
const MOST_VCPUS: u64 = 16;

/// A guest of a scenario.
#[derive(Clone, Debug)]
pub struct Guest {
    /// What it is called.
    pub name: String,
    /// The program under tests/guests/src/bin.
    pub image: String,
    /// How many virtual processors.
    pub vcpus: u64,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// `NAME@VERSION`, and features after `+`.
    pub interface: String,
    /// How it gets an error.
    pub delivery: String,
    /// It is the administrator's.
    pub privileged: bool,
    /// Its own command line.
    pub args: String,
    /// The conformance vectors that it executes.
    pub vectors: Option<Table>,
}

impl Guest {
    /// The name under which expectations have the number of its vectors, and the number.
    pub fn count(&self) -> Option<(String, usize)> {
        let count = self.vectors.as_ref()?.count();
        Some((format!("vectors_{}", self.name), count))
    }

    /// The string of its boot module (docs/boot-protocol.md).
    pub fn module_string(&self) -> String {
        let Self {
            name,
            vcpus,
            memory_mib,
            interface,
            delivery,
            privileged,
            args,
            ..
        } = self;
        let privileged = if *privileged { " privileged=yes" } else { "" };
        let start = format!("guest image=pvh name={name} vcpus={vcpus} memory={memory_mib}");
        format!("{start} interface={interface} delivery={delivery}{privileged} args={args}")
    }
}

/// Reads one table; `index` is the guest's number. What is wrong in it is said, and has some value, so that the rest of the file can be
/// looked at.
pub fn read(mut fields: Fields<'_, '_>, index: usize, known: &Known) -> Guest {
    let name = fields.text("name");
    let image = fields.text("image");
    let vcpus = fields.number("vcpus", 1..=MOST_VCPUS);
    let memory = fields.number("memory", 2..=1024);
    let interface = fields.text("interface");
    let delivery = fields.text("delivery");
    let privileged = fields.flag("privileged");
    let args = fields.text("args");
    let vectors = fields.text("vectors");

    let problems = fields.problems;
    check_name(name.as_ref(), problems);
    if let Some(image) = &image {
        check_image(image, known, problems);
    }
    if let Some(memory) = &memory
        && memory.value % 2 != 0
    {
        let message = format!(
            "`memory` must be a multiple of 2 MiB (a large page), not {}",
            memory.value
        );
        problems.add(&memory.span, message);
    }
    if let Some(chosen) = &interface {
        interface::check(chosen, known, problems);
    }
    if let Some(delivery) = &delivery
        && delivery.value != "inject"
    {
        let message = format!("unknown delivery `{}`", delivery.value);
        problems.add_with_help(
            &delivery.span,
            message,
            suggestion(&delivery.value, &["inject"]),
        );
    }
    if let Some(args) = &args
        && args.value.chars().any(char::is_control)
    {
        problems.add(&args.span, "`args` must be one line of plain characters");
    }
    let text = |value: Option<Located<String>>, default: &str| {
        value.map_or_else(|| default.to_owned(), |v| v.value)
    };
    let under = interface.as_ref().map_or("vmce@2", |i| i.value.as_str());
    let vectors = vectors.and_then(|what| {
        if what.value != "platform" {
            interface::check(&what, known, problems);
        }
        Table::of(&what.value, under, known)
    });
    Guest {
        vectors,
        name: name.map_or_else(|| format!("g{index}"), |name| name.value),
        image: text(image, ""),
        vcpus: vcpus.map_or(1, |vcpus| vcpus.value),
        memory_mib: memory.map_or(16, |memory| memory.value),
        interface: text(interface, "vmce@2"),
        delivery: text(delivery, "inject"),
        privileged,
        args: text(args, ""),
    }
}

/// What only all guests and the machine together can get wrong.
pub fn check_all(guests: &[Located<Guest>], machine: &Machine, problems: &mut Problems) {
    for (index, guest) in guests.iter().enumerate() {
        if guests[..index]
            .iter()
            .any(|other| other.value.name == guest.value.name)
        {
            let message = format!("two guests are called `{}`", guest.value.name);
            problems.add(&guest.span, message);
        }
    }
    let mut privileged = guests.iter().filter(|guest| guest.value.privileged);
    if let (Some(first), Some(second)) = (privileged.next(), privileged.next()) {
        let message = format!(
            "`{}` and `{}` are both privileged",
            first.value.name, second.value.name
        );
        problems.add_with_help(
            &second.span,
            message,
            "one guest at most is the administrator's: leave `privileged` out of one",
        );
    }
    let Some(last) = guests.last() else { return };
    let memory: u64 = guests.iter().map(|guest| guest.value.memory_mib).sum();
    let available = u64::from(machine.memory_mib).saturating_sub(HYPERVISOR_MIB);
    if memory > available {
        problems.add_with_help(
            &last.span,
            format!(
                "the guests' {memory} MiB do not fit in a machine with {} MiB",
                machine.memory_mib
            ),
            format!("the hypervisor keeps {HYPERVISOR_MIB} MiB: {available} MiB are left"),
        );
    }
}

fn check_name(name: Option<&Located<String>>, problems: &mut Problems) {
    if let Some(name) = name
        && !plain_word(&name.value)
    {
        let message = format!("`{}` is no name", name.value);
        problems.add_with_help(
            &name.span,
            message,
            "a name is made of letters, digits, - and _",
        );
    }
}

fn check_image(image: &Located<String>, known: &Known, problems: &mut Problems) {
    if !known.images.contains(&image.value) {
        let names: Vec<_> = known.images.iter().map(String::as_str).collect();
        let message = format!("no guest program is called `{}`", image.value);
        problems.add_with_help(&image.span, message, suggestion(&image.value, &names));
    }
}
