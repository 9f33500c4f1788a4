//! A small machine for the model checker. Empty but with `--cfg loom`:
//! `RUSTFLAGS="--cfg loom" cargo test -p interleavings --release --target-dir target/loom`.
#![cfg(loom)]

mod explore;
mod machine;

pub use explore::{booted, explore};
pub use machine::{Machine, Processor, Vcpu};
