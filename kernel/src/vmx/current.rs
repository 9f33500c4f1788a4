//! The current VMCS between a VM exit and the next entry: what the exit was, and what the guest is to find.
//!
//! A value of [`Current`] stands for the right to it. What can be done with one concerns the guest alone, so it is safe.

use core::marker::PhantomData;

use kernel::guest::control_registers::CR4_MACHINE_CHECK;
use kernel::guest::interruption::Interruption;
use kernel::guest::waits::Waiting;
use x86::vmx::vmcs::{control, guest, ro};

use super::controls::INTERRUPT_WINDOW;
use super::event;
use super::instructions::{self, vmread, vmwrite};

/// The current VMCS of this processor.
pub struct Current(PhantomData<*mut ()>);

const BLOCKING_BY_STI: u64 = 1 << 0;
const BLOCKING_BY_STI_OR_MOV_SS: u64 = 0b11;
const ACTIVITY_HLT: u64 = 1;
const RFLAGS_TRAP: u64 = 1 << 8;
const RFLAGS_INTERRUPT: u64 = 1 << 9;
/// Pending debug exceptions: single step.
const SINGLE_STEP: u64 = 1 << 14;

impl Current {
    /// The right to the current VMCS.
    ///
    /// # Safety
    /// A VMCS is current on this processor and stays so while the value is used.
    #[inline(always)]
    pub unsafe fn assume() -> Self {
        Self(PhantomData)
    }

    #[inline(always)]
    pub(super) fn read(&self, field: u32) -> u64 {
        // SAFETY: a VMCS is current; this folder reads only fields that `Controls::find` has checked for.
        unsafe { vmread(field) }
    }

    #[inline(always)]
    pub(super) fn write(&mut self, field: u32, value: u64) {
        // SAFETY: as in `read`; this folder writes only what concerns the guest.
        unsafe { vmwrite(field, value) };
    }

    /// Exit reason, all 32 bits (bit 31: the entry failed).
    #[inline(always)]
    pub fn exit_reason(&self) -> u32 {
        self.read(ro::EXIT_REASON) as u32
    }

    /// What [`Current::exit_reason`] reads until the next exit, where [`super::capability::writes_exit_information`].
    #[cfg(feature = "faults")]
    pub fn set_exit_reason(&mut self, number: u32) {
        self.write(ro::EXIT_REASON, number.into());
    }

    /// Exit qualification.
    pub fn qualification(&self) -> u64 {
        self.read(ro::EXIT_QUALIFICATION)
    }

    /// Vector of the exception or NMI that exited.
    pub fn vector(&self) -> u8 {
        self.read(ro::VMEXIT_INTERRUPTION_INFO) as u8
    }

    /// Guest-physical address of an EPT violation.
    pub fn guest_physical_address(&self) -> u64 {
        self.read(ro::GUEST_PHYSICAL_ADDR_FULL)
    }

    /// The guest's RIP.
    pub fn rip(&self) -> u64 {
        self.read(guest::RIP)
    }

    /// Why VMLAUNCH or VMRESUME failed.
    pub fn instruction_error(&self) -> u32 {
        self.read(ro::VM_INSTRUCTION_ERROR) as u32
    }

    /// The guest's privilege level: the DPL of SS.
    pub fn privilege_level(&self) -> u64 {
        self.read(guest::SS_ACCESS_RIGHTS) >> 5 & 3
    }

    /// Sets the preemption timer, in its own ticks.
    #[inline(always)]
    pub fn set_timer(&mut self, ticks: u64) {
        self.write(guest::VMX_PREEMPTION_TIMER_VALUE, ticks);
    }

    /// The guest's own CR4.MCE.
    pub fn guest_machine_check_enabled(&self) -> bool {
        self.read(control::CR4_READ_SHADOW) & CR4_MACHINE_CHECK != 0
    }

