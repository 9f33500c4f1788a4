//! CR0, CR4 and CR8 accesses that exit; which bit is whose is `kernel::guest::control_registers`' to say.

use kernel::guest::control_registers::{CR0_PAGING, CR4_PHYSICAL_ADDRESS_EXTENSION, cr0, cr4};
use kernel::units::Gpa;
use specs::platform::v1::Ia32Efer;
use x86::vmx::vmcs::{control, guest};

use super::capability::fixed_bits;
use super::current::Current;
use super::ept::GuestMemory;
use super::event::Fault;
use super::registers::Registers;

const ENTRY_IA32E_MODE: u64 = 1 << 9;
const RIGHTS_64_BIT_CODE: u64 = 1 << 13;

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

/// Emulates the access that exited (exit qualification: SDM vol. 3, table 28-3). `task_priority` is the guest's CR8.
pub fn access(
    vmcs: &mut Current,
    registers: &mut Registers,
    task_priority: &mut u8,
    memory: &GuestMemory,
) -> Outcome {
    const MOV_TO: u64 = 0;
    const MOV_FROM: u64 = 1;
    let qualification = vmcs.qualification();
    let (number, kind) = (qualification & 0xf, qualification >> 4 & 3);
    let register = (qualification >> 8 & 0xf) as u8;
    let written = match (number, kind) {
        (0, MOV_TO) => write_cr0(vmcs, read(vmcs, registers, register), memory),
        (4, MOV_TO) => write_cr4(vmcs, read(vmcs, registers, register), memory),
        (8, MOV_TO) => write_cr8(task_priority, read(vmcs, registers, register)),
        (8, MOV_FROM) => {
            write(vmcs, registers, register, (*task_priority).into());
            Ok(())
        }
        _ => return Outcome::Unexpected,
    };
    match written {
        Ok(()) => Outcome::Done,
        Err(fault) => Outcome::Fault(fault),
    }
}

fn efer(vmcs: &Current) -> Ia32Efer {
    Ia32Efer::from_bits(vmcs.read(guest::IA32_EFER_FULL))
}

fn write_cr8(task_priority: &mut u8, value: u64) -> Result<(), Fault> {
    if value > 15 {
        return Err(Fault::GeneralProtection);
    }
    *task_priority = value as u8;
    Ok(())
}

/// With PAE paging outside long mode, a change of CR0 or CR4 loads the four page-directory pointers (SDM vol. 3, 4.4.1). A present
/// one with reserved bits set, or a table outside the guest's memory, is #GP.
fn load_page_directory_pointers(
    vmcs: &mut Current,
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
    if efer(vmcs).lma() || cr0 & CR0_PAGING == 0 || cr4 & CR4_PHYSICAL_ADDRESS_EXTENSION == 0 {
        return Ok(());
    }
    let table = Gpa(vmcs.read(guest::CR3) & 0xffff_ffe0);
    for (index, field) in (0..).zip(FIELDS) {
        let entry = memory
            .read_u64(table.plus(8 * index))
            .ok_or(Fault::GeneralProtection)?;
        if entry & PRESENT != 0 && entry & RESERVED != 0 {
            return Err(Fault::GeneralProtection);
        }
        vmcs.write(field, entry);
    }
    Ok(())
}

/// MOV to CR0 (SDM vol. 3, 2.5; 4.1.2 for the change of mode).
fn write_cr0(vmcs: &mut Current, value: u64, memory: &GuestMemory) -> Result<(), Fault> {
    let halves = cr0(value).ok_or(Fault::GeneralProtection)?;
    let pages = value & CR0_PAGING != 0;
    let was_paging = vmcs.read(guest::CR0) & CR0_PAGING != 0;
    let efer = efer(vmcs);
    let cr4 = vmcs.read(guest::CR4);
    if pages && !was_paging && efer.lme() {
        let in_64_bit_segment = vmcs.read(guest::CS_ACCESS_RIGHTS) & RIGHTS_64_BIT_CODE != 0;
        if cr4 & CR4_PHYSICAL_ADDRESS_EXTENSION == 0 || in_64_bit_segment {
            return Err(Fault::GeneralProtection);
        }
        vmcs.write(guest::IA32_EFER_FULL, efer.with_lma(true).into_bits());
        vmcs.write(
            control::VMENTRY_CONTROLS,
            vmcs.read(control::VMENTRY_CONTROLS) | ENTRY_IA32E_MODE,
        );
    } else if !pages && was_paging && efer.lma() {
        // In 64-bit code paging cannot be turned off.
        if vmcs.read(guest::CS_ACCESS_RIGHTS) & RIGHTS_64_BIT_CODE != 0 {
            return Err(Fault::GeneralProtection);
        }
        vmcs.write(guest::IA32_EFER_FULL, efer.with_lma(false).into_bits());
        vmcs.write(
            control::VMENTRY_CONTROLS,
            vmcs.read(control::VMENTRY_CONTROLS) & !ENTRY_IA32E_MODE,
        );
    }
    load_page_directory_pointers(vmcs, value, cr4, memory)?;
    vmcs.write(guest::CR0, halves.real);
    vmcs.write(control::CR0_READ_SHADOW, halves.shadow);
    vmcs.flush_linear();
    Ok(())
}

/// MOV to CR4.
fn write_cr4(vmcs: &mut Current, value: u64, memory: &GuestMemory) -> Result<(), Fault> {
    let long_mode = efer(vmcs).lma();
    let (_, supported) = fixed_bits(true);
    let halves = cr4(value, supported).ok_or(Fault::GeneralProtection)?;
    if long_mode && value & CR4_PHYSICAL_ADDRESS_EXTENSION == 0 {
        return Err(Fault::GeneralProtection);
    }
    load_page_directory_pointers(vmcs, vmcs.read(guest::CR0), value, memory)?;
    vmcs.write(guest::CR4, halves.real);
    vmcs.write(control::CR4_READ_SHADOW, halves.shadow);
    vmcs.flush_linear();
    Ok(())
}

/// The general register of that number (SDM's order); RSP lives in the VMCS.
fn read(vmcs: &Current, registers: &Registers, number: u8) -> u64 {
    match number {
        0 => registers.rax,
        1 => registers.rcx,
        2 => registers.rdx,
        3 => registers.rbx,
        4 => vmcs.read(guest::RSP),
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

fn write(vmcs: &mut Current, registers: &mut Registers, number: u8, value: u64) {
    match number {
        0 => registers.rax = value,
        1 => registers.rcx = value,
        2 => registers.rdx = value,
        3 => registers.rbx = value,
        4 => vmcs.write(guest::RSP, value),
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
