//! What the tests run on: a simulated machine for the machine-check engine, what random tests share, and the end-to-end tests (under `tests/`).

pub mod random;
pub mod sim;
