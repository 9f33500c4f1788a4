//! Real runs as traces and as pictures: rows, spans, and how they lie in each other.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use boot::workspace::Workspace;
use serde_json::Value;

/// A span of a row, in ticks.
#[derive(Clone, Debug, PartialEq)]
struct Span {
    name: String,
    start: u64,
    end: u64,
}

/// A trace as a viewer sees it: rows by process and thread.
struct Trace {
    names: BTreeMap<(u64, u64), String>,
    processes: BTreeMap<u64, String>,
    spans: BTreeMap<(u64, u64), Vec<Span>>,
    /// Time and kind.
    marks: Vec<(u64, String)>,
}

/// The format has microseconds, and a tick is a nanosecond there.
fn ticks(value: &Value) -> u64 {
    (value.as_f64().unwrap() * 1000.0).round() as u64
}

impl Trace {
    /// Reads it, and sees that each event is one of the format, of a row that has its name.
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let whole: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(whole["displayTimeUnit"], "ns");
        let mut trace = Self {
            names: BTreeMap::new(),
            processes: BTreeMap::new(),
            spans: BTreeMap::new(),
            marks: Vec::new(),
        };
        for event in whole["traceEvents"].as_array().unwrap() {
            let row = (
                event["pid"].as_u64().unwrap(),
                event["tid"].as_u64().unwrap(),
            );
            let name = event["name"].as_str().unwrap().to_owned();
            let named = || event["args"]["name"].as_str().unwrap().to_owned();
            match (event["ph"].as_str().unwrap(), name.as_str()) {
                ("M", "process_name") => _ = trace.processes.insert(row.0, named()),
                ("M", "thread_name") => _ = trace.names.insert(row, named()),
                ("X", _) => {
                    let (start, long) = (ticks(&event["ts"]), ticks(&event["dur"]));
                    assert_eq!(event["args"]["ticks"].as_u64(), Some(long), "{event}");
                    assert!(long > 0, "{event}");
                    let end = start + long;
                    let spans = trace.spans.entry(row).or_default();
                    spans.push(Span { name, start, end });
                }
                ("i", _) => {
                    assert_eq!(event["s"], "t");
                    trace.marks.push((ticks(&event["ts"]), name));
                }
                _ => panic!("{event}"),
            }
            assert!(trace.names.contains_key(&row) || event["ph"] == "M");
        }
        trace.nests();
        trace
    }

    /// In a row each span lies whole in another one, or beside it: what a viewer can draw.
    fn nests(&self) {
        for (row, spans) in &self.spans {
            let mut open: Vec<&Span> = Vec::new();
            for span in spans {
                open.retain(|outer| outer.end > span.start);
                if let Some(outer) = open.last() {
                    assert!(
                        outer.start <= span.start && span.end <= outer.end,
                        "{row:?}: {span:?} in {outer:?}"
                    );
                }
                open.push(span);
            }
        }
    }

    /// The only span of that name in a row.
    fn one(&self, row: (u64, u64), name: &str) -> &Span {
        let spans = &self.spans[&row];
        let mut found = spans.iter().filter(|span| span.name == name);
        match (found.next(), found.next()) {
            (Some(span), None) => span,
            _ => panic!("{name} in {row:?}: {spans:?}"),
        }
    }

    fn mark(&self, kind: &str) -> u64 {
        let mut found = self.marks.iter().filter(|(_, name)| name == kind);
        found.next().unwrap_or_else(|| panic!("no {kind}")).0
    }
}

