//! Guests: their making, their registry, their end.

pub mod console;
mod create;
mod registry;

pub use create::{Error, create};
pub use registry::{Guest, all, owner_of, running};
