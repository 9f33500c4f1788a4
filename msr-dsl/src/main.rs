//! `cargo msr`.
fn main() {}
