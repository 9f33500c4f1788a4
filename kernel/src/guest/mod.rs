//! A guest: its memory, its vCPUs, what it may ask of the hypervisor.
pub mod control_registers;
pub mod hypercall;
pub mod interruption;
pub mod msr_bitmap;
pub mod page_entry;
pub mod pvh;
pub mod spare_page;
pub mod waits;
