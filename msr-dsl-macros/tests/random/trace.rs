//! Random accesses to a random spec, and what the reference interpreter answers. The lines are those of `msr sim`, each with one answer.

use super::generate::Random;
use msr_dsl::interpret::{Answer, Machine};
use msr_dsl::model::{Model, View};
use msr_runtime::record::{HEADER, crc32c, seal};
use msr_runtime::{ErrorRecord, Extra, MachineCheckEvent, Reset};
use std::fmt::Write;

/// Guests of each spec, and accesses of each guest.
const GUESTS: usize = 16;
const STEPS: usize = 160;

/// vCPUs of a guest some of whose state is shared; of another one is enough.
const VCPUS: u64 = 3;

/// Capability words: few and many banks, with and without the features, and with a bit that only an administrator can name.
const WORDS: [u64; 8] = [
    0x104,
    0,
    0x305,
    0x2ff,
    0x1,
    0x208,
    1 << 40 | 0x308,
    1 << 40 | 0x103,
];

/// What the administrator has named: next to nothing, or much of what every spec allows.
const NAMED: [&str; 2] = [
    "tag:4000",
    "cap:40,tag:10,tag:3000,msr:0x12-0x13,msr:0x140,msr:0x1fff",
];

/// Lines, and an answer for each.
#[derive(Default)]
pub struct Trace {
    pub lines: String,
    pub answers: String,
    /// Records of version 1 that version 2 was given, and of them those that it took.
    pub older: [usize; 2],
}

/// Some guests' lives under a spec, which is the `number`th of its program.
pub fn trace(number: usize, model: &Model, random: &mut Random) -> Trace {
    let view = model.newest();
    let mut trace = Trace::default();
    for guest in 0..GUESTS {
        let c = view.features.iter().find(|feature| feature.name == "C");
        let c = c.filter(|_| guest % 2 == 1).map_or(0, |c| 1 << c.bit);
        let word = WORDS[guest % WORDS.len()] | c;
        let named = NAMED[guest / WORDS.len() % 2];
        let extra = Extra::parse(named).expect("a list");
        let mut machine = Machine::new(view).with_extra(extra);
        machine.set_capability(word);
        trace.told(&format!("guest {number:x} {word:x} {named}"), "ok");
        let older = (model.views.len() > 1).then(|| {
            let mut older = Machine::new(&model.views[0]);
            older.set_capability(WORDS[random.below(6) as usize]);
            older
        });
        live(&mut trace, machine, older, &msrs(view), random);
    }
    trace
}

/// Every listed MSR, and some that are not.
fn msrs(view: &View) -> Vec<u32> {
    let addresses = view.registers.iter().flat_map(|one| &one.addresses);
    let listed = addresses.flat_map(|address| address.msrs());
    let mut msrs: Vec<u32> = listed.map(|(msr, _)| msr).collect();
    msrs.extend([0, 0x12, 0x13, 0x140, 0x1fff, 0x2000, 0xc000_0000, u32::MAX]);
    msrs
}

/// What a guest of the older version does is the interpreter's alone: its records are what counts.
fn live(
    trace: &mut Trace,
    mut machine: Machine,
    mut older: Option<Machine>,
    msrs: &[u32],
    random: &mut Random,
) {
    for _ in 0..STEPS {
        let msr = msrs[random.below(msrs.len() as u64) as usize];
        if let Some(older) = &mut older {
            older.write(msr, value(random));
            older.write(0x17, value(random) & 1);
            if random.chance(5) {
                trace.bring(&mut machine, older, random);
            }
        }
        match random.below(if machine.view().is_shared() { 54 } else { 48 }) {
            0..16 => trace.read(&machine, msr),
            16..44 => {
                let value = value(random);
                let answer = text(machine.write(msr, value));
                trace.told(&format!("wrmsr {msr:x} {value:x}"), &answer);
            }
            44 => machine_check(trace, &mut machine, random),
            45 => {
                let value = value(random);
                let held = machine.hold("KEPT", value);
                trace.told(&format!("hold {value:x}"), &format!("held: {held}"));
            }
            46 if random.chance(30) => {
                machine.reset(Reset::PowerOn);
                trace.told("reset", "ok");
            }
            46 => {
                machine.reset(Reset::Init);
                trace.told("init", "ok");
            }
            47 => {
                let record = harmed(machine.save(), random);
                trace.restore(&mut machine, &record);
            }
            48..52 => {
                let vcpu = random.below(VCPUS);
                machine.switch_to(vcpu as u32);
                trace.told(&format!("vcpu {vcpu}"), "ok");
            }
            52 => {
                let value = value(random);
                let held = machine.hold("OURS", value);
                trace.told(&format!("hold guest {value:x}"), &format!("held: {held}"));
            }
            _ => {
                let record = harmed(machine.save_guest(), random);
                trace.restore(&mut machine, &record);
            }
        }
    }
    let record = machine.save();
    trace.told("save", &hex(&record));
    trace.restore(&mut machine, &record);
    if machine.view().is_shared() {
        let record = machine.save_guest();
        trace.told("save guest", &hex(&record));
        trace.restore(&mut machine, &record);
    }
    for msr in msrs {
        trace.read(&machine, *msr);
    }
}

