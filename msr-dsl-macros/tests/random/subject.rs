//! A program's side of the comparison: the generated code of some specs, behind one trait, does what standard input says and answers
//! each line with one.

use msr_runtime::record::{Record, crc32c, name};
use msr_runtime::{
    ErrorRecord, Extra, Interface, MachineCheck, MachineCheckEvent, RecordError, Refusal, Reset, SharedInterface, SharedState,
};
use std::fmt::{Debug, Write as _};
use std::io::{BufRead, Write as _};

/// A guest, seen from one of its vCPUs. (One trait object for all specs: a driver made anew for each would take longer to compile than the specs.)
pub trait Guest {
    fn set_capability(&mut self, word: u64);
    fn read(&self, msr: u32, named: &Extra) -> Answer;
    fn write(&mut self, msr: u32, value: u64, named: &Extra) -> Answer;
    fn reset(&mut self, reset: Reset);
    fn save(&self) -> Vec<u8>;
    fn restore(&mut self, record: &[u8], named: &Extra) -> Result<(), RecordError>;
    fn hold(&mut self, value: u64) -> bool;
    fn inject(&mut self, event: &MachineCheckEvent);
    fn delivered(&mut self);
    /// Who is told of an error, whether one is in progress, and whether one is pending.
    fn delivery(&self) -> (&'static str, bool, bool);
    fn switch_to(&mut self, _vcpu: usize) {
        panic!("nothing is shared: one vCPU is enough");
    }
    fn save_guest(&self) -> Vec<u8> {
        panic!("nothing is shared");
    }
    fn hold_shared(&mut self, _value: u64) -> bool {
        panic!("nothing is shared");
    }
}

/// A spec's state, and how the hypervisor sets its held register: the one method that is no trait's.
struct Of<S> {
    state: S,
    hold: fn(&mut S, u64) -> bool,
}

pub enum Answer {
    Value(u64),
    Ok,
    Fault,
    Unlisted,
    Pass,
    Hook(String),
}

fn answer<H: Debug>(result: Result<Answer, Refusal<H>>) -> Answer {
    match result {
        Ok(answer) => answer,
        Err(Refusal::Fault) => Answer::Fault,
        Err(Refusal::Unlisted) => Answer::Unlisted,
        Err(Refusal::Pass) => Answer::Pass,
        Err(Refusal::Hook(hook)) => Answer::Hook(format!("{hook:?}")),
    }
}

impl<S: Interface + MachineCheck + Copy> Guest for Of<S>
where
    S::Hook: Debug,
{
    fn set_capability(&mut self, word: u64) {
        self.state.set_capability_word(word);
    }

    fn read(&self, msr: u32, named: &Extra) -> Answer {
        answer(self.state.read_with(msr, named).map(Answer::Value))
    }

    fn write(&mut self, msr: u32, value: u64, named: &Extra) -> Answer {
        answer(self.state.write_with(msr, value, named).map(|()| Answer::Ok))
    }

    fn reset(&mut self, reset: Reset) {
        self.state.reset(reset);
    }

    fn save(&self) -> Vec<u8> {
        let mut record = vec![0; S::RECORD_LENGTH];
        let length = self.state.save(&mut record, crc32c).expect("space");
        record.truncate(length);
        record
    }

    fn restore(&mut self, record: &[u8], named: &Extra) -> Result<(), RecordError> {
        self.state = S::restore_with(record, crc32c, named)?;
        Ok(())
    }

    fn hold(&mut self, value: u64) -> bool {
        (self.hold)(&mut self.state, value)
    }

    fn inject(&mut self, event: &MachineCheckEvent) {
        self.state.inject(event);
        self.state.set_pending(true);
    }

    fn delivered(&mut self) {
        self.state.set_pending(false);
    }

    fn delivery(&self) -> (&'static str, bool, bool) {
        delivery(&self.state)
    }
}

fn delivery(state: &impl MachineCheck) -> (&'static str, bool, bool) {
    let to = match (state.local_enabled(), state.is_broadcast()) {
        (true, _) => "local",
        (false, true) => "broadcast",
        (false, false) => "one",
    };
    (to, state.in_progress(), state.pending())
}

/// A guest whose vCPUs share some state.
struct Sharing<S: SharedInterface> {
    guest: S::Guest,
    /// The vCPU that makes the accesses.
    own: S,
    vcpu: usize,
    /// The others, once they have made any.
    others: [Option<S>; 3],
    hold: fn(&mut S, u64) -> bool,
    hold_shared: fn(&mut S::Guest, u64) -> bool,
}

impl<S: SharedInterface + MachineCheck + Copy> Guest for Sharing<S>
where
    S::Hook: Debug,
{
    fn set_capability(&mut self, word: u64) {
        self.own.set_capability_word(word);
    }

    fn read(&self, msr: u32, named: &Extra) -> Answer {
        answer(self.own.read_with(&self.guest, msr, named).map(Answer::Value))
    }

    fn write(&mut self, msr: u32, value: u64, named: &Extra) -> Answer {
        answer(self.own.write_with(&mut self.guest, msr, value, named).map(|()| Answer::Ok))
    }

    fn reset(&mut self, reset: Reset) {
        self.own.reset(&mut self.guest, reset);
        if reset == Reset::PowerOn {
            self.guest = S::Guest::create();
            self.others = [None; 3];
        }
    }

    fn save(&self) -> Vec<u8> {
        let mut record = vec![0; S::RECORD_LENGTH];
        let length = self.own.save(&mut record, crc32c).expect("space");
        record.truncate(length);
        record
    }

    fn save_guest(&self) -> Vec<u8> {
        let mut record = vec![0; S::Guest::RECORD_LENGTH];
        let length = self.guest.save(&mut record, crc32c).expect("space");
        record.truncate(length);
        record
    }

    fn restore(&mut self, record: &[u8], named: &Extra) -> Result<(), RecordError> {
        let opened = Record::open(record, name(S::NAME), crc32c);
        match opened.and_then(|record| record.of_guest()) {
            Ok(_) => self.guest = S::Guest::restore_with(record, crc32c, named)?,
            Err(_) => self.own = S::restore_with(record, crc32c, named)?,
        }
        Ok(())
    }

    fn hold(&mut self, value: u64) -> bool {
        (self.hold)(&mut self.own, value)
    }

    fn hold_shared(&mut self, value: u64) -> bool {
        (self.hold_shared)(&mut self.guest, value)
    }

    fn inject(&mut self, event: &MachineCheckEvent) {
        self.own.inject(event);
        self.own.set_pending(true);
    }

    fn delivered(&mut self) {
        self.own.set_pending(false);
    }

    fn delivery(&self) -> (&'static str, bool, bool) {
        delivery(&self.own)
    }

    fn switch_to(&mut self, vcpu: usize) {
        if vcpu == self.vcpu {
            return;
        }
        let word = self.own.capability_word();
        let next = self.others[vcpu].take().unwrap_or_else(|| {
            let mut new = S::create();
            new.set_capability_word(word);
            new
        });
        self.others[self.vcpu] = Some(std::mem::replace(&mut self.own, next));
        self.vcpu = vcpu;
    }
}

/// A new guest whose vCPUs share some state.
pub fn sharing<S: SharedInterface + MachineCheck + Copy + 'static>(
    hold: fn(&mut S, u64) -> bool,
    hold_shared: fn(&mut S::Guest, u64) -> bool,
) -> Box<dyn Guest>
where
    S::Hook: Debug,
{
    Box::new(Sharing { guest: S::Guest::create(), own: S::create(), vcpu: 0, others: [None; 3], hold, hold_shared })
}

