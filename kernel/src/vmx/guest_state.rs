//! The guest-state area for each way in which a vCPU starts; its MSRs are `super::platform`'s.

use kernel::guest::control_registers::{CR0_PROTECTION, CR0_RESET, cr0, cr4};
use x86::vmx::vmcs::{control, guest};

use super::current::Current;
use super::unswitched;

const FLAGS_RESET: u64 = 2;
const DR7_RESET: u64 = 1 << 10;
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

/// After INIT and SIPI with this vector, for a vCPU that has the processor or has never had it: real mode at that page (SDM vol. 3, 9.4.4.1).
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
    vmcs.write(guest::INTERRUPTIBILITY_STATE, 0);
    vmcs.write(guest::ACTIVITY_STATE, 0);
    vmcs.write(guest::PENDING_DBG_EXCEPTIONS, 0);
    unswitched::after_init();
    vmcs.flush_linear();
    // No VMCS shadowing.
    vmcs.write(guest::LINK_PTR_FULL, u64::MAX);
    let entry = vmcs.read(control::VMENTRY_CONTROLS);
    vmcs.write(control::VMENTRY_CONTROLS, entry & !ENTRY_IA32E_MODE);
    vmcs.write(control::VMENTRY_INTERRUPTION_INFO_FIELD, 0);
}
