//! What each VM exit means that needs more than the vCPU's own state ([`crate::exit`] has the others).

mod apic;
mod hook;
mod hypercall;
mod io;
mod privileged;
pub mod slow;
