//! Basic exit reasons (SDM vol. 3, appendix C): the one table of them.

/// Exception or NMI.
pub const EXCEPTION_OR_NMI: u32 = 0;
/// External interrupt.
pub const EXTERNAL_INTERRUPT: u32 = 1;
/// Triple fault.
pub const TRIPLE_FAULT: u32 = 2;
/// Interrupt window.
pub const INTERRUPT_WINDOW: u32 = 7;
/// CPUID.
pub const CPUID: u32 = 10;
/// HLT.
pub const HLT: u32 = 12;
/// INVD.
pub const INVD: u32 = 13;
/// RDPMC.
pub const RDPMC: u32 = 15;
/// VMCALL.
pub const VMCALL: u32 = 18;
/// First of the VMX instructions but VMCALL: VMCLEAR.
pub const VMCLEAR: u32 = 19;
/// Last of them: VMXON.
pub const VMXON: u32 = 27;
/// Control-register access.
pub const CONTROL_REGISTER: u32 = 28;
/// IN, OUT and their string forms.
pub const IO: u32 = 30;
/// RDMSR.
pub const RDMSR: u32 = 31;
/// WRMSR.
pub const WRMSR: u32 = 32;
/// MWAIT.
pub const MWAIT: u32 = 36;
/// MONITOR.
pub const MONITOR: u32 = 39;
/// VM entry failed: machine check.
pub const ENTRY_MACHINE_CHECK: u32 = 41;
/// EPT violation.
pub const EPT_VIOLATION: u32 = 48;
/// INVEPT.
pub const INVEPT: u32 = 50;
/// VMX-preemption timer expired.
pub const PREEMPTION_TIMER: u32 = 52;
/// INVVPID.
pub const INVVPID: u32 = 53;
/// WBINVD.
pub const WBINVD: u32 = 54;
/// XSETBV.
pub const XSETBV: u32 = 55;
