//! A guest: its memory, its vCPUs, what it may ask of the hypervisor.
pub mod hypercall;
pub mod pvh;
