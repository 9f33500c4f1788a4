//! The `interface!` macro.
