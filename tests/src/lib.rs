//! What the tests run on: a simulated machine for the machine-check engine, and the end-to-end tests (under `tests/`).

pub mod sim;
