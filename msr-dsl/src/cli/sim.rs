//! `msr sim`: the reference interpreter, fed with accesses from standard input.

use super::USAGE;
use super::diff::sides;
use super::injected::{event, left_out};
use super::output::{Reader, put, tell};
use msr_dsl::compare::steps::{Guest, deliver, held};
use msr_dsl::interpret::{Answer, Machine};
use msr_dsl::model::View;
use msr_dsl::words::suggest;
use msr_runtime::{Extra, ExtraLimits, Reset};
use std::io::BufRead;
use std::process::ExitCode;

/// A hexadecimal number, with or without 0x.
pub fn number(text: &str) -> Result<u64, String> {
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .unwrap_or(text);
    // The standard library would take a sign.
    let value = match digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        true => u64::from_str_radix(digits, 16).ok(),
        false => None,
    };
    value.ok_or_else(|| format!("`{text}` is not a hexadecimal number of at most 64 bits"))
}

/// How each line is written.
const FORMS: &[&str] = &[
    "reset",
    "init",
    "vcpu NUMBER",
    "rdmsr ADDR",
    "wrmsr ADDR VALUE",
    "save",
    "restore HEX",
    "inject [FIELD=VALUE ...]",
    "deliver",
    "hold ADDR VALUE",
    "held ADDR",
];

/// The lines, the answers and the exit statuses, for `--help`.
pub const LINES: &str = "\
Lines (numbers are hexadecimal, with or without 0x; `#` begins a comment):
  reset                     power-on of the guest; no answer
  init                      INIT of this vCPU; no answer
  vcpu NUMBER               what follows is done by this vCPU (first: 0); no answer
  rdmsr ADDR                0x... | #GP | unhandled | hook NAME | pass
  wrmsr ADDR VALUE          ok | #GP | unhandled | hook NAME | pass
  save                      the vCPU's record, two digits for each byte
  save guest                the record of what the guest's vCPUs share
  restore HEX               ok | refused: REASON; REASON ...
  inject [FIELD=VALUE ...]  ok | no injection; fields: RIPV, EIPV, LMCE_S, STATUS, ADDR, MISC
  deliver                   who is told of an error now: broadcast | one | local | nobody
  hold ADDR VALUE           the hypervisor sets the state of a held register; no answer, or refused: REASON
                            where a restore would refuse the value too
  held ADDR                 that state as the hypervisor takes it: 0x... | not held

  unhandled: the interface does not list the MSR
  hook NAME: the hypervisor answers
  pass:      the processor's own register answers

Exit status: 0 at the end of the input, 2 for a wrong line, option or spec";

/// A guest as the command line asks for it.
#[derive(clap::Args)]
pub struct Arguments {
    /// A spec file, with `@VERSION` for another than the newest; or what else `diff` takes as one side.
    spec: String,
    /// A feature that the guest is given.
    #[arg(long, value_name = "NAME", conflicts_with = "cap")]
    feature: Vec<String>,
    /// The guest's capability word (MCG_CAP), as a restored guest may have it; its features follow from it.
    #[arg(long, value_name = "VALUE", value_parser = number)]
    cap: Option<u64>,
    /// What the administrator has named at boot: cap:BIT, tag:NUMBER, msr:ADDRESS, msr:FIRST-LAST, with commas between them.
    #[arg(long, value_name = "LIST")]
    extra: Option<String>,
    /// Another interface, named as the spec is: `restore` takes its records too, converted as by `record convert --lossy`.
    #[arg(long, value_name = "SPEC")]
    from: Option<String>,
}

/// Runs until the end of standard input, or to the first bad line.
pub fn sim(arguments: &Arguments) -> ExitCode {
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            tell!("{message}");
            ExitCode::from(USAGE)
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let side = sides::one(&arguments.spec)?;
    let view = &side.view;
    let extra = arguments.extra.as_deref();
    let extra = extra.map_or(Ok(Extra::NONE), |text| extras(view, text))?;
    let from = arguments.from.as_deref().map(sides::one).transpose()?;
    let mut guest = Guest {
        machine: new_guest(view, &arguments.feature, arguments.cap, extra)?,
        from: from.as_ref().map(|side| &side.view),
    };
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.map_err(|error| format!("standard input: {error}"))?;
        let answer = execute(&mut guest, &line)
            .map_err(|message| format!("line {}: {message}", number + 1))?;
        if let Some(answer) = answer
            && put!("{answer}") == Reader::Gone
        {
            break;
        }
    }
    Ok(())
}

/// What an administrator names, as the version takes it.
fn extras(view: &View, text: &str) -> Result<Extra, String> {
    let extra = Extra::parse(text).map_err(|error| {
        let digits = |word: &&str| {
            let hexadecimal = word.bytes().all(|one| one.is_ascii_hexdigit());
            hexadecimal && word.bytes().any(|one| one.is_ascii_alphabetic())
        };
        let parts = text.split(',').filter_map(|part| part.split_once(':'));
        let mut words = parts.flat_map(|(_, value)| value.split('-'));
        let mend = words
            .find(digits)
            .map(|word| format!(" (hexadecimal is `0x{word}` here)"));
        format!("--extra: {error}{}", mend.unwrap_or_default())
    })?;
    let named = view.extra.as_ref();
    let limits = ExtraLimits {
        most: named.map_or(0, |limits| limits.most),
        msrs: named.map_or(&[], |limits| &limits.msrs),
        capability: named.map_or(0, |limits| limits.capability),
    };
    match extra.within(&limits) {
        Ok(()) => Ok(extra),
        Err(refusal) => Err(format!(
            "--extra {text}: version {} of `{}`: {refusal}",
            view.version, view.name
        )),
    }
}