/// A run of one machine check that is broadcast to a guest with a vCPU on each of `processors`; `owner` recovers.
fn is_one_broadcast(trace: &Trace, processors: u64, owner: u64) {
    const GUEST: u64 = 2;
    let mut names: Vec<_> = (0..processors).map(|cpu| format!("cpu{cpu}")).collect();
    names.push("g0".into());
    names.extend((0..processors).map(|vcpu| format!("g0 vCPU {vcpu}")));
    assert_eq!(trace.names.values().cloned().collect::<Vec<_>>(), names);
    let processes: Vec<_> = trace.processes.values().collect();
    assert_eq!(processes, ["processors", "g0"]);
    assert!(trace.marks.is_sorted_by_key(|(at, _)| *at));

    let guest = trace.one((GUEST, 0), "g0");
    let (met, chosen) = (trace.mark("mc.rendezvous"), trace.mark("mc.worst"));
    for cpu in 0..processors {
        let row = (1, cpu);
        let recovery = if cpu == owner { "recovery" } else { "wait" };
        let order: Vec<_> = trace.spans[&row].iter().map(|span| &span.name).collect();
        assert_eq!(
            order,
            ["#MC", "gate", "rounds", recovery, "leave", "inject"],
            "cpu{cpu}"
        );
        // One step begins where the one before ends, the first with the #MC, the last but one with its end.
        let whole = trace.one(row, "#MC");
        let mut at = whole.start;
        for name in ["gate", "rounds", recovery, "leave"] {
            let span = trace.one(row, name);
            assert_eq!(span.start, at, "cpu{cpu}: {name}");
            at = span.end;
        }
        assert_eq!(at, whole.end);
        // The barriers are everybody's.
        assert_eq!(trace.one(row, "gate").end, met);
        assert_eq!(trace.one(row, recovery).start, chosen);
        let inject = trace.one(row, "inject");
        assert_eq!(inject.start, whole.end);

        // Its vCPU stands still from the error to its handler.
        let row = (GUEST, 1 + cpu);
        let order: Vec<_> = trace.spans[&row].iter().map(|span| &span.name).collect();
        assert_eq!(order, ["held", "handler"], "vCPU {cpu}");
        let (held, handler) = (trace.one(row, "held"), trace.one(row, "handler"));
        assert_eq!((held.start, held.end), (whole.start, inject.end));
        assert_eq!(handler.start, held.end);
        assert!(guest.start < held.start && handler.end < guest.end);
    }
    assert!(trace.mark("fault.raised") < met && chosen < trace.mark("mc.resumed"));
}

/// Runs a scenario as a user does.
fn run(arguments: &[&str]) {
    let missing = boot::setup::missing(&[boot::setup::Purpose::Bochs]);
    assert!(missing.is_empty(), "run `cargo boot setup`: {missing:?}");
    let output = Command::new(env!("CARGO_BIN_EXE_boot"))
        .arg("run")
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
}

/// The picture in the README is that of the scenario, but for the numbers of instructions; the trace is one, and the records are
/// those of the machine. `cargo boot run broadcast-srao --svg docs/broadcast-srao.svg` draws it anew.
#[test]
fn a_run_as_a_trace_a_picture_and_records() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (trace, svg, mcelog) = (file("trace.json"), file("run.svg"), file("mcelog"));
    let arguments = ["--trace", &trace, "--svg", &svg, "--mcelog", &mcelog];
    run(&[&["broadcast-srao"], &arguments[..]].concat());

    let picture = Workspace::find()
        .unwrap()
        .root
        .join("docs/broadcast-srao.svg");
    let shape = |path: &Path| boot::story::shape(&std::fs::read_to_string(path).unwrap());
    let (is, shown) = (shape(Path::new(&svg)), shape(&picture));
    assert!(is.iter().any(|part| part == "span recovery"), "{is:?}");
    assert_eq!(is, shown, "docs/broadcast-srao.svg is of another time");

    is_one_broadcast(&Trace::read(Path::new(&trace)), 2, 0);

    // One error. Microcode and PPIN are what the emulated processor has (boot/src/emulator/machine_check_msrs.rs).
    let record = std::fs::read(mcelog).unwrap();
    assert_eq!(record.len(), 128);
    let word = |at: usize| u64::from_le_bytes(record[at..at + 8].try_into().unwrap());
    assert_eq!((word(0), word(8)), (0xbd00_0000_0000_00cf, 0x8c));
    assert_eq!(word(24), 5, "MCG_STATUS");
    assert_eq!(word(80), 0x100_0c04, "MCG_CAP");
    assert_eq!(word(104), 0x1234_5678_9abc_def0, "PPIN");
    assert_eq!(word(112), 0x0200_6e05, "microcode");
}