/// A new guest's vCPU.
pub fn new<S: Interface + MachineCheck + Copy + 'static>(hold: fn(&mut S, u64) -> bool) -> Box<dyn Guest>
where
    S::Hook: Debug,
{
    Box::new(Of { state: S::create(), hold })
}

/// Runs to the end of standard input.
pub fn run(specs: &[fn() -> Box<dyn Guest>]) {
    let mut guest: Option<(Box<dyn Guest>, Extra)> = None;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut input = std::io::stdin().lock();
    let (mut line, mut told) = (String::new(), String::new());
    while input.read_line(&mut line).expect("a line") > 0 {
        let words: Vec<&str> = line.split_whitespace().collect();
        told.clear();
        if let ["guest", spec, word, named] = words.as_slice() {
            let mut one = specs[number(spec) as usize]();
            one.set_capability(number(word));
            guest = Some((one, Extra::parse(named).expect("a list")));
            told.push_str("ok");
        } else if let Some((guest, named)) = &mut guest {
            step(&mut **guest, &words, named, &mut told);
        }
        writeln!(out, "{told}").expect("a reader");
        line.clear();
    }
}

fn step(guest: &mut dyn Guest, words: &[&str], named: &Extra, told: &mut String) {
    let answer = match words {
        ["rdmsr", msr] => guest.read(number(msr) as u32, named),
        ["wrmsr", msr, value] => guest.write(number(msr) as u32, number(value), named),
        ["reset"] => {
            guest.reset(Reset::PowerOn);
            Answer::Ok
        }
        ["init"] => {
            guest.reset(Reset::Init);
            Answer::Ok
        }
        ["hold", "guest", value] => {
            let _ = write!(told, "held: {}", guest.hold_shared(number(value)));
            return;
        }
        ["vcpu", vcpu] => {
            guest.switch_to(number(vcpu) as usize);
            Answer::Ok
        }
        ["hold", value] => {
            let _ = write!(told, "held: {}", guest.hold(number(value)));
            return;
        }
        ["inject", ripv, eipv, local, error @ ..] => {
            let record = match error {
                [status, address, misc] => Some(ErrorRecord { status: number(status), address: number(address), misc: number(misc) }),
                _ => None,
            };
            guest.inject(&MachineCheckEvent {
                restart_ip_valid: *ripv == "1",
                error_ip_valid: *eipv == "1",
                local: *local == "1",
                record,
            });
            Answer::Ok
        }
        ["delivered"] => {
            guest.delivered();
            Answer::Ok
        }
        ["delivery"] => {
            let _ = write!(told, "{:?}", guest.delivery());
            return;
        }
        ["save", of @ ..] => {
            for byte in if of.is_empty() { guest.save() } else { guest.save_guest() } {
                let _ = write!(told, "{byte:02x}");
            }
            return;
        }
        ["restore", record] => {
            let bytes: Vec<u8> = record.as_bytes().chunks(2).map(|two| number(std::str::from_utf8(two).expect("digits")) as u8).collect();
            match guest.restore(&bytes, named) {
                Ok(()) => Answer::Ok,
                Err(why) => {
                    let _ = write!(told, "refused: {why}");
                    return;
                }
            }
        }
        other => panic!("{other:?}"),
    };
    let _ = match answer {
        Answer::Value(value) => write!(told, "{value:#018x}"),
        Answer::Ok => write!(told, "ok"),
        Answer::Fault => write!(told, "#GP"),
        Answer::Unlisted => write!(told, "unhandled"),
        Answer::Pass => write!(told, "pass"),
        Answer::Hook(hook) => write!(told, "hook {}", hook.split(' ').next().unwrap_or("")),
    };
}

fn number(digits: &str) -> u64 {
    u64::from_str_radix(digits, 16).expect("a hexadecimal number")
}