/// A guest as it is created: with features, or with the capability word of another one.
pub fn new_guest<'a>(
    view: &'a View,
    features: &[String],
    cap: Option<u64>,
    extra: Extra,
) -> Result<Machine<'a>, String> {
    let mut machine = Machine::new(view).with_extra(extra);
    for name in features {
        machine.add_feature(name).map_err(|known| {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            format!(
                "no feature `{name}` in version {}: {}",
                view.version,
                suggest(name, &known)
            )
        })?;
    }
    if let Some((feature, one_of)) = machine.unmet_requirement() {
        return Err(format!(
            "feature `{feature}` requires {}",
            one_of.join(" or ")
        ));
    }
    if let Some(cap) = cap {
        machine.promise(cap)?;
    }
    Ok(machine)
}

/// One line; blank lines and comments (`#`) answer nothing.
fn execute(guest: &mut Guest, line: &str) -> Result<Option<String>, String> {
    let machine = &mut guest.machine;
    let words: Vec<&str> = line
        .split('#')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let msr = |text: &str| {
        let value = number(text)?;
        u32::try_from(value)
            .map_err(|_| format!("`{text}` is not an MSR's number: it has more than 32 bits"))
    };
    match words.as_slice() {
        [] => Ok(None),
        ["reset"] => {
            machine.reset(Reset::PowerOn);
            Ok(None)
        }
        ["init"] => {
            machine.reset(Reset::Init);
            Ok(None)
        }
        ["vcpu", vcpu] => {
            let number = number(vcpu)?;
            let number = u32::try_from(number).map_err(|_| {
                format!("`{vcpu}` is not a vCPU's number: it has more than 32 bits")
            })?;
            machine.switch_to(number);
            Ok(None)
        }
        ["deliver"] => Ok(Some(deliver(machine).to_owned())),
        ["rdmsr", address] => Ok(Some(answer_text(machine.read(msr(address)?)))),
        ["wrmsr", address, value] => Ok(Some(answer_text(
            machine.write(msr(address)?, number(value)?),
        ))),
        ["save"] => Ok(Some(hex(&machine.save()))),
        ["save", "guest"] if machine.view().is_shared() => Ok(Some(hex(&machine.save_guest()))),
        ["save", "guest"] => Err(format!(
            "no register of `{}` version {} has the scope `guest`",
            machine.view().name,
            machine.view().version
        )),
        ["restore", record] => Ok(Some(match guest.restore(&bytes(record)?) {
            Ok(()) => "ok".to_owned(),
            Err(reasons) => format!("refused: {}", reasons.join("; ")),
        })),
        ["inject", parts @ ..] => {
            let event = event(parts)?;
            for note in left_out(machine, &event) {
                tell!("{}: {note}", words.join(" "));
            }
            let done = machine.inject(&event);
            Ok(Some(if done { "ok" } else { "no injection" }.to_owned()))
        }
        ["hold", address, value] => {
            let (msr, value) = (msr(address)?, number(value)?);
            if let Some(reason) = machine.not_held(msr, value) {
                return Ok(Some(format!("refused: {reason}")));
            }
            if !machine.hold_at(msr, value) {
                tell!("{msr:#x}: no held register is there; nothing changes");
            }
            Ok(None)
        }
        ["held", address] => Ok(Some(held(machine, msr(address)?))),
        [command, ..] if let Some(form) = form(command) => Err(format!(
            "wrong number of words in `{}`: write `{form}`",
            words.join(" ")
        )),
        [other, ..] => Err(format!(
            "unknown command `{other}`: {}",
            suggest(
                other,
                &[
                    "reset", "init", "vcpu", "rdmsr", "wrmsr", "save", "restore", "inject",
                    "deliver", "hold", "held",
                ]
            )
        )),
    }
}

fn form(command: &str) -> Option<&'static str> {
    let first = |form: &&&str| form.split(' ').next() == Some(command);
    FORMS.iter().find(first).copied()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes from pairs of hexadecimal digits.
pub fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("`{text}` is not a record: two hexadecimal digits for each byte");
    if !text.len().is_multiple_of(2) || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong()))
        .collect()
}

/// An answer as `sim` prints it.
pub fn answer_text(answer: Answer) -> String {
    match answer {
        Answer::Value(value) => format!("{value:#018x}"),
        Answer::Ok => "ok".to_owned(),
        Answer::Fault => "#GP".to_owned(),
        Answer::Unlisted => "unhandled".to_owned(),
        Answer::Hook(name) => format!("hook {name}"),
        Answer::Pass => "pass".to_owned(),
    }
}
