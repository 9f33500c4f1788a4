//! `cargo boot run --hold` and `cargo boot mce`: two terminals, one machine.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use boot::workspace::Workspace;
use serde_json::Value;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_boot"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A machine that is held, under a name that no other test's machine has.
struct Held {
    run: Child,
    lines: Receiver<String>,
    folder: tempfile::TempDir,
}

const NAME: &str = "held-by-a-test";

/// A second guest, which shares processor 0 with the first one's vCPU 0.
const NEIGHBOUR: &str = r#"
[[guest]]
name = "g1"
image = "broadcast"
args = "hold=1"
"#;

impl Held {
    fn start() -> Self {
        let missing = boot::setup::missing(&[boot::setup::Purpose::Bochs]);
        assert!(missing.is_empty(), "run `cargo boot setup`: {missing:?}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(format!("{NAME}.toml"));
        let root = Workspace::find().unwrap().root;
        let one_guest = root.join("tests/scenarios/broadcast-srao.toml");
        let scenario = std::fs::read_to_string(one_guest).unwrap() + NEIGHBOUR;
        std::fs::write(&file, scenario).unwrap();
        let mut run = program()
            .args(["run", "--hold", file.to_str().unwrap()])
            .args(["--mcelog", folder.path().join("mcelog").to_str().unwrap()])
            .args(["--trace", folder.path().join("trace").to_str().unwrap()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines(run.stdout.take().unwrap());
        Self { run, lines, folder }
    }

    /// Waits for a line with these words; what follows them.
    fn says(&self, words: &str) -> String {
        let [after] = self.says_all([words]);
        after
    }

    /// Waits for a line with each of these words, in any order; what follows them.
    fn says_all<const N: usize>(&self, words: [&str; N]) -> [String; N] {
        let mut found = [const { None }; N];
        while found.contains(&None) {
            let line = self.lines.recv_timeout(Duration::from_secs(240));
            let line = line.unwrap_or_else(|_| panic!("the machine never says {words:?}"));
            for (words, found) in words.iter().zip(&mut found) {
                let after = line.split_once(words).map(|(_, after)| after.to_owned());
                *found = found.take().or(after);
            }
        }
        found.map(Option::unwrap)
    }
}

impl Held {
    /// Ctrl-C is how a machine that is held ends. What was asked for of it is there then.
    fn ends_by_ctrl_c(&mut self) {
        let pid = self.run.id().to_string();
        let kill = Command::new("kill").args(["-INT", &pid]).status();
        assert!(kill.unwrap().success());
        assert_eq!(self.run.wait().unwrap().code(), Some(0));
        let read = |name| std::fs::read(self.folder.path().join(name)).unwrap();
        let mcelog = read("mcelog");
        let word =
            |record: &[u8], at: usize| u64::from_le_bytes(record[at..at + 8].try_into().unwrap());
        let records = mcelog.chunks(128);
        let records: Vec<_> = records.map(|it| (word(it, 0), word(it, 40))).collect();
        assert_eq!(records[0].0, 0xbd00_0000_0000_00cf);
        let fatal: Vec<_> = records
            .iter()
            .filter(|it| it.0 == 0xb200_0000_0000_0e0f)
            .collect();
        // Before the reset and after, when nobody knows any more when it came.
        assert!(matches!(fatal[..], [(_, 1..), (_, 0)]), "{fatal:x?}");
        let trace: Value = serde_json::from_slice(&read("trace")).unwrap();
        assert!(trace["traceEvents"].as_array().unwrap().len() > 100);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.run.kill();
    }
}

fn lines(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

fn mce(arguments: &[&str]) -> Output {
    program()
        .args(["mce", "--machine", NAME])
        .args(arguments)
        .output()
        .unwrap()
}

fn refused(arguments: &[&str], words: &str) {
    let output = mce(arguments);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    assert!(said.contains(words), "{arguments:?}: {said}");
}

/// Sends an error that is raised; what is shown of it.
fn raised(arguments: &[&str]) -> String {
    let output = mce(arguments);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
    assert!(
        said.starts_with(&format!("sent to {NAME}: ")) && said.contains("mce cpu="),
        "{said}"
    );
    text(&output.stdout)
}

/// What the engine does with an error: its events.
struct Events(Vec<Value>);

impl Events {
    /// Sends an error that is raised.
    fn of(arguments: &[&str]) -> Self {
        let shown = raised(&[arguments, &["--json"]].concat());
        let events = shown
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        Self(events.collect())
    }

    /// The first event of that kind with those values, `key=value` as the log has them.
    fn find(&self, kind: &str, values: &str) -> &Value {
        let has = |event: &&Value| {
            event["kind"] == kind
                && values.split_whitespace().all(|pair| {
                    let (key, wanted) = pair.split_once('=').unwrap();
                    written(&event[key]) == wanted
                })
        };
        let found = self.0.iter().find(has);
        found.unwrap_or_else(|| panic!("no {kind} {values} in {:#?}", self.0))
    }

    fn has(&self, kind: &str, values: &str) {
        self.find(kind, values);
    }

    fn has_no(&self, kind: &str) {
        let found = self.0.iter().find(|event| event["kind"] == kind);
        assert_eq!(found, None);
    }
}

fn written(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[test]
fn errors_from_another_terminal() {
    refused(&["--ce"], "no machine runs");
    let mut held = Held::start();
    let [page, page_of_g1] = held.says_all(["g0/0: page ", "g1/0: page "]);

    // What is wrong with the arguments is said before anything is sent.
    refused(&["--srao"], "where? `--at-guest GUEST:GPA`");
    refused(&["--srao", "--at-guest", "g2:0x1000"], "has no guest `g2`");
    refused(&["--srao", "--at-guest", "g0"], "GUEST:GPA, such as");
    refused(&["--ce", "--cpu", "2"], "its processors are 0 to 1");
    refused(
        &["0", "4", "0x9000000000000005", "0", "0", "0"],
        "its banks are 0 to 3",
    );
    refused(&["0", "1", "cf", "0", "0", "0"], "hexadecimal after 0x");

    // A shortcut, to the page that the guest names: it gets the record there. In words:
    let shown = raised(&["--srao", "--at-guest", &format!("g0:{page}")]);
    for words in [
        "rendezvous: 2 of 2 processors".to_owned(),
        format!("vMCE to g0 vCPU 0, RIPV|MCIP: record at {page}"),
        "vMCE to g0 vCPU 1, RIPV|MCIP: clean bank".to_owned(),
        format!("g0/0: mc vcpu=0 bank=1 status=0xbd000000000000cf addr={page} misc=0x8c"),
    ] {
        assert!(shown.contains(&words), "{words}:\n{shown}");
    }
    // The machine's own terminal shows the same, and the guest goes on.
    held.says("vMCE to g0 vCPU 0");
    let next = held.says("g0/0: page ");
    assert_ne!(next, page);

    srar(&next);
    let page = held.says("g0/0: page ");
    let page = met_by_its_guest(&held, [page, page_of_g1]);
    corrected();
    words_of_the_monitor();
    free_page();

    // The machine refuses what only it can know to be wrong, and goes on.
    let output = mce(&["--srar", "--at-guest", "g0:0xffff0000000"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("fault refused: no-such-guest-memory"));

    // The guest is as it was: it takes the next one.
    let events = Events::of(&["--srao", "--at-guest", &format!("g0:{page}"), "--bank", "3"]);
    events.has("vmce.injected", &format!("vcpu=0 addr={page}"));
    held.says("g0/0: page ");

    // After a fatal one the machine boots again, and can be reached as before.
    let events = Events::of(&["--fatal", "--cpu", "1"]);
    let status = "status=0xb200000000000e0f";
    events.has(
        "fault.raised",
        &format!("target=1 bank=1 mcg_status=0x4 {status}"),
    );
    events.has("mc.bank", &format!("cpu=1 bank=1 class=fatal {status}"));
    events.has("mc.fatal", "reason=bank");
    events.has_no("mc.resumed");
    held.says("from before the reset: bank 1 (bus-interconnect), status 0xb200000000000e0f");
    held.says("g0/0: page ");
    assert!(raised(&["--ce"]).contains("corrected error 1 in bank 1"));

    held.ends_by_ctrl_c();
    refused(&["--ce"], "no machine runs");
}

/// One that requires action, met on processor 1, where the guest's vCPU 1 runs.
fn srar(page: &str) {
    let place = format!("g0:{page}");
    let events = Events::of(&["--srar", "--at-guest", &place, "--cpu", "1", "--bank", "2"]);
    const STATUS: &str = "status=0xbd80000000000134 misc=0x8c";
    events.has(
        "fault.raised",
        &format!("target=1 bank=2 mcg_status=0x7 {STATUS}"),
    );
    events.has("mc.entered", "cpu=0 context=guest vcpu=0 mcg_status=0x5");
    events.has("mc.entered", "cpu=1 context=guest vcpu=1 mcg_status=0x7");
    events.has(
        "mc.bank",
        &format!("cpu=1 bank=2 class=srar code=data-load {STATUS}"),
    );
    events.has("mc.worst", "class=srar owner=1");
    events.has(
        "page.retired",
        &format!("owner=guest guest=0 gpa={page} pages=1"),
    );
    let record = format!("vcpu=1 mcg_status=0x7 record=yes addr={page} {STATUS}");
    events.has("vmce.injected", &record);
    events.has("vmce.injected", "vcpu=0 mcg_status=0x5 record=no");
    events.has("vmce.handled", "vcpu=0");
    events.has("vmce.handled", "vcpu=1");
}

/// Ones that require action, on the processor that two guests take turns on: the vCPU that meets the error is the guest's that is named.
fn met_by_its_guest(held: &Held, mut pages: [String; 2]) -> String {
    for turn in 0..4 {
        let guest = turn % 2;
        let page = &mut pages[guest];
        let place = format!("g{guest}:{page}");
        let events = Events::of(&["--srar", "--at-guest", &place]);
        let met = format!("cpu=0 context=guest guest={guest} vcpu=0 mcg_status=0x7");
        events.has("mc.entered", &met);
        let record = format!("guest={guest} vcpu=0 mcg_status=0x7 record=yes addr={page}");
        events.has("vmce.injected", &record);
        events.has_no("guest.stopped");
        // What time it is comes before this terminal was there.
        assert!(events.0.iter().all(|event| event["time"].is_string()));
        *page = held.says(&format!("g{guest}/0: page "));
    }
    // Processor 1 runs no vCPU of g1.
    let place = format!("g1:{}", pages[1]);
    let output = mce(&["--srar", "--at-guest", &place, "--cpu", "1"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("fault refused: no-consumer"));
    assert!(text(&output.stderr).contains("no vCPU of g1 runs on processor 1"));
    let [page, _] = pages;
    page
}

/// Corrected ones, of a page as its guest counts, of the same as the host counts, and without an address.
fn corrected() {
    const AT_GUEST: [&str; 5] = ["--ce", "--at-guest", "g0:0x600000", "--cpu", "1"];
    let events = Events::of(&AT_GUEST);
    const STATUS: &str = "bank=1 status=0x9c0000000000009f misc=0x8c";
    let raised = events.find("fault.raised", &format!("target=1 mcg_status=0x0 {STATUS}"));
    let addr = written(&raised["addr"]);
    let same = format!("cpu=1 code=memory-read addr={addr} {STATUS}");
    events.has("mc.corrected", &format!("count=1 {same}"));
    events.has_no("mc.entered");
    let events = Events::of(&["--ce", "--at", &addr, "--cpu", "1"]);
    events.has("mc.corrected", &format!("count=2 {same}"));
    let events = Events::of(&["--ce", "--bank", "0"]);
    let without = "cpu=0 bank=0 status=0x900000000000009f addr=0x0 misc=0x0 count=1";
    events.has("mc.corrected", without);
    events.has_no("vmce.posted");
}

/// The words of QEMU's monitor command: for one processor, which a poll finds; for all of them.
fn words_of_the_monitor() {
    let status = "status=0x9c0000000000009f";
    let events = Events::of(&["1", "2", &status[7..], "0", "0x5000000", "0x8c"]);
    events.has(
        "mc.corrected",
        &format!("cpu=1 bank=2 {status} addr=0x5000000 misc=0x8c count=1"),
    );
    let status = "status=0xbc0000000000009f";
    let words = ["1", "2", &status[7..], "5", "0x5001000", "0x8c", "-b"];
    let events = Events::of(&words);
    events.has("mc.rendezvous", "expected=2 arrived=2");
    events.has(
        "mc.bank",
        &format!("cpu=1 bank=2 class=ucna {status} addr=0x5001000 misc=0x8c"),
    );
    events.has("mc.worst", "class=ucna owner=1");
    events.has("mc.resumed", "cpu=0");
    events.has("mc.resumed", "cpu=1");
    events.has_no("vmce.posted");
}

/// Memory that nobody has.
fn free_page() {
    let events = Events::of(&["--srao", "--at", "0x5002000"]);
    events.has("mc.hit", "owner=free hpa=0x5002000 pages=1");
    events.has("page.retired", "owner=free hpa=0x5002000 pages=1");
    events.has_no("vmce.posted");
}