#[test]
fn four_processors_and_an_error_that_requires_action() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("four.toml");
    let text = r#"title = "Four"
[machine]
processors = 4
[[guest]]
name = "g0"
image = "broadcast"
vcpus = 4
[[fault]]
after = { console = '^page (?<gpa>0x[0-9a-f]+)$', guest = "g0" }
processor = 2
bank = 1
status = 0xbd80000000000134
mcg_status = 7
guest_physical = "$gpa"
guest = "g0"
misc = 0x8c
broadcast = true
[exit]
g0 = 0
"#;
    std::fs::write(&scenario, text).unwrap();
    let trace = folder.path().join("trace.json");
    run(&[
        scenario.to_str().unwrap(),
        "--trace",
        trace.to_str().unwrap(),
    ]);
    is_one_broadcast(&Trace::read(&trace), 4, 2);
}

/// Two local machine checks at once: processor 0 waits for its turn while 1 takes a whole range of free memory out of use.
#[test]
fn local_ones_at_once_are_each_processors_own() {
    const TEXT: &str = r#"title = "Two local machine checks at once"
[machine]
processors = 2
mcg_cap = 0x9000c04
[[guest]]
name = "g0"
image = "neighbour"
interface = "vmce@3+LMCE"
args = "local=1 errors=1 ticks=4000000"
[[fault]]
at = 12000000
processor = 1
bank = 1
status = 0xbd000000000000cf
mcg_status = 0xd
host_physical = 0x2000000
misc = 0x93
[[fault]]
at = 12000000
processor = 0
bank = 1
status = 0xbd80000000000134
mcg_status = 0xf
guest_physical = 0x600000
guest = "g0"
misc = 0x8c
[exit]
g0 = 0
"#;
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("local.toml");
    std::fs::write(&scenario, TEXT).unwrap();
    let trace = folder.path().join("trace.json");
    let [scenario, file] = [&scenario, &trace].map(|path| path.to_str().unwrap());
    run(&[scenario, "--trace", file]);
    let trace = Trace::read(&trace);
    let order = |cpu| -> Vec<_> {
        let spans = trace.spans[&(1, cpu)].iter();
        spans.map(|span| span.name.as_str()).collect()
    };
    assert_eq!(order(1), ["#MC", "rounds", "recovery", "leave"]);
    assert_eq!(
        order(0),
        ["#MC", "wait", "rounds", "recovery", "leave", "inject"]
    );
    let (first, second) = (trace.one((1, 1), "#MC"), trace.one((1, 0), "#MC"));
    assert!(first.start < second.start && second.start < first.end && first.end < second.end);
    assert_eq!(trace.one((1, 0), "wait").end, first.end);
}

/// A fatal one, and the boot after it: whoever stood still did so until then, and the guest of each boot has its span.
#[test]
fn a_fatal_one_ends_with_the_next_boot() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trace.json");
    run(&["fatal-reset", "--trace", file.to_str().unwrap()]);
    let trace = Trace::read(&file);
    let boots: Vec<_> = trace
        .marks
        .iter()
        .filter(|(_, kind)| kind == "hypervisor.boot")
        .collect();
    let [_, (again, _)] = boots[..] else {
        panic!("{boots:?}");
    };
    for cpu in 0..2 {
        let fatal = trace.one((1, cpu), "fatal");
        assert_eq!((fatal.start, fatal.end), (trace.mark("mc.fatal"), *again));
        let order: Vec<_> = trace.spans[&(1, cpu)]
            .iter()
            .map(|span| span.name.as_str())
            .collect();
        assert_eq!(
            order[..5],
            ["#MC", "gate", "rounds", "fatal", "#MC"],
            "cpu{cpu}"
        );
    }
    let guests: Vec<_> = trace.spans[&(2, 0)]
        .iter()
        .map(|span| (span.start, span.end))
        .collect();
    let [(_, first), (second, _)] = guests[..] else {
        panic!("{guests:?}");
    };
    assert!(first < *again && *again < second);
}
