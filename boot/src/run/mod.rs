//! Runs a scenario: boots it, follows its log, raises its faults, judges it.

mod follow;
pub mod remote;
mod session;

pub use follow::{Ending, FATAL, FINAL, Followed, follow};
pub use remote::Remote;
pub use session::{Options, Verdict, payload, run, run_within_reach};
