//! What each VM exit means: a fast half that needs nothing but the vCPU's own state, and a slow half for the rest.

mod apic;
mod cpuid;
pub mod fast;
mod hook;
mod hypercall;
mod io;
mod reason;
pub mod slow;