    /// Moves the guest past the instruction that exited, as if it had been executed: the shadow of STI or MOV SS ends, and a
    /// single-step trap is due (SDM vol. 3, 26.7.3).
    #[inline(always)]
    pub fn skip_instruction(&mut self) {
        let next = self
            .read(guest::RIP)
            .wrapping_add(self.read(ro::VMEXIT_INSTRUCTION_LEN));
        self.write(guest::RIP, next);
        let blocking = self.read(guest::INTERRUPTIBILITY_STATE);
        if blocking & BLOCKING_BY_STI_OR_MOV_SS != 0 {
            self.write(
                guest::INTERRUPTIBILITY_STATE,
                blocking & !BLOCKING_BY_STI_OR_MOV_SS,
            );
        }
        if self.read(guest::RFLAGS) & RFLAGS_TRAP != 0 {
            self.trap_after_instruction();
        }
    }

    #[cold]
    fn trap_after_instruction(&mut self) {
        let pending = self.read(guest::PENDING_DBG_EXCEPTIONS);
        self.write(guest::PENDING_DBG_EXCEPTIONS, pending | SINGLE_STEP);
    }

    /// Halts the vCPU at its next entry: it runs nothing until an event comes.
    pub fn halt(&mut self) {
        // The shadow of an STI just before the HLT is over; entry would fail with it.
        let blocking = self.read(guest::INTERRUPTIBILITY_STATE);
        self.write(guest::INTERRUPTIBILITY_STATE, blocking & !BLOCKING_BY_STI);
        self.write(guest::ACTIVITY_STATE, ACTIVITY_HLT);
    }

    /// Gives the guest a fault of its current instruction.
    pub fn inject_fault(&mut self, fault: event::Fault) {
        event::inject_fault(self, fault);
    }

    /// Gives the guest #MC before its next instruction and before whatever else was about to be delivered. A halted vCPU wakes; neither
    /// the shadow of STI or MOV SS nor a blocked NMI holds it up. An event that has to wait now is given back.
    #[must_use]
    pub fn inject_machine_check(&mut self) -> Option<Interruption> {
        event::inject_machine_check(self)
    }

    /// Gives the guest an event that had to wait, if it takes it now.
    pub fn inject_waiting(&mut self, waiting: Waiting) -> bool {
        event::inject_waiting(self, waiting)
    }

    /// The guest would take an event that had to wait now.
    pub fn lets_in(&self, waiting: Waiting) -> bool {
        event::let_in(self, waiting).is_some()
    }

    /// The next entry delivers an event.
    pub fn delivers(&self) -> bool {
        event::pending(self).is_some()
    }

    /// Gives the guest an interrupt at the next entry, if it takes one now: with the vector that `take` gives, if that still gives one.
    pub fn inject_interrupt(&mut self, take: impl FnOnce() -> Option<u8>) -> bool {
        event::inject_interrupt(self, take)
    }

    /// The guest takes interrupts, but for shadows (RFLAGS.IF).
    pub fn interrupts_enabled(&self) -> bool {
        self.read(guest::RFLAGS) & RFLAGS_INTERRUPT != 0
    }

    /// Whether there is an exit as soon as the guest takes an interrupt, before anything else that it does.
    pub fn set_interrupt_window(&mut self, exits: bool) {
        let controls = self.read(control::PRIMARY_PROCBASED_EXEC_CONTROLS);
        let window = u64::from(INTERRUPT_WINDOW);
        let changed = if exits {
            controls | window
        } else {
            controls & !window
        };
        self.write(control::PRIMARY_PROCBASED_EXEC_CONTROLS, changed);
    }

    /// A debug exception is due before the guest's next instruction: HLT does not hold it up.
    pub fn has_pending_debug_exception(&self) -> bool {
        self.read(guest::PENDING_DBG_EXCEPTIONS) != 0
    }

    /// Gives the guest the exception that has just exited.
    pub fn reflect_exception(&mut self) {
        event::reflect_exception(self);
    }

    /// Drops the guest's linear translations, as its own change of mode would have.
    pub(super) fn flush_linear(&self) {
        // SAFETY: a VMCS is current, whose VPID is not 0; single-context INVVPID was checked for at boot.
        unsafe { instructions::invvpid_single(self.read(control::VPID) as u16) };
    }

    /// Delivers again what the exit interrupted in the middle of its delivery.
    pub fn reinject_interrupted(&mut self) {
        event::reinject_interrupted(self);
    }
}
