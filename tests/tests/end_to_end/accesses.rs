//! What guests read and write: by the reference interpreter, and by the conformance vectors.

use boot::run::Verdict;
use msr_dsl::interpret::{Answer, Machine};
use msr_dsl::model::Model;
use msr_dsl::source::compile_text;
use msr_runtime::Extra;
use specs::McState;

use super::{BOCHS, boot, console, log, met, scenario, workspace};

/// Whatever the guest reads and writes, the machine answers as the reference interpreter does.
#[test]
fn reserved_writes() {
    for (name, version) in McState::CREATABLE {
        reserved_writes_under(name, *version, &[], None);
    }
    reserved_writes_under("vmce", 3, &["LMCE"], None);
}

/// What the administrator has named reads zero and ignores writes, where it faulted without; the rest is as it was.
#[test]
fn reserved_writes_with_extras() {
    let named = "cap:27,msr:0x4d0,msr:0xc0002000-0xc000200f,msr:0x179";
    let limited = named.replace("0xc0002000-0xc000200f", "0xc0000408-0xc000040a");
    reserved_writes_under("vmce", 2, &[], Some(&limited));
    // An interface takes no more than its spec says.
    let mut scenario = scenario("reserved-writes");
    scenario.command_line = format!("extra={named}");
    let (verdict, followed) = boot(&scenario, &BOCHS);
    assert_ne!(verdict, Verdict::Met);
    let told = log(&followed.events);
    assert!(
        told.contains("an extra MSR where the interface takes none"),
        "{told}"
    );
}

fn reserved_writes_under(name: &str, version: u16, features: &[&str], extra: Option<&str>) {
    let mut scenario = scenario("reserved-writes");
    let named = extra.map_or(Extra::NONE, |list| Extra::parse(list).unwrap());
    if let Some(list) = extra {
        scenario.command_line = format!("extra={list}");
    }
    let words = [&[""], features].concat().join("+");
    scenario.guests[0].interface = format!("{name}@{version}{words}");
    println!("under {}", scenario.guests[0].interface);
    let (verdict, followed) = boot(&scenario, &BOCHS);
    assert!(
        verdict == Verdict::Met,
        "{verdict}\n{}",
        log(&followed.events)
    );
    let (interface, platform) = (model(name), model("platform"));
    let mut reference = Machine::new(interface.version(version).unwrap());
    for feature in features {
        reference.add_feature(feature).unwrap();
    }
    // What the interface does not list is the platform's.
    let mut beside = Machine::new(platform.newest()).with_extra(named);
    let mut compared = 0;
    for line in console(&followed.events) {
        let words: Vec<_> = line.split(' ').collect();
        let (access, answer) = match words[..] {
            ["rdmsr", msr, "->", answer] => {
                let msr = number(msr) as u32;
                let access = match reference.read(msr) {
                    Answer::Unlisted => beside.read(msr),
                    access => access,
                };
                (access, answer)
            }
            ["wrmsr", msr, value, "->", answer] => {
                let (msr, value) = (number(msr) as u32, number(value));
                let access = match reference.write(msr, value) {
                    Answer::Unlisted => beside.write(msr, value),
                    access => access,
                };
                (access, answer)
            }
            ["accesses", count] => {
                assert_eq!(count.parse(), Ok(compared), "accesses that were reported");
                continue;
            }
            _ => panic!("{line}"),
        };
        let expected = match access {
            Answer::Value(value) => format!("{value:#018x}"),
            Answer::Ok => "ok".into(),
            Answer::Fault | Answer::Unlisted => "#GP".into(),
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(answer, expected, "access {compared}: {line}");
        compared += 1;
    }
    assert!(compared > 5000, "only {compared} accesses");
}

/// Every line of every spec, executed by guests: no answer is wrong.
#[test]
fn vectors() {
    let scenario = scenario("vectors");
    let given: Vec<_> = scenario
        .guests
        .iter()
        .map(|guest| guest.interface.as_str())
        .collect();
    for (name, version) in McState::CREATABLE {
        let interface = format!("{name}@{version}");
        assert!(given.contains(&interface.as_str()), "{interface}");
        // Each feature that a guest can be given, too.
        for feature in model(name).version(*version).unwrap().features.iter() {
            if feature.offer == msr_dsl::model::Offer::Offered {
                let with = |given: &&str| {
                    given.starts_with(&interface) && given.split('+').any(|f| f == feature.name)
                };
                assert!(given.iter().any(with), "{interface}+{}", feature.name);
            }
        }
    }
    assert!(scenario.guests.iter().all(|guest| guest.vectors.is_some()));
    met("vectors", &BOCHS);
}

/// One wrong answer among thousands is found and named.
#[test]
fn a_wrong_vector_is_found() {
    use boot::scenario::vectors::{ENTRY, HEADER};
    let mut scenario = scenario("vectors");
    scenario.guests.truncate(1);
    let table = scenario.guests[0].vectors.as_mut().unwrap();
    // MCG_CAP's first read.
    table.bytes[HEADER + ENTRY / 2] ^= 1;
    let (verdict, followed) = boot(&scenario, &BOCHS);
    let Verdict::Unmet(unmet) = &verdict else {
        panic!("{verdict}");
    };
    assert!(unmet.expected.contains("wrong 0"), "{verdict}");
    let lines = console(&followed.events);
    let wrong: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("wrong: "))
        .collect();
    assert_eq!(wrong.len(), 1, "{lines:?}");
    let text = std::fs::read_to_string(workspace().root.join("specs/vmce.msr")).unwrap();
    let line = 1 + text
        .lines()
        .position(|line| line.contains("register MCG_CAP"))
        .unwrap();
    assert_eq!(
        *wrong[0],
        format!("wrong: line {line}: 0x179 reads 0x1000c03; reads 0x1000c02 now")
    );
}

/// The spec of an interface.
fn model(name: &str) -> Model {
    let file = format!("specs/{}.msr", name.replace('_', "-"));
    let spec = std::fs::read_to_string(workspace().root.join(file)).unwrap();
    compile_text(&spec).model.expect("the spec has no mistakes")
}

fn number(text: &str) -> u64 {
    let digits = text.strip_prefix("0x").unwrap();
    u64::from_str_radix(digits, 16).unwrap()
}
