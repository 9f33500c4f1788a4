//! CR0, CR4 and CR8 accesses that exit: the guest's own values live in the read shadows where the host owns a bit.
//!
//! CR4.MCE belongs to the host and is always set while a guest runs: hardware shuts down on a #MC without it. The guest's own bit
//! is in the shadow, where delivery reads it.

use kernel::units::Gpa;
use x86::vmx::vmcs::{control, guest, ro};

use super::ept::GuestMemory;
use super::event::Fault;
use super::instructions::{vmread, vmwrite};
use super::vcpu::Registers;

/// CR0.PE.
pub const CR0_PROTECTION: u64 = 1 << 0;
const CR0_EXTENSION_TYPE: u64 = 1 << 4;
/// CR0.NE: VMX operation demands it.
pub const CR0_NUMERIC_ERROR: u64 = 1 << 5;
const CR0_NOT_WRITE_THROUGH: u64 = 1 << 29;
const CR0_CACHE_DISABLE: u64 = 1 << 30;
const CR0_PAGING: u64 = 1 << 31;
/// Bits of CR0 that the host owns. Caching is not the guest's to turn off.
pub const CR0_HOST_OWNED: u64 = CR0_NUMERIC_ERROR | CR0_NOT_WRITE_THROUGH | CR0_CACHE_DISABLE;
/// CR0 after reset or INIT, as a guest reads it.
pub const CR0_RESET: u64 = CR0_EXTENSION_TYPE | CR0_CACHE_DISABLE | CR0_NOT_WRITE_THROUGH;

const CR4_PHYSICAL_ADDRESS_EXTENSION: u64 = 1 << 5;
/// CR4.MCE.
pub const CR4_MACHINE_CHECK: u64 = 1 << 6;
/// CR4.VMXE: VMX operation demands it.
pub const CR4_VMX: u64 = 1 << 13;
/// Bits of CR4 that are the guest's alone: VME, PVI, TSD, DE, PSE, PAE, PGE, PCE, OSFXSR, OSXMMEXCPT, FSGSBASE, SMEP, SMAP.
const CR4_GUEST_OWNED: u64 = 0x7bf & !CR4_MACHINE_CHECK | 1 << 16 | 1 << 20 | 1 << 21;
/// Every other bit is the host's.
pub const CR4_HOST_OWNED: u64 = !CR4_GUEST_OWNED;
/// Bits that a guest may set: its own, and MCE.
const CR4_GUEST_MAY_SET: u64 = CR4_GUEST_OWNED | CR4_MACHINE_CHECK;

const EFER_LONG_MODE_ENABLE: u64 = 1 << 8;
const EFER_LONG_MODE_ACTIVE: u64 = 1 << 10;
const ENTRY_IA32E_MODE: u64 = 1 << 9;

/// What a control-register access came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done: the instruction is over.
    Done,
    /// The instruction faults.
    Fault(Fault),
    /// Nothing that this hypervisor asked to see.
    Unexpected,
}

/// Emulates the access that exited (exit qualification: SDM vol. 3, table 28-3).
///
/// # Safety
/// The vCPU's VMCS is current, its last exit a control-register access.
pub unsafe fn access(
    registers: &mut Registers,
    task_priority: &mut u8,
    memory: &GuestMemory,
) -> Outcome {
    const MOV_TO: u64 = 0;
    const MOV_FROM: u64 = 1;
    // SAFETY: by the caller.
    unsafe {
        let qualification = vmread(ro::EXIT_QUALIFICATION);
        let (number, kind) = (qualification & 0xf, qualification >> 4 & 3);
        let register = (qualification >> 8 & 0xf) as u8;
        match (number, kind) {
            (0, MOV_TO) => write_cr0(read(registers, register), memory),
            (4, MOV_TO) => write_cr4(read(registers, register), memory),
            (8, MOV_TO) => {
                let priority = read(registers, register);
                if priority > 15 {
                    return Outcome::Fault(Fault::GeneralProtection);
                }
                *task_priority = priority as u8;
                Outcome::Done
            }
            (8, MOV_FROM) => {
                write(registers, register, (*task_priority).into());
                Outcome::Done
            }
            _ => Outcome::Unexpected,
        }
    }
}

/// The guest's own CR4.MCE.
///
/// # Safety
/// The vCPU's VMCS is current.
pub unsafe fn guest_machine_check_enabled() -> bool {
    // SAFETY: by the caller.
    unsafe { vmread(control::CR4_READ_SHADOW) & CR4_MACHINE_CHECK != 0 }
}

/// With PAE paging outside long mode, a change of CR0 or CR4 loads the four page-directory pointers (SDM vol. 3, 4.4.1). A present
/// one with reserved bits set, or a table outside the guest's memory, is #GP.
unsafe fn load_page_directory_pointers(
    cr0: u64,
    cr4: u64,
    memory: &GuestMemory,
) -> Result<(), Fault> {
    const PRESENT: u64 = 1 << 0;
    const RESERVED: u64 = 0xfff0_0000_0000_01e6;
    const FIELDS: [u32; 4] = [
        guest::PDPTE0_FULL,
        guest::PDPTE1_FULL,
        guest::PDPTE2_FULL,
        guest::PDPTE3_FULL,
    ];
    // SAFETY: by the caller.
    unsafe {
        let long_mode = vmread(guest::IA32_EFER_FULL) & EFER_LONG_MODE_ACTIVE != 0;
        if long_mode || cr0 & CR0_PAGING == 0 || cr4 & CR4_PHYSICAL_ADDRESS_EXTENSION == 0 {
            return Ok(());
        }
        let table = Gpa(vmread(guest::CR3) & 0xffff_ffe0);
        for (index, field) in (0..).zip(FIELDS) {
            let entry = memory
                .read_u64(table.plus(8 * index))
                .ok_or(Fault::GeneralProtection)?;
            if entry & PRESENT != 0 && entry & RESERVED != 0 {
                return Err(Fault::GeneralProtection);
            }
            vmwrite(field, entry);
        }
    }
    Ok(())
}

