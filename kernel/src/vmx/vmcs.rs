//! VMX operation on a processor, and the control and host areas of a VMCS.

use core::arch::asm;

use kernel::guest::control_registers::{CR0_HOST_OWNED, CR4_HOST_OWNED};
use kernel::handover::arena::OutOfMemory;
use kernel::units::Hpa;
use x86::msr::{IA32_EFER, IA32_PAT};
use x86::vmx::vmcs::{control, guest, host};

use super::capability::{fixed_bits, revision};
use super::controls::Controls;
use super::current::Current;
use super::instructions::{self, Failed, vmwrite};
use super::operation;
use crate::machine::processor::Processor;
use crate::machine::{descriptors, memory, rdmsr, traps};

const CR4_MACHINE_CHECK: u64 = 1 << 6;
/// Exception bitmap: #MC, which is the host's; #DB and #AC, since a guest can keep a processor in their delivery for ever, where neither an
/// NMI nor the timer ends its run.
const EXCEPTIONS: u64 = 1 << 18 | 1 << 1 | 1 << 17;

/// A page for a VMCS or for VMXON, with the revision identifier in place.
pub fn region() -> Result<Hpa, OutOfMemory> {
    let page = memory::pages(1)?;
    // SAFETY: a fresh page of our own.
    unsafe { (page.0 as *mut u32).write(revision()) };
    Ok(page)
}

/// Enters VMX operation on this processor.
pub fn enter_operation(processor: &Processor, region: Hpa) -> Result<(), Failed> {
    let ((cr0_one, cr0_may), (cr4_one, cr4_may)) = (fixed_bits(false), fixed_bits(true));
    // SAFETY: bits that VMX operation demands, and machine checks; paging and long mode stay as they are.
    unsafe {
        let (mut cr0, mut cr4): (u64, u64);
        asm!("mov {}, cr0", "mov {}, cr4", out(reg) cr0, out(reg) cr4);
        cr0 = (cr0 | cr0_one) & cr0_may;
        cr4 = (cr4 | cr4_one | CR4_MACHINE_CHECK) & cr4_may;
        asm!("mov cr0, {}", "mov cr4, {}", in(reg) cr0, in(reg) cr4);
        instructions::vmxon(region)?;
    }
    operation::entered(processor);
    Ok(())
}

/// What a VMCS is filled with beside the controls that all have.
pub struct Setup {
    /// MSR bitmap.
    pub msr_bitmap: Hpa,
    /// EPT pointer.
    pub eptp: u64,
    /// Virtual-processor identifier, not 0.
    pub vpid: u16,
    /// Where the stack pointer stands after an exit.
    pub host_rsp: u64,
    /// Where an exit goes.
    pub host_rip: u64,
    /// First value of the preemption timer.
    pub timer: u64,
}

/// Makes a fresh VMCS current on this processor and fills in what does not depend on how its guest starts.
///
/// # Safety
/// The processor is in VMX operation; `vmcs` is from [`region`] and nobody else's; what the exit finds at `host_rip` and `host_rsp` is
/// exit code and a place for its pushes.
pub unsafe fn prepare(
    processor: &Processor,
    vmcs: Hpa,
    controls: &Controls,
    setup: &Setup,
) -> Result<Current, Failed> {
    // SAFETY: by the caller.
    unsafe {
        instructions::vmclear(vmcs)?;
        operation::load(processor, vmcs)?;
        write_controls(controls, setup);
        write_host(processor);
        vmwrite(host::RSP, setup.host_rsp);
        vmwrite(host::RIP, setup.host_rip);
        vmwrite(guest::VMX_PREEMPTION_TIMER_VALUE, setup.timer);
        Ok(Current::assume())
    }
}

