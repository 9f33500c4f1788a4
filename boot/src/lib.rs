//! `cargo boot`, as a library that the end-to-end tests use.
//!
//! A run goes: scenario file, image, emulator, log, events, expectations, verdict. Each step is a module of its own and
//! knows only those before it.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod check_image;
pub mod command;
pub mod emulator;
pub mod error;
pub mod fuzz;
pub mod image;
pub mod interrupt;
pub mod linux_table;
pub mod log;
pub mod mca_table;
pub mod progress;
pub mod rows;
pub mod run;
pub mod scenario;
pub mod setup;
pub mod show;
pub mod story;
pub mod verdict;
pub mod workspace;
