//! Bankshot's pure parts: what the hypervisor decides, without VMX and without I/O.
//!
//! `mca` is the host side of a machine check, `vmce` the guest side, `guest` what a guest is made of, `faults` the
//! injector. Everything here runs unchanged in `cargo test` on a simulated machine with 1 to 4096 processors.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod event;
pub mod guest;
pub mod handover;
pub mod units;
