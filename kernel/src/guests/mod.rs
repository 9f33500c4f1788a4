//! Guests: their making, their vCPUs, what their exits mean, their end.

pub mod apic;
pub mod console;
mod cpuid;
mod create;
pub mod exit;
pub mod fast;
pub mod hypercalls;
mod reason;
mod registry;
pub mod vcpu;

pub use create::{Error, create};
pub use registry::{Guest, all, owner_of, running};
