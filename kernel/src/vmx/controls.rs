//! The control fields of every VMCS, found once.

use x86::vmx::vmcs::control::{
    EntryControls, ExitControls, PinbasedControls, PrimaryControls, SecondaryControls,
};

use super::capability::{Field, Missing, adjust};

/// Primary control: exit as soon as the guest takes interrupts. For a while only, when one waits.
pub(super) const INTERRUPT_WINDOW: u32 = PrimaryControls::INTERRUPT_WINDOW_EXITING.bits();

/// It is off to begin with.
const fn without_window(primary: u64) -> u64 {
    primary & !(INTERRUPT_WINDOW as u64)
}

/// Control fields with what the processor demands added.
#[derive(Clone, Copy)]
pub struct Controls {
    /// Pin-based.
    pub pin: u64,
    /// Primary processor-based.
    pub primary: u64,
    /// Secondary processor-based.
    pub secondary: u64,
    /// VM exit.
    pub exit: u64,
    /// VM entry, without the mode of the guest.
    pub entry: u64,
}

impl Controls {
    /// What the hypervisor needs of the processor; what it lacks is the error.
    pub fn find() -> Result<Self, Missing> {
        super::capability::check_ept()?;
        // Virtual NMIs: without them an NMI exit leaves NMIs blocked in the guest's own state.
        let pin = PinbasedControls::EXTERNAL_INTERRUPT_EXITING
            | PinbasedControls::NMI_EXITING
            | PinbasedControls::VIRTUAL_NMIS
            | PinbasedControls::VMX_PREEMPTION_TIMER;
        let primary = PrimaryControls::HLT_EXITING
            | PrimaryControls::MWAIT_EXITING
            | PrimaryControls::MONITOR_EXITING
            | PrimaryControls::RDPMC_EXITING
            | PrimaryControls::CR8_LOAD_EXITING
            | PrimaryControls::CR8_STORE_EXITING
            | PrimaryControls::UNCOND_IO_EXITING
            | PrimaryControls::USE_TSC_OFFSETTING
            | PrimaryControls::USE_MSR_BITMAPS
            | PrimaryControls::SECONDARY_CONTROLS;
        let secondary = SecondaryControls::ENABLE_EPT
            | SecondaryControls::ENABLE_VPID
            | SecondaryControls::ENABLE_RDTSCP
            | SecondaryControls::WBINVD_EXITING
            | SecondaryControls::UNRESTRICTED_GUEST;
        let exit = ExitControls::SAVE_DEBUG_CONTROLS
            | ExitControls::HOST_ADDRESS_SPACE_SIZE
            | ExitControls::ACK_INTERRUPT_ON_EXIT
            | ExitControls::SAVE_IA32_PAT
            | ExitControls::LOAD_IA32_PAT
            | ExitControls::SAVE_IA32_EFER
            | ExitControls::LOAD_IA32_EFER
            | ExitControls::SAVE_VMX_PREEMPTION_TIMER;
        let entry = EntryControls::LOAD_DEBUG_CONTROLS
            | EntryControls::LOAD_IA32_PAT
            | EntryControls::LOAD_IA32_EFER;
        Ok(Self {
            pin: adjust(Field::Pin, pin.bits(), "no-pin-controls")?,
            primary: without_window(adjust(
                Field::Primary,
                primary.bits() | INTERRUPT_WINDOW,
                "no-primary-controls",
            )?),
            secondary: adjust(
                Field::Secondary,
                secondary.bits(),
                "no-ept-vpid-rdtscp-or-unrestricted-guest",
            )?,
            exit: adjust(Field::Exit, exit.bits(), "no-exit-controls")?,
            entry: adjust(Field::Entry, entry.bits(), "no-entry-controls")?,
        })
    }
}
