//! The guest-state area for each way in which a vCPU starts.

use core::arch::asm;

use kernel::guest::control_registers::{CR0_PROTECTION, CR0_RESET, cr0, cr4};
use x86::msr;
use x86::vmx::vmcs::{control, guest};

use super::current::Current;
use crate::machine::wrmsr;

const FLAGS_RESET: u64 = 2;
const DR7_RESET: u64 = 0x400;
const PAT_RESET: u64 = 0x0007_0406_0007_0406;
const ENTRY_IA32E_MODE: u64 = 1 << 9;
/// VMCS fields of the segment registers, in the order of their encodings: ES, CS, SS, DS, FS, GS, LDTR, TR.
const SELECTOR: u32 = guest::ES_SELECTOR;
const LIMIT: u32 = guest::ES_LIMIT;
const ACCESS_RIGHTS: u32 = guest::ES_ACCESS_RIGHTS;
const BASE: u32 = guest::ES_BASE;
const CS: u32 = 1;
const LDTR: u32 = 6;
const TR: u32 = 7;

/// Access rights (SDM vol. 3, 25.4.1): present, accessed.
mod rights {
    pub const CODE_16: u64 = 0x9b;
    pub const DATA_16: u64 = 0x93;
    pub const CODE_32: u64 = 0xc09b;
    pub const DATA_32: u64 = 0xc093;
    pub const LDT: u64 = 0x82;
    pub const BUSY_TASK: u64 = 0x8b;
}

/// Segments and mode that a start gives.
struct Start {
    cr0: u64,
    code: (u64, u64, u64, u64),
    data: (u64, u64, u64, u64),
    rip: u64,
}

/// What power-on sets and INIT keeps (SDM vol. 3, table 9-1), in the VMCS and in the processor: a vCPU has the processor to itself.
pub fn power_on(vmcs: &mut Current) {
    vmcs.write(guest::IA32_PAT_FULL, PAT_RESET);
    vmcs.write(guest::IA32_SYSENTER_CS, 0);
    vmcs.write(guest::IA32_SYSENTER_ESP, 0);
    vmcs.write(guest::IA32_SYSENTER_EIP, 0);
    for register in [
        msr::IA32_STAR,
        msr::IA32_LSTAR,
        msr::IA32_CSTAR,
        msr::IA32_FMASK,
        msr::IA32_KERNEL_GSBASE,
    ] {
        // SAFETY: they exist with long mode, and the hypervisor uses none of them.
        unsafe { wrmsr(register, 0) };
    }
}

/// DR0 to DR3 and DR6 as INIT leaves them, and CR2: the hypervisor uses none of them.
fn reset_debug_registers() {
    const DR6_RESET: u64 = 0xffff_0ff0;
    // SAFETY: breakpoints are off in root mode (every exit sets DR7 to 0x400); CR2 is only read after a page fault.
    unsafe {
        asm!(
            "mov dr0, {zero}", "mov dr1, {zero}", "mov dr2, {zero}", "mov dr3, {zero}", "mov dr6, {dr6}", "mov cr2, {zero}",
            zero = in(reg) 0u64, dr6 = in(reg) DR6_RESET, options(nostack)
        );
    }
}

/// Tells the guest in DR6 why it gets #DB: the bits of the exit qualification.
pub(super) fn add_to_dr6(qualification: u64) {
    const REASONS: u64 = 0x600f;
    // SAFETY: DR6 is the guest's while it has the processor.
    unsafe {
        asm!(
            "mov {dr6}, dr6", "and {dr6}, -16", "or {dr6}, {reasons}", "mov dr6, {dr6}",
            dr6 = out(reg) _, reasons = in(reg) qualification & REASONS, options(nostack)
        );
    }
}

/// The PVH boot protocol: 32-bit protected mode, flat segments, paging off, at `entry`.
pub fn pvh(vmcs: &mut Current, entry: u32) {
    let start = Start {
        cr0: CR0_RESET | CR0_PROTECTION,
        code: (0x08, 0, 0xffff_ffff, rights::CODE_32),
        data: (0x10, 0, 0xffff_ffff, rights::DATA_32),
        rip: entry.into(),
    };
    write(vmcs, &start);
}

/// After INIT and SIPI with this vector: real mode at that page (SDM vol. 3, 9.4.4.1).
pub fn startup(vmcs: &mut Current, vector: u8) {
    let start = Start {
        cr0: CR0_RESET,
        code: (
            u64::from(vector) << 8,
            u64::from(vector) << 12,
            0xffff,
            rights::CODE_16,
        ),
        data: (0, 0, 0xffff, rights::DATA_16),
        rip: 0,
    };
    write(vmcs, &start);
}

fn write(vmcs: &mut Current, start: &Start) {
    for segment in 0..=TR {
        let (selector, base, limit, rights) = match segment {
            CS => start.code,
            LDTR => (0, 0, 0xffff, rights::LDT),
            TR => (0, 0, 0x67, rights::BUSY_TASK),
            _ => start.data,
        };
        vmcs.write(SELECTOR + 2 * segment, selector);
        vmcs.write(BASE + 2 * segment, base);
        vmcs.write(LIMIT + 2 * segment, limit);
        vmcs.write(ACCESS_RIGHTS + 2 * segment, rights);
    }
    for field in [guest::GDTR_BASE, guest::IDTR_BASE] {
        vmcs.write(field, 0);
    }
    for field in [guest::GDTR_LIMIT, guest::IDTR_LIMIT] {
        vmcs.write(field, 0xffff);
    }
    if let (Some(cr0), Some(cr4)) = (cr0(start.cr0), cr4(0, 0)) {
        vmcs.write(guest::CR0, cr0.real);
        vmcs.write(control::CR0_READ_SHADOW, cr0.shadow);
        vmcs.write(guest::CR4, cr4.real);
        vmcs.write(control::CR4_READ_SHADOW, cr4.shadow);
    }
    vmcs.write(guest::CR3, 0);
    vmcs.write(guest::DR7, DR7_RESET);
    vmcs.write(guest::RSP, 0);
    vmcs.write(guest::RIP, start.rip);
    vmcs.write(guest::RFLAGS, FLAGS_RESET);
    vmcs.write(guest::IA32_DEBUGCTL_FULL, 0);
    vmcs.write(guest::IA32_EFER_FULL, 0);
    vmcs.write(guest::INTERRUPTIBILITY_STATE, 0);
    vmcs.write(guest::ACTIVITY_STATE, 0);
    vmcs.write(guest::PENDING_DBG_EXCEPTIONS, 0);
    reset_debug_registers();
    vmcs.flush_linear();
    // No VMCS shadowing.
    vmcs.write(guest::LINK_PTR_FULL, u64::MAX);
    let entry = vmcs.read(control::VMENTRY_CONTROLS);
    vmcs.write(control::VMENTRY_CONTROLS, entry & !ENTRY_IA32E_MODE);
    vmcs.write(control::VMENTRY_INTERRUPTION_INFO_FIELD, 0);
}
