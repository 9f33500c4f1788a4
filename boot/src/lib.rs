//! `cargo boot`, as a library that the end-to-end tests use.
