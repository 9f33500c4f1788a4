//! The engine on the simulated machine: what semantics.md says, case by case.

mod common;
mod ending;
mod grading;
mod guests;
mod mail;
mod meeting;
mod polling;
mod sharing;
mod starting;
