//! Every scenario on the emulated machine: boot, errors, guests, verdict. Nothing is installed here: where an emulator is
//! missing, the test fails and names `cargo boot setup`.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use boot::command::bench_machines::{self, Cost};
use boot::emulator::{Kind, Way};
use boot::log::Event;
use boot::run::{Followed, Options, Verdict, run};
use boot::scenario::{Known, Scenario};
use boot::workspace::{Artifacts, Workspace};
use msr_dsl::interpret::{Answer, Machine};
use msr_dsl::model::Model;
use msr_dsl::source::compile_text;
use msr_runtime::Extra;
use specs::McState;

const BOCHS: Options = Options {
    on: Kind::Bochs,
    way: Way::Direct,
    timeout: Duration::from_secs(120),
};

fn workspace() -> &'static Workspace {
    static WORKSPACE: OnceLock<Workspace> = OnceLock::new();
    WORKSPACE.get_or_init(|| Workspace::find().unwrap())
}

fn scenario(name: &str) -> Scenario {
    Scenario::named(&workspace().root, name).unwrap_or_else(|error| panic!("{error}"))
}

/// The image, built once for all tests.
fn artifacts() -> &'static Artifacts {
    static ARTIFACTS: OnceLock<Artifacts> = OnceLock::new();
    ARTIFACTS.get_or_init(|| {
        workspace()
            .build()
            .unwrap_or_else(|error| panic!("{error}"))
    })
}