/// An error is injected, or only its pending delivery done; then who is told, and what is seen of it.
fn machine_check(trace: &mut Trace, machine: &mut Machine, random: &mut Random) {
    if random.chance(30) {
        machine.set_pending(false);
        trace.told("delivered", "ok");
    } else {
        let mut value = || value(random);
        let (bits, whole) = (value(), value());
        let record = ErrorRecord {
            status: value(),
            address: value(),
            misc: value(),
        };
        let event = MachineCheckEvent {
            restart_ip_valid: bits & 1 != 0,
            error_ip_valid: bits & 2 != 0,
            local: bits & 4 != 0,
            record: (whole & 3 != 0).then_some(record),
        };
        let flags = [bits & 1, bits >> 1 & 1, bits >> 2 & 1];
        let [ripv, eipv, local] = flags;
        let error = match event.record {
            Some(error) => format!(" {:x} {:x} {:x}", error.status, error.address, error.misc),
            None => String::new(),
        };
        assert!(machine.inject(&event), "every spec has an injection");
        machine.set_pending(true);
        trace.told(&format!("inject {ripv} {eipv} {local}{error}"), "ok");
    }
    let broadcast =
        (machine.view().injection.as_ref()).is_some_and(|injection| injection.broadcast);
    let to = match (machine.local_enabled(), broadcast) {
        (true, _) => "local",
        (false, true) => "broadcast",
        (false, false) => "one",
    };
    let delivery = (to, machine.in_progress(), machine.pending());
    trace.told("delivery", &format!("{delivery:?}"));
}

impl Trace {
    fn told(&mut self, line: &str, answer: &str) {
        let _ = writeln!(self.lines, "{line}");
        let _ = writeln!(self.answers, "{answer}");
    }

    fn read(&mut self, machine: &Machine, msr: u32) {
        self.told(&format!("rdmsr {msr:x}"), &text(machine.read(msr)));
    }

    /// Gives the record of an older version to the newer one.
    fn bring(&mut self, machine: &mut Machine, older: &Machine, random: &mut Random) {
        let of_guest = machine.view().is_shared() && random.chance(40);
        let record = match of_guest {
            true => older.save_guest(),
            false => older.save(),
        };
        let record = match random.chance(30) {
            true => harmed(record, random),
            false => record,
        };
        let taken = self.restore(machine, &record);
        self.older[0] += 1;
        self.older[1] += usize::from(taken);
    }

    fn restore(&mut self, machine: &mut Machine, record: &[u8]) -> bool {
        let answer = match machine.restore_either(record) {
            Ok(()) => "ok".to_owned(),
            Err(why) => format!("refused: {why}"),
        };
        self.told(&format!("restore {}", hex(record)), &answer);
        answer == "ok"
    }
}

/// A record with some other bytes behind its header, mostly with the right checksum.
fn harmed(mut record: Vec<u8>, random: &mut Random) -> Vec<u8> {
    for _ in 0..random.below(3) {
        let at = HEADER as u64 + random.below((record.len() - HEADER) as u64);
        record[at as usize] ^= 1 << random.below(8);
    }
    if random.below(8) != 0 {
        let (head, items) = record.split_first_chunk_mut().expect("a header");
        seal(head, items, crc32c);
    }
    record
}

fn value(random: &mut Random) -> u64 {
    let bit = 1 << random.below(64);
    match random.below(6) {
        0 => 0,
        1 => u64::MAX,
        2 => bit,
        3 => !bit,
        4 => random.below(16),
        _ => random.next(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(answer: Answer) -> String {
    match answer {
        Answer::Value(value) => format!("{value:#018x}"),
        Answer::Ok => "ok".to_owned(),
        Answer::Fault => "#GP".to_owned(),
        Answer::Unlisted => "unhandled".to_owned(),
        Answer::Hook(name) => format!("hook {name}"),
        Answer::Pass => "pass".to_owned(),
    }
}
