//! Runs a scenario: boots it, follows its log, raises its faults, judges it.

mod follow;
mod session;

pub use follow::{Ending, FATAL, FINAL, Followed, follow};
pub use session::{Options, Verdict, payload, run};
