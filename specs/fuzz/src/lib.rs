//! What must hold of whatever bytes there are. The programs under `bin/` feed libFuzzer's inputs to it; `cargo boot fuzz` builds and runs
//! them.

mod convert;
pub mod input;
mod restore;
mod spec;
pub mod versions;

pub use convert::convert;
pub use restore::restore;
pub use spec::spec;

/// Says what is about to be tried, for whoever starts a program again with the input that was too much for it: with `FUZZ_TELL` set.
pub fn tell(what: impl Fn() -> String) {
    if std::env::var_os("FUZZ_TELL").is_some() {
        println!("{}", what());
    }
}

/// Two digits for each byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
