//! Guests: their making, their vCPUs, whose memory is whose.

pub mod console;
mod create;
mod registry;
pub mod spare;
pub mod vcpu;

pub use create::{Error, create};
pub use registry::{Guest, all, owner_of, privileged, running};