unsafe fn write_controls(controls: &Controls, setup: &Setup) {
    // SAFETY: by the caller.
    unsafe {
        vmwrite(control::PINBASED_EXEC_CONTROLS, controls.pin);
        vmwrite(control::PRIMARY_PROCBASED_EXEC_CONTROLS, controls.primary);
        vmwrite(
            control::SECONDARY_PROCBASED_EXEC_CONTROLS,
            controls.secondary,
        );
        vmwrite(control::VMEXIT_CONTROLS, controls.exit);
        vmwrite(control::VMENTRY_CONTROLS, controls.entry);
        vmwrite(control::EXCEPTION_BITMAP, EXCEPTIONS);
        vmwrite(control::PAGE_FAULT_ERR_CODE_MASK, 0);
        vmwrite(control::PAGE_FAULT_ERR_CODE_MATCH, 0);
        vmwrite(control::CR3_TARGET_COUNT, 0);
        vmwrite(control::VMEXIT_MSR_STORE_COUNT, 0);
        vmwrite(control::VMEXIT_MSR_LOAD_COUNT, 0);
        vmwrite(control::VMENTRY_MSR_LOAD_COUNT, 0);
        vmwrite(control::CR0_GUEST_HOST_MASK, CR0_HOST_OWNED);
        vmwrite(control::CR4_GUEST_HOST_MASK, CR4_HOST_OWNED);
        vmwrite(control::MSR_BITMAPS_ADDR_FULL, setup.msr_bitmap.0);
        vmwrite(control::EPTP_FULL, setup.eptp);
        vmwrite(control::VPID, setup.vpid.into());
    }
}

/// Makes the current VMCS, which another processor had, this one's: its host state, and no translation that this processor has kept.
///
/// When the vCPU was here before, the processor may have kept translations of its addresses (tagged with its VPID), of which the guest has changed or flushed some
/// while it was elsewhere: INVVPID drops them. Of the EPT, whoever takes something away has every processor flush, in use or not, with vCPUs of that guest or
/// without (`mca::flush`), and each does so before its next VM entry: nothing of that is left to be done here, even if the page went out of use while the vCPU was
/// on its way. (SDM vol. 3, 29.4.3.)
///
/// # Safety
/// The processor is in VMX operation; the current VMCS was made by [`prepare`], on any processor.
pub unsafe fn move_in(processor: &Processor, current: &mut Current) {
    // SAFETY: by the caller; where an exit goes, and its stack pointer, are the vCPU's and stay.
    unsafe { write_host(processor) };
    current.flush_linear();
}

unsafe fn write_host(processor: &Processor) {
    let (cr0, cr3, cr4): (u64, u64, u64);
    // SAFETY: by the caller; the host state is this processor's own as it stands.
    unsafe {
        asm!("mov {}, cr0", "mov {}, cr3", "mov {}, cr4", out(reg) cr0, out(reg) cr3, out(reg) cr4);
        vmwrite(host::CR0, cr0);
        vmwrite(host::CR3, cr3);
        vmwrite(host::CR4, cr4);
        vmwrite(host::CS_SELECTOR, descriptors::CODE.into());
        for field in [host::SS_SELECTOR, host::DS_SELECTOR, host::ES_SELECTOR] {
            vmwrite(field, descriptors::DATA.into());
        }
        for field in [host::FS_SELECTOR, host::GS_SELECTOR] {
            vmwrite(field, 0);
        }
        vmwrite(host::TR_SELECTOR, descriptors::TASK.into());
        vmwrite(host::FS_BASE, 0);
        vmwrite(host::GS_BASE, processor.base());
        vmwrite(host::TR_BASE, processor.task_base());
        vmwrite(host::GDTR_BASE, processor.gdt_base());
        vmwrite(host::IDTR_BASE, traps::idt_base());
        vmwrite(host::IA32_SYSENTER_CS, 0);
        vmwrite(host::IA32_SYSENTER_ESP, 0);
        vmwrite(host::IA32_SYSENTER_EIP, 0);
        vmwrite(host::IA32_EFER_FULL, rdmsr(IA32_EFER));
        vmwrite(host::IA32_PAT_FULL, rdmsr(IA32_PAT));
    }
}
