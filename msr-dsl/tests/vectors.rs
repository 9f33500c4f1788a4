//! Conformance vectors see each clause of a spec: another clause gives another answer to some line.

mod common;

use common::msr;
use std::path::{Path, PathBuf};

const SPEC: &str = r#"interface! {
    interface demo {
        vendor intel;
        version 1 "the first";
        capability CAP;
        banks { count CAP.COUNT; limit 8; stored 2; beyond fault; }
    }
    register CAP @ 0x179 {
        reset 2;
        write ignore;
        migrate saved 1;
        restore accepts COUNT;
        [7:0] COUNT: u8;
    }
    register GLOBAL @ 0x17a {
        write store;
        migrate saved 2;
        [0] RIPV: bool;
        [1] EIPV: bool;
        [2] MCIP: bool;
        reserved fault_if_set;
    }
    bank register STATUS @ 0x401 + 4 * i { legal zero else fault; write store; migrate saved 3; }
    bank register ADDR @ 0x402 + 4 * i { write store; migrate saved 4; }
    bank register MISC @ 0x403 + 4 * i { write store; migrate saved 5; }
    bank register CTL @ 0x400 + 4 * i {
        legal zero, all_ones, all_ones less [0] [10] else fault;
        reset all_ones;
        init reset;
        write store;
        migrate saved 6;
    }
    register RATE @ 0x500 {
        reset 0x12;
        init keep;
        write store;
        reserved fault_if_set;
        migrate saved 7;
        restore accepts all;
        waive W004 "for this test";
        [15:0] STEPS: u16 { legal 0, 16..=4096 else fault; write locked LOCK; }
        [17:16] MODE: enum { OFF = 0, ONE = 1, TWO = 2 };
        [20] STAYS: bool { write sticky; }
        [21] CLEARS: bool { write one_clears; }
        [24] LOCK: bool { write sticky; }
    }
    injection {
        deliver broadcast;
        bank 1;
        global GLOBAL sets RIPV | EIPV | MCIP;
        status STATUS sets all less [31:16];
        address ADDR sets all;
        misc MISC sets all;
    }
}
"#;

/// A clause, and another in its place.
const CHANGES: &[(&str, &str)] = &[
    ("0, 16..=4096 else", "0, 15..=4096 else"),
    ("0, 16..=4096 else", "0, 17..=4096 else"),
    ("0, 16..=4096 else", "0, 16..=4095 else"),
    ("0, 16..=4096 else", "0, 16..=4097 else"),
    ("0, 16..=4096 else", "16..=4096 else"),
    ("16..=4096 else fault", "16..=4096 else keep"),
    (", TWO = 2", ""),
    (", TWO = 2", ", TWO = 2, THREE = 3"),
    ("write locked LOCK", "write store"),
    ("init reset", "init keep"),
    ("init keep", "init reset"),
    ("less [0] [10]", "less [0] [10] [11]"),
    ("less [0] [10]", "less [10]"),
    ("all less [31:16]", "all less [31:17]"),
    ("address ADDR sets all", "address ADDR sets all less [0]"),
    ("bank 1;", "bank 0;"),
    ("reset 0x12", "reset 0x20"),
    ("restore accepts all", "restore accepts all less [63]"),
    ("[20] STAYS: bool { write sticky; }", "[20] STAYS: bool;"),
    ("write one_clears", "write zero_clears"),
    (
        "reserved fault_if_set;\n        migrate saved 7",
        "reserved ignore;\n        migrate saved 7",
    ),
    ("beyond fault", "beyond zero"),
    ("stored 2", "stored 3"),
    ("saved 7", "saved 8"),
];

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("vectors")
        .join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn said(arguments: &[&str], input: &str) -> String {
    let output = msr(arguments, input);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The lines and what each is answered.
fn vectors(folder: &Path) -> (String, Vec<String>) {
    let spec = folder.join("demo.msr");
    let text = said(&["vectors", &spec.to_string_lossy()], "");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let split = lines.map(|line| line.split_once(" # ").map_or((line, ""), |both| both));
    let (asked, answered): (Vec<&str>, Vec<&str>) = split.unzip();
    let answered = answered.into_iter().filter(|answer| !answer.is_empty());
    (
        asked.join("\n") + "\n",
        answered.map(str::to_owned).collect(),
    )
}

#[test]
fn a_changed_clause_changes_an_answer() {
    let right = folder("right");
    std::fs::write(right.join("demo.msr"), SPEC).expect("the spec");
    let (asked, answered) = vectors(&right);
    let answers = |folder: &Path| -> Vec<String> {
        let spec = folder.join("demo.msr");
        let text = said(&["sim", &spec.to_string_lossy()], &asked);
        text.lines().map(str::to_owned).collect()
    };
    assert_eq!(
        answers(&right),
        answered,
        "the vectors are what sim answers"
    );
    let other = folder("other");
    for (from, to) in CHANGES {
        let changed = SPEC.replacen(from, to, 1);
        assert_ne!(changed, SPEC, "{from}");
        std::fs::write(other.join("demo.msr"), changed).expect("the spec");
        assert_ne!(answers(&other), answered, "{from} → {to} is not seen");
    }
}
