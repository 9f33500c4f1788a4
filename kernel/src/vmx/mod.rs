//! VMX: the VMCS, EPT, entry and exit, the MSR bitmap. The only place that knows it (SDM vol. 3, chapters 24 to 31).

pub mod bitmap;
pub mod capability;
pub mod control_registers;
pub mod controls;
pub mod current;
pub mod ept;
pub mod event;
pub mod guest_state;
pub mod instructions;
pub mod operation;
pub mod platform;
pub mod registers;
pub mod unswitched;
pub mod vmcs;
