//! Texts that were too much for the language once, found by `cargo boot fuzz spec`: each in `hostile/`, as it was found.

#[path = "../../specs/fuzz/src/spec.rs"]
mod spec;

#[test]
fn what_was_found_once_is_answered_now() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hostile");
    let files = std::fs::read_dir(folder).expect("tests/hostile");
    let mut tried = 0;
    for file in files {
        let file = file.expect("a file").path();
        println!("{}", file.display());
        let bytes = std::fs::read(&file).expect("a file");
        spec::spec(std::str::from_utf8(&bytes).expect("the fuzzer takes nothing else"));
        tried += 1;
    }
    assert!(tried >= 1, "{folder} is empty");
}