fn boot(scenario: &Scenario, options: &Options) -> (Verdict, Followed) {
    run(scenario, artifacts(), options, |_| {}).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a scenario to its good end.
fn met(name: &str, options: &Options) -> Vec<Event> {
    let (verdict, followed) = boot(&scenario(name), options);
    assert!(
        verdict == Verdict::Met,
        "{name}: {verdict}\n{}",
        log(&followed.events)
    );
    assert_eq!(
        followed.undecodable, 0,
        "log frames that could not be decoded"
    );
    followed.events
}

fn log(events: &[Event]) -> String {
    let lines: Vec<_> = events
        .iter()
        .map(|event| format!("{:>12} {event}", event.t.unwrap_or_default()))
        .collect();
    lines.join("\n")
}

fn console(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .filter(|event| event.kind == "guest.console")
        .filter_map(|event| event.get("text"))
        .map(ToString::to_string)
        .collect()
}

/// Each file under tests/scenarios has its test here.
#[test]
fn no_scenario_is_forgotten() {
    let mut files: Vec<_> = std::fs::read_dir(workspace().root.join("tests/scenarios"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(
        files,
        [
            "amd-consumer.toml",
            "bench-two-processors.toml",
            "bench.toml",
            "broadcast-srao.toml",
            "consumed-srar.toml",
            "delivery-states.toml",
            "endurance.toml",
            "failed-copy.toml",
            "fatal-reset.toml",
            "left-over.toml",
            "local.toml",
            "mce-disabled.toml",
            "missing-processor.toml",
            "moved-page.toml",
            "page-put-back.toml",
            "reserved-writes.toml",
            "retired-page.toml",
            "second-error.toml",
            "shared-halted.toml",
            "shared-srao-waiting.toml",
            "shared-srar-running.toml",
            "shared-startup.toml",
            "sixteen-guests.toml",
            "stack-lost.toml",
            "vectors.toml"
        ]
    );
}

#[test]
fn the_image_is_small() {
    let elf = std::fs::read(&artifacts().kernel).unwrap();
    let size = boot::check_image::size(&elf).unwrap();
    assert!(
        (16 << 10..boot::check_image::SIZE_BUDGET).contains(&size),
        "{size} bytes"
    );
}

#[test]
fn broadcast_srao() {
    met("broadcast-srao", &BOCHS);
}

/// The record goes to the vCPU that met the error.
#[test]
fn consumed_srar() {
    met("consumed-srar", &BOCHS);
}

/// What was fatal is told after the reset, once, and not again.
#[test]
fn fatal_reset() {
    let events = met("fatal-reset", &BOCHS);
    let earlier: Vec<_> = events
        .iter()
        .filter(|event| event.kind == "mc.earlier")
        .collect();
    assert_eq!(earlier.len(), 1, "{}", log(&events));
    assert_eq!(earlier[0].boot, 2);
}

/// The hypervisor survives an error that it meets for a guest.
#[test]
fn failed_copy() {
    met("failed-copy", &BOCHS);
}

/// What went out of use by command comes back by command.
#[test]
fn page_put_back() {
    met("page-put-back", &BOCHS);
}

/// A page that gets worse is replaced, and where there is none to replace it, it stays.
#[test]
fn moved_page() {
    met("moved-page", &BOCHS);
    let mut scenario = scenario("moved-page");
    scenario.command_line = "ce=10 spare=0".into();
    scenario
        .expects
        .retain(|expect| expect.event != "page.replaced");
    let (verdict, Followed { events, .. }) = boot(&scenario, &BOCHS);
    assert_eq!(verdict, Verdict::Met, "{}", log(&events));
    let kept: Vec<_> = events
        .iter()
        .filter(|event| event.kind == "page.kept")
        .collect();
    assert_eq!(kept.len(), 1, "{}", log(&events));
    assert_eq!(kept[0].get("reason").unwrap().to_string(), "no-spare");
    assert!(events.iter().all(|event| event.kind != "page.replaced"));
}

/// Nobody waits for ever.
#[test]
fn missing_processor() {
    met("missing-processor", &BOCHS);
}

/// What goes out of use is out of use, and nothing else.
#[test]
fn retired_page() {
    met("retired-page", &BOCHS);
}

/// What a vCPU has in the processor is still there after others have had their turns.
#[test]
fn sixteen_guests() {
    met("sixteen-guests", &BOCHS);
}

/// What the handlers find on their stacks, state by state.
#[test]
fn delivery_in_every_state() {
    met("delivery-states", &BOCHS);
}

/// An error reaches its guest's vCPUs whatever they are doing, and nobody else.
#[test]
fn machine_checks_on_shared_processors() {
    for name in [
        "shared-srao-waiting",
        "shared-srar-running",
        "shared-halted",
        "shared-startup",
    ] {
        met(name, &BOCHS);
    }
}

/// Every way in which an attempt to tell a guest can end, beside the ordinary ones.
#[test]
fn outcomes() {
    for name in [
        "mce-disabled",
        "second-error",
        "stack-lost",
        "left-over",
        "amd-consumer",
        "local",
    ] {
        met(name, &BOCHS);
    }
}

/// The main job again, through firmware and GRUB.
#[test]
fn broadcast_srao_from_an_iso() {
    let iso = Options {
        way: Way::Iso,
        ..BOCHS
    };
    met("broadcast-srao", &iso);
}

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

/// The medians of `bench NAME MINIMUM MEDIAN WORST` on the console.
fn medians(events: &[Event]) -> BTreeMap<String, u64> {
    let lines = console(events);
    let rows = lines.iter().filter_map(|line| line.strip_prefix("bench "));
    rows.map(|row| {
        let words: Vec<_> = row.split(' ').collect();
        (words[0].to_owned(), words[2].parse().unwrap())
    })
    .collect()
}

/// What an access costs a guest, in instructions: a regression fails here.
#[test]
fn bench() {
    let medians = medians(&met("bench", &BOCHS));
    for (name, most) in [
        ("rdmsr-mcg-cap", 108),
        ("rdmsr-mc1-status", 108),
        ("rdmsr-slowest", 108),
        ("wrmsr-mc1-status-0", 130),
        ("cpuid-0", 108),
        ("machine-check", 2150),
    ] {
        assert!(
            (1..=most).contains(&medians[name]),
            "{name} takes {}, at most {most}",
            medians[name]
        );
    }
}

/// The cost of a machine check is linear in banks, the same for the first page of a 2 MiB as for others, and does not depend on other
/// guests or the guest's memory. docs/measurements.md has more machines.
#[test]
fn bench_on_other_machines() {
    let known = Known::of(&workspace().root);
    let cost = |processors, banks, guests, memory| -> Cost {
        let machine = bench_machines::Machine {
            processors,
            banks,
            guests,
            memory,
        };
        let (verdict, followed) = boot(&machine.scenario(&known).unwrap(), &BOCHS);
        assert_eq!(verdict, Verdict::Met, "{machine:?}");
        bench_machines::cost(&followed.events).unwrap()
    };
    let base = cost(1, 2, 1, 16);
    assert!((1..=2240).contains(&base.median), "{base:?}");
    assert!(
        base.first <= base.median + 20,
        "the first page of a 2 MiB: {base:?}"
    );
    assert!(base.worst <= base.median + 20, "{base:?}");
    let [four, eight] = [4, 8].map(|banks| cost(1, banks, 1, 16).median);
    let bank = (four - base.median) / 2;
    assert!((1..=40).contains(&bank), "{bank} for a bank");
    assert_eq!(eight, base.median + 6 * bank);
    assert_eq!(cost(1, 2, 1, 64), base, "memory");
    let two = cost(2, 2, 1, 16);
    assert!((1..=2460).contains(&two.median), "{two:?}");
    // Another guest halts on a processor: that this is looked at once more is all that it costs.
    let more = cost(2, 2, 3, 16);
    assert!(more.median.abs_diff(two.median) <= 100, "{more:?} {two:?}");
}

/// Both vCPUs' handlers are timed, so each error reaches both.
#[test]
fn bench_on_two_processors() {
    let events = met("bench-two-processors", &BOCHS);
    let row = |name: &str| -> Vec<u64> {
        let lines = console(&events);
        let mut rows = lines.iter().filter_map(|line| line.strip_prefix(name));
        let row = rows.next().unwrap_or_else(|| panic!("no {name}"));
        row.split(' ')
            .map(|number| number.parse().unwrap())
            .collect()
    };
    let first = row("bench machine-check ");
    let last = row("bench machine-check-last-vcpu ");
    assert!(first.is_sorted() && last.is_sorted());
    assert!(
        first.iter().zip(&last).all(|(first, last)| first <= last),
        "{first:?} {last:?}"
    );
}

/// Nothing is dropped without a word: what a processor kept and what it counted as lost make the same number for each error.
#[test]
fn endurance() {
    const ERRORS: u64 = 10_000;
    let events = met("endurance", &BOCHS);
    let of_processor_1 = |event: &&Event| event.number("cpu") == Some(1);
    let own = events.iter().filter(of_processor_1);
    let told = |event: &&Event| event.kind.starts_with("mc.") || event.kind.starts_with("vmce.");
    let kept = own.clone().filter(told).count() as u64;
    let lost: u64 = own
        .filter(|event| event.kind == "records.lost")
        .filter_map(|event| event.number("count"))
        .sum();
    assert!(lost > kept, "{lost} {kept}");
    assert_eq!((kept + lost) % ERRORS, 0, "{kept} kept, {lost} lost");
}

/// A guest that never ends is ended by the time limit, with the last lines shown.
#[test]
fn a_hang_is_ended_and_shown() {
    let mut scenario = scenario("broadcast-srao");
    scenario.faults.clear();
    let short = Options {
        timeout: Duration::from_secs(3),
        ..BOCHS
    };
    let (verdict, _) = boot(&scenario, &short);
    let Verdict::Hung(_, _, last) = &verdict else {
        panic!("{verdict}");
    };
    assert!(
        last.iter().any(|line| line.contains("page 0x")),
        "{verdict}"
    );
    assert!(
        verdict
            .to_string()
            .starts_with("no end after 3 s (`--timeout`"),
        "{verdict}"
    );
}

/// What was not met is named, with what came instead.
#[test]
fn an_unmet_expectation_is_named() {
    let path = workspace().root.join("tests/scenarios/broadcast-srao.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let spoilt = text.replacen(
        "vcpu = 1, mcg_status = 5, record = \"no\"",
        "vcpu = 1, mcg_status = 7",
        1,
    );
    assert_ne!(text, spoilt);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spoilt.toml");
    std::fs::write(&path, spoilt).unwrap();
    let (verdict, _) = boot(&scenario(path.to_str().unwrap()), &BOCHS);
    let Verdict::Unmet(unmet) = &verdict else {
        panic!("{verdict}");
    };
    assert_eq!(unmet.expected, "vmce.injected guest=0 vcpu=1 mcg_status=7");
    assert!(
        unmet.instead[0].contains("(mcg_status is 0x5)"),
        "{verdict}"
    );
}

/// A machine without VMX: said clearly, and the answer is no.
fn no_vmx(way: Way) {
    let options = Options {
        on: Kind::Qemu,
        way,
        timeout: Duration::from_secs(120),
    };
    let (verdict, followed) = boot(&scenario("broadcast-srao"), &options);
    let Verdict::Unsupported(reason) = &verdict else {
        panic!("{verdict}\n{}", log(&followed.events));
    };
    assert_eq!(reason, "no-vmx");
}

#[test]
fn qemu_has_no_vmx() {
    no_vmx(Way::Direct);
}

#[test]
fn qemu_has_no_vmx_from_an_iso() {
    no_vmx(Way::Iso);
}

#[test]
fn qemu_has_no_vmx_through_uefi() {
    no_vmx(Way::IsoUefi);
}
