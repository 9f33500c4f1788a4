//! `cargo boot run --hold` and `cargo boot mce`: two terminals, one machine.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use boot::workspace::Workspace;

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
    _folder: tempfile::TempDir,
}

const NAME: &str = "held-by-a-test";

impl Held {
    fn start() -> Self {
        let missing = boot::setup::missing(&[boot::setup::Purpose::Bochs]);
        assert!(missing.is_empty(), "run `cargo boot setup`: {missing:?}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(format!("{NAME}.toml"));
        let root = Workspace::find().unwrap().root;
        std::fs::copy(root.join("tests/scenarios/broadcast-srao.toml"), &file).unwrap();
        let mut run = program()
            .args(["run", "--hold", file.to_str().unwrap()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines(run.stdout.take().unwrap());
        Self {
            run,
            lines,
            _folder: folder,
        }
    }

    /// Waits for a line with these words; what follows them.
    fn says(&self, words: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(240));
            let line = line.unwrap_or_else(|_| panic!("the machine never says {words:?}"));
            if let Some((_, after)) = line.split_once(words) {
                return after.to_owned();
            }
        }
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
        said.starts_with(&format!("sent to {NAME}: mce cpu=")),
        "{said}"
    );
    text(&output.stdout)
}

#[test]
fn an_error_from_another_terminal() {
    refused(&["--ce"], "no machine runs");
    let mut held = Held::start();
    let page = held.says("g0/0: page ");

    // What is wrong with the arguments is said before anything is sent.
    refused(&["--srao"], "where? `--at-guest GUEST:GPA`");
    refused(&["--srao", "--at-guest", "g1:0x1000"], "has no guest `g1`");
    refused(&["--srao", "--at-guest", "g0"], "GUEST:GPA, such as");
    refused(&["--ce", "--cpu", "2"], "its processors are 0 to 1");
    refused(
        &["0", "4", "0x9000000000000005", "0", "0", "0"],
        "its banks are 0 to 3",
    );
    refused(&["0", "1", "cf", "0", "0", "0"], "hexadecimal after 0x");

    // A shortcut, to the page that the guest names: it gets the record there.
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

    // The words of QEMU's monitor; events as JSON.
    let shown = raised(&[
        "--json",
        "1",
        "2",
        "0x9c0000000000009f",
        "0",
        "0x5000000",
        "0x8c",
    ]);
    let kinds: Vec<_> = shown
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|event| {
            (
                event["kind"].as_str().unwrap().to_owned(),
                event["cpu"].as_u64(),
            )
        })
        .collect();
    assert!(kinds.contains(&("mc.corrected".into(), Some(1))), "{shown}");

    // The machine refuses what only it can know to be wrong, and goes on.
    let output = mce(&["--srar", "--at-guest", "g0:0xffff0000000"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("fault refused: no-such-guest-memory"));

    // After a fatal one the machine boots again, and can be reached as before.
    let shown = raised(&["--fatal"]);
    assert!(shown.contains("fatal: bank; reset"), "{shown}");
    held.says("from before the reset: bank 1 (bus-interconnect)");
    held.says("g0/0: page ");
    assert!(raised(&["--ce"]).contains("corrected error 1 in bank 1"));

    // Ctrl-C is how a machine that is held ends.
    let pid = held.run.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(held.run.wait().unwrap().code(), Some(0));
    refused(&["--ce"], "no machine runs");
}
