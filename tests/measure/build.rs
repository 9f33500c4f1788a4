//! Writes specs of 10, 100 and 1000 registers, for the macro to compile.

use std::fmt::Write;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    for registers in [10, 100, 1000] {
        let path = Path::new(&out).join(format!("registers-{registers}.msr"));
        std::fs::write(&path, spec(registers)).expect("a file in OUT_DIR");
    }
}

/// Plain registers, each with a rule for its lower bits, one behind the other.
fn spec(registers: usize) -> String {
    let mut text = format!(
        "interface! {{\n    /// Many registers.\n    interface many{registers} {{ vendor any; version 1 \"many\"; }}\n"
    );
    for number in 0..registers {
        let _ = write!(
            text,
            "\n    /// One of many.\n    register R{number} @ {:#x} {{\n        cite \"none\";\n        reset 3;\n        legal {}..=0xffffffffffffffff else fault;\n        \
             write store;\n        migrate transient \"measured only\";\n    }}\n",
            0x100 + number,
            number % 3 + 1,
        );
    }
    text + "}\n"
}
