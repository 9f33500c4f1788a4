//! The program with a machine: what it prints, where, and how it ends.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use boot::emulator::{self, Kind, Way};
use boot::run::payload;
use boot::scenario::Scenario;
use boot::workspace::Workspace;

/// The program. Nothing is installed by a test: without the emulator it would.
fn program() -> Command {
    let missing = boot::setup::missing(&boot::setup::Purpose::ALL);
    assert!(missing.is_empty(), "run `cargo boot setup`: {missing:?}");
    Command::new(env!("CARGO_BIN_EXE_boot"))
}

fn boot(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn json_is_one_event_per_line() {
    let started = Instant::now();
    let output = boot(&["--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let mut last = String::new();
    let lines = text(&output.stdout);
    let mut times = Vec::new();
    let mut kinds = Vec::new();
    for line in lines.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        times.push(event["t"].as_u64().expect("a time"));
        assert!(event["cpu"].is_u64(), "{line}");
        last = event["time"].as_str().unwrap_or_default().to_owned();
        kinds.push(event["kind"].as_str().expect("a kind").to_owned());
        if event["kind"] == "vmce.injected" {
            assert_eq!(event["guest"], 0);
            assert!(event["vcpu"].is_u64());
            assert_eq!(event["mcg_status"], "0x5", "{line}");
        }
    }
    // By the machine's own clock, which an emulator sets to ours.
    let started = started.elapsed() + Duration::from_secs(5);
    let when = humantime::parse_rfc3339(&last).expect("a time of day");
    let ago = when.elapsed().unwrap_or_else(|ahead| ahead.duration());
    assert!(ago < started, "{last} is {ago:?} from now");
    assert!(times.is_sorted(), "events are shown in the order of time");
    for kind in [
        "hypervisor.up",
        "guest.up",
        "mc.entered",
        "vmce.injected",
        "machine.off",
    ] {
        assert!(kinds.iter().any(|one| one == kind), "{kind} is missing");
    }
    assert!(text(&output.stderr).contains("expectations met"));
}

#[test]
fn the_timeline_is_plain_in_a_pipe() {
    let output = boot(&["run", "broadcast-srao"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(!shown.contains('\u{1b}'));
    for words in [
        "hypervisor up: version",
        "g0 up: 2 vCPUs",
        "vMCE to g0 vCPU 1, RIPV|MCIP: clean bank",
        "machine off",
    ] {
        assert!(shown.contains(words), "{words} is missing in\n{shown}");
    }
}

#[test]
fn an_expectation_that_is_not_met_is_status_1_and_named() {
    let path = Workspace::find()
        .unwrap()
        .root
        .join("tests/scenarios/broadcast-srao.toml");
    let good = std::fs::read_to_string(path).unwrap();
    let bad = good.replacen("g0 = 0\n", "g0 = 7\n", 1);
    assert_ne!(good, bad);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seven.toml");
    std::fs::write(&file, bad).unwrap();
    let output = boot(&["run", file.to_str().unwrap()]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("not met: guest g0 of seven shuts down with code 7"),
        "{said}"
    );
}

#[test]
fn a_machine_without_vmx_is_status_1_and_said() {
    let output = boot(&["--on", "qemu"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("cannot run on this machine: its processor has no Intel VMX"),
        "{said}"
    );
}

#[test]
fn a_boot_that_takes_too_long_is_status_1_with_the_last_lines() {
    let output = boot(&["--timeout", "0.5", "--iso"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("no end after 0.5 s") && said.contains("--timeout"),
        "{said}"
    );
}

/// Something else runs the machine: its log is recorded, and read afterwards.
#[test]
fn watch_reads_a_recorded_log() {
    let workspace = Workspace::find().unwrap();
    let artifacts = workspace.build().unwrap_or_else(|error| panic!("{error}"));
    let scenario = Scenario::named(&workspace.root, "reserved-writes").unwrap();
    let work = tempfile::tempdir().unwrap();
    let payload = payload(&scenario, &artifacts).unwrap();
    let mut machine = emulator::start(
        Kind::Bochs,
        &scenario.machine,
        &payload,
        Way::Direct,
        work.path(),
    )
    .unwrap_or_else(|error| panic!("{error}"));
    const CORRECTED: u64 = 0x9000_0000_0000_009f;
    writeln!(
        machine.commands,
        "mce cpu=0 bank=1 status={CORRECTED:#x} mcg_status=0 addr=0 misc=0"
    )
    .unwrap();
    let mut log = Vec::new();
    // Bochs ends by itself when the hypervisor switches the machine off.
    machine.log.read_to_end(&mut log).unwrap();

    let file = work.path().join("log");
    std::fs::write(&file, &log).unwrap();
    let image = artifacts.kernel.to_str().unwrap();
    let output = boot(&["watch", "--image", image, file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("guest 0/0: rdmsr 0x179 -> 0x0000000001000c02"));

    // The same through a pipe, and from a Unix socket.
    let piped = program()
        .args(["watch", "--image", image, "-"])
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    assert_eq!(piped.status.code(), Some(0), "{}", text(&piped.stderr));
    assert_eq!(piped.stdout, output.stdout);
    let socket = work.path().join("socket");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let sender = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // The watcher goes away when the machine is off.
        let _ = std::io::Write::write_all(&mut stream, &log);
    });
    let from_socket = boot(&["watch", "--image", image, socket.to_str().unwrap()]);
    sender.join().unwrap();
    assert_eq!(from_socket.status.code(), Some(0));
    assert_eq!(from_socket.stdout, output.stdout);

    // Error records are added to a file as they come. The log has one, as a poll finds it.
    let records = work.path().join("mcelog");
    std::fs::write(&records, [7; 128]).unwrap();
    let arguments = ["--mcelog", records.to_str().unwrap()];
    let watched = [&["watch", "--image", image], &arguments[..], &["-"]].concat();
    let piped = program()
        .args(&watched)
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    assert_eq!(piped.status.code(), Some(0), "{}", text(&piped.stderr));
    let bytes = std::fs::read(&records).unwrap();
    assert_eq!((bytes.len(), bytes[0]), (256, 7), "what was there stays");
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    assert_eq!((word(128), word(128 + 112)), (CORRECTED, 0x0200_6e05));

    // The log of another image, or of none, is no log.
    std::fs::write(&file, b"no log at all").unwrap();
    let output = boot(&["watch", "--image", image, file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("ended without a log"));
    let empty = boot(&["watch", "--image", image, "-"]);
    assert_eq!(empty.status.code(), Some(1));
    assert!(text(&empty.stderr).contains("standard input ended without a log"));
}

/// A machine that cannot run the hypervisor: the answer is no, watched or not.
#[test]
fn watch_says_no_where_the_machine_cannot_run() {
    let workspace = Workspace::find().unwrap();
    let artifacts = workspace.build().unwrap_or_else(|error| panic!("{error}"));
    let scenario = Scenario::named(&workspace.root, "reserved-writes").unwrap();
    let work = tempfile::tempdir().unwrap();
    let payload = payload(&scenario, &artifacts).unwrap();
    let mut machine = emulator::start(
        Kind::Qemu,
        &scenario.machine,
        &payload,
        Way::Direct,
        work.path(),
    )
    .unwrap_or_else(|error| panic!("{error}"));
    let mut watcher = program()
        .args(["watch", "--image", artifacts.kernel.to_str().unwrap(), "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = watcher.stdin.take().unwrap();
    let mut log = std::mem::replace(&mut machine.log, Box::new(std::io::empty()));
    // Ends when the watcher has heard enough and goes away, or the machine.
    let copying = std::thread::spawn(move || _ = std::io::copy(&mut log, &mut pipe));
    let output = watcher.wait_with_output().unwrap();
    machine.kill();
    copying.join().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("cannot run the hypervisor"));
}

/// Processes whose current folder is below this one.
fn processes_in(folder: &Path) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| std::fs::read_link(process.path().join("cwd")).ok())
        .filter(|cwd| cwd.starts_with(folder))
        .count()
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < end, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Starts a run, sends a signal once the emulator runs, and gives what became of the run. No emulator is left behind.
fn ended_by(signal: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let run = program()
        .args(["run", "bench", "--iso"])
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the emulator's start", || processes_in(folder.path()) > 0);
    let pid = run.id().to_string();
    assert!(
        Command::new("kill")
            .args([signal, &pid])
            .status()
            .unwrap()
            .success()
    );
    let output = run.wait_with_output().unwrap();
    wait_until("the emulator's end", || processes_in(folder.path()) == 0);
    output
}

#[test]
fn ctrl_c_ends_the_run_and_the_emulator() {
    let output = ended_by("-INT");
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(text(&output.stderr), "interrupted\n");
}

/// In a terminal: what was being drawn is gone, and one line says what happened.
#[test]
fn ctrl_c_leaves_a_tidy_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let _ = program();
    // `script` gives the run a terminal, and what is written to its own input is typed there.
    let command = format!("{} run bench --iso", env!("CARGO_BIN_EXE_boot"));
    let mut terminal = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .env("TMPDIR", folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut shown = terminal.stdout.take().unwrap();
    let mut keys = terminal.stdin.take().unwrap();
    // Firmware and GRUB say nothing for so long that a spinner shows.
    let mut seen = Vec::new();
    while !text(&seen).contains("running bench") {
        let mut byte = [0; 1];
        assert_eq!(shown.read(&mut byte).unwrap(), 1, "{}", text(&seen));
        seen.extend(byte.iter().filter(|byte| byte.is_ascii()));
    }
    keys.write_all(b"\x03").unwrap();
    shown.read_to_end(&mut seen).unwrap();
    let status = terminal.wait().unwrap().code();
    assert_eq!(status, Some(130), "{}", text(&seen));
    let seen = String::from_utf8_lossy(&seen);
    let (_, last) = seen.rsplit_once('\r').unwrap().0.rsplit_once('\r').unwrap();
    assert_eq!(last, "\u{1b}[2Kinterrupted", "{seen:?}");
    wait_until("the emulator's end", || processes_in(folder.path()) == 0);
}

#[test]
fn an_emulator_does_not_outlive_a_run_that_was_killed() {
    assert_eq!(ended_by("-KILL").status.code(), None);
}

/// Where /dev/kvm is missing or has no VMX, that is said; nothing is booted.
#[test]
fn kvm_that_is_not_there_is_said() {
    let output = boot(&["--on", "kvm"]);
    let said = text(&output.stderr);
    match output.status.code() {
        Some(2) => assert!(said.contains("/dev/kvm") || said.contains("VMX"), "{said}"),
        // A machine with nested VMX: the run has its answer.
        status => assert!(matches!(status, Some(0 | 1)), "{said}"),
    }
}
