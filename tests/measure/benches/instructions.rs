//! Prints what generated code costs, in instructions: the worst case of each access and record of each shipped interface.

use measure::callgrind::{Call, count, worst};
use std::path::Path;

const WHAT: [&str; 4] = ["read", "write", "save", "restore"];

fn main() {
    for subject in ["interfaces", "sizes"] {
        match count(Path::new(env!("CARGO_BIN_EXE_subject")), &[subject]) {
            Ok(calls) => print(&calls),
            Err(why) => {
                eprintln!("error: {why}");
                std::process::exit(2);
            }
        }
    }
}

fn print(calls: &[Call]) {
    println!(
        "{:<24}{:>8}{:>8}{:>8}{:>8}   slowest read",
        "instructions, at most", "read", "write", "save", "restore"
    );
    let mut subjects: Vec<&str> = calls.iter().map(|call| call.on.as_str()).collect();
    subjects.dedup();
    for on in subjects {
        let number = |what| {
            worst(calls, what, on).map_or("-".to_owned(), |call| call.instructions.to_string())
        };
        let [read, write, save, restore] = WHAT.map(number);
        let slowest = worst(calls, "read", on).map_or("", |call| &call.with);
        println!("{on:<24}{read:>8}{write:>8}{save:>8}{restore:>8}   {slowest}");
    }
    println!();
}
