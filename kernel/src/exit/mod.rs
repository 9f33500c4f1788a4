//! VM exits that need nothing but the vCPU's own state, and what the reasons of all are called.

mod cpuid;
pub mod fast;
pub mod reason;