/// MOV to CR0 (SDM vol. 3, 2.5; MOV instruction; 4.1.2 for the change of mode).
unsafe fn write_cr0(value: u64, memory: &GuestMemory) -> Outcome {
    const FAULT: Outcome = Outcome::Fault(Fault::GeneralProtection);
    let has = |bit| value & bit != 0;
    if value >> 32 != 0
        || has(CR0_PAGING) && !has(CR0_PROTECTION)
        || has(CR0_NOT_WRITE_THROUGH) && !has(CR0_CACHE_DISABLE)
    {
        return FAULT;
    }
    // SAFETY: by the caller.
    unsafe {
        let old = vmread(guest::CR0);
        let efer = vmread(guest::IA32_EFER_FULL);
        let entry = vmread(control::VMENTRY_CONTROLS);
        let cr4 = vmread(guest::CR4);
        let was_paging = old & CR0_PAGING != 0;
        if has(CR0_PAGING) && !was_paging {
            if efer & EFER_LONG_MODE_ENABLE != 0 {
                if cr4 & CR4_PHYSICAL_ADDRESS_EXTENSION == 0 {
                    return FAULT;
                }
                vmwrite(guest::IA32_EFER_FULL, efer | EFER_LONG_MODE_ACTIVE);
                vmwrite(control::VMENTRY_CONTROLS, entry | ENTRY_IA32E_MODE);
            }
        } else if !has(CR0_PAGING) && was_paging && efer & EFER_LONG_MODE_ACTIVE != 0 {
            // In 64-bit code paging cannot be turned off.
            if vmread(guest::CS_ACCESS_RIGHTS) & 1 << 13 != 0 {
                return FAULT;
            }
            vmwrite(guest::IA32_EFER_FULL, efer & !EFER_LONG_MODE_ACTIVE);
            vmwrite(control::VMENTRY_CONTROLS, entry & !ENTRY_IA32E_MODE);
        }
        if let Err(fault) = load_page_directory_pointers(value, cr4, memory) {
            return Outcome::Fault(fault);
        }
        let value = value | CR0_EXTENSION_TYPE;
        vmwrite(guest::CR0, value & !CR0_HOST_OWNED | CR0_NUMERIC_ERROR);
        vmwrite(control::CR0_READ_SHADOW, value);
    }
    Outcome::Done
}

/// MOV to CR4.
unsafe fn write_cr4(value: u64, memory: &GuestMemory) -> Outcome {
    if value & !CR4_GUEST_MAY_SET != 0 {
        return Outcome::Fault(Fault::GeneralProtection);
    }
    // SAFETY: by the caller.
    unsafe {
        let long_mode = vmread(guest::IA32_EFER_FULL) & EFER_LONG_MODE_ACTIVE != 0;
        if long_mode && value & CR4_PHYSICAL_ADDRESS_EXTENSION == 0 {
            return Outcome::Fault(Fault::GeneralProtection);
        }
        if let Err(fault) = load_page_directory_pointers(vmread(guest::CR0), value, memory) {
            return Outcome::Fault(fault);
        }
        vmwrite(guest::CR4, value | CR4_MACHINE_CHECK | CR4_VMX);
        vmwrite(control::CR4_READ_SHADOW, value);
    }
    Outcome::Done
}

/// The general register of that number (SDM's order); RSP lives in the VMCS.
unsafe fn read(registers: &Registers, number: u8) -> u64 {
    match number {
        0 => registers.rax,
        1 => registers.rcx,
        2 => registers.rdx,
        3 => registers.rbx,
        // SAFETY: by the caller.
        4 => unsafe { vmread(guest::RSP) },
        5 => registers.rbp,
        6 => registers.rsi,
        7 => registers.rdi,
        8 => registers.r8,
        9 => registers.r9,
        10 => registers.r10,
        11 => registers.r11,
        12 => registers.r12,
        13 => registers.r13,
        14 => registers.r14,
        _ => registers.r15,
    }
}

unsafe fn write(registers: &mut Registers, number: u8, value: u64) {
    match number {
        0 => registers.rax = value,
        1 => registers.rcx = value,
        2 => registers.rdx = value,
        3 => registers.rbx = value,
        // SAFETY: by the caller.
        4 => unsafe { vmwrite(guest::RSP, value) },
        5 => registers.rbp = value,
        6 => registers.rsi = value,
        7 => registers.rdi = value,
        8 => registers.r8 = value,
        9 => registers.r9 = value,
        10 => registers.r10 = value,
        11 => registers.r11 = value,
        12 => registers.r12 = value,
        13 => registers.r13 = value,
        14 => registers.r14 = value,
        _ => registers.r15 = value,
    }
}
