//! What code generated from an MSR spec needs at run time, and the traits through which a hypervisor uses it.
//!
//! Principles: no allocation, no panic, no unsafe; a register access is one dispatch in constant time.
#![no_std]
#![forbid(unsafe_code)]

pub mod extra;
mod feature;
pub mod record;
mod shared;

pub use bitfield_struct;
pub use extra::{Extra, ExtraLimits};
pub use feature::{Feature, FeatureError};
pub use record::RecordError;
pub use shared::{SharedInterface, SharedState};

/// Why an access was not answered from the state of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal<H> {
    /// The guest gets #GP(0).
    Fault,
    /// The spec does not list this MSR. (What the hypervisor does with it is #GP(0); a chain of interfaces asks the next one first.)
    Unlisted,
    /// The hypervisor has to act; the value says which hook of the spec, with its typed argument.
    Hook(H),
    /// The access goes to the hardware register of the same number.
    Pass,
}

/// Which reset a vCPU goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Power-on: every register takes its reset value.
    PowerOn,
    /// INIT: registers that the spec keeps over INIT keep their value.
    Init,
}

/// A range of MSRs that a guest reaches without an exit. Inclusive at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassThrough {
    /// First MSR of the range.
    pub first: u32,
    /// Last MSR of the range.
    pub last: u32,
    /// Reads go to hardware.
    pub read: bool,
    /// Writes go to hardware.
    pub write: bool,
}

/// One version of an interface: the registers of one vCPU and their behaviour. Where some registers are the whole guest's, it is a
/// [`SharedInterface`] instead.
pub trait Interface {
    /// The interface's name, as in its spec.
    const NAME: &'static str;
    /// The version of which this is the view.
    const VERSION: u16;
    /// MSRs that go to hardware without an exit.
    const PASS_THROUGH: &'static [PassThrough];
    /// Features that this version knows.
    const FEATURES: &'static [Feature];
    /// Accesses that need the hypervisor to act (uninhabited when the spec has none).
    type Hook: Copy;

    /// A new guest's vCPU, with the features that every guest has.
    fn create() -> Self;
    /// The guest's capability word (0 where the interface has none).
    fn capability_word(&self) -> u64;
    /// Gives the guest another capability word, unchecked; see [`Interface::with_features`].
    fn set_capability_word(&mut self, word: u64);
    /// A new guest's vCPU with some more features, by name.
    ///
    /// # Errors
    /// A name that this version does not know, or a feature whose requirement is not met.
    fn with_features<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, FeatureError<'n>>
    where
        Self: Sized,
    {
        let mut state = Self::create();
        let word = feature::select(Self::FEATURES, state.capability_word(), names)?;
        state.set_capability_word(word);
        Ok(state)
    }

    /// The length of a saved record, in bytes.
    const RECORD_LENGTH: usize;
    /// Writes the record of this vCPU; gives its length in bytes. `crc32c` continues a CRC-32C over some bytes
    /// ([`record::crc32c`], or the processor's instruction).
    ///
    /// # Errors
    /// [`RecordError::NoSpace`].
    fn save(
        &self,
        out: &mut [u8],
        crc32c: impl Fn(u32, &[u8]) -> u32,
    ) -> Result<usize, RecordError>;
    /// A vCPU as a record has it, written by this version, an older one, or a newer one all of whose items are known or
    /// zero.
    ///
    /// # Errors
    /// What the record holds that this version cannot honour, or why the bytes are no record.
    fn restore(bytes: &[u8], crc32c: impl Fn(u32, &[u8]) -> u32) -> Result<Self, RecordError>
    where
        Self: Sized,
    {
        Self::restore_with(bytes, crc32c, &Extra::NONE)
    }
    /// What an administrator may name beside this version.
    const EXTRA: ExtraLimits<'static>;
    /// As [`Interface::restore`]; capability bits and tags that `extra` names are accepted too.
    ///
    /// # Errors
    /// As [`Interface::restore`].
    fn restore_with(
        bytes: &[u8],
        crc32c: impl Fn(u32, &[u8]) -> u32,
        extra: &Extra,
    ) -> Result<Self, RecordError>
    where
        Self: Sized;

    /// RDMSR of `msr` (32 bits, ECX).
    fn read(&self, msr: u32) -> Result<u64, Refusal<Self::Hook>>;
    /// WRMSR of `value` to `msr`.
    fn write(&mut self, msr: u32, value: u64) -> Result<(), Refusal<Self::Hook>>;
    /// RDMSR where an administrator has named extras: those read zero if the interface does not list them.
    ///
    /// # Errors
    /// As [`Interface::read`].
    fn read_with(&self, msr: u32, extra: &Extra) -> Result<u64, Refusal<Self::Hook>> {
        match self.read(msr) {
            Err(Refusal::Unlisted) if extra.has_msr(msr) => Ok(0),
            answer => answer,
        }
    }
    /// WRMSR where an administrator has named extras: those ignore writes if the interface does not list them.
    ///
    /// # Errors
    /// As [`Interface::write`].
    fn write_with(
        &mut self,
        msr: u32,
        value: u64,
        extra: &Extra,
    ) -> Result<(), Refusal<Self::Hook>> {
        match self.write(msr, value) {
            Err(Refusal::Unlisted) if extra.has_msr(msr) => Ok(()),
            answer => answer,
        }
    }
    /// Power-on or INIT.
    fn reset(&mut self, reset: Reset);
}

/// An error as a guest's bank shows it. `address` is guest-physical.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorRecord {
    /// MCi_STATUS as the host saw it; the spec's injection mask decides which bits arrive.
    pub status: u64,
    /// MCi_ADDR: a guest-physical address (bytes), meaningful with ADDRV.
    pub address: u64,
    /// MCi_MISC, meaningful with MISCV.
    pub misc: u64,
}

/// One machine-check exception as one vCPU is to see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineCheckEvent {
    /// MCG_STATUS.RIPV: the interrupted context can go on.
    pub restart_ip_valid: bool,
    /// MCG_STATUS.EIPV: the interrupted instruction is the one that met the error.
    pub error_ip_valid: bool,
    /// MCG_STATUS.LMCE_S: signalled to this vCPU alone.
    pub local: bool,
    /// The bank's content; none for a vCPU that is only told (clean banks).
    pub record: Option<ErrorRecord>,
}

/// The machine-check part of an interface, made from the spec's `injection` section.
pub trait MachineCheck {
    /// Every vCPU of the guest is told of an error (Intel), or only the one it is for (AMD).
    fn is_broadcast(&self) -> bool;
    /// MCG_STATUS.MCIP: the guest has not finished with an earlier one.
    fn in_progress(&self) -> bool;
    /// The guest was promised local machine checks and has enabled them.
    fn local_enabled(&self) -> bool;
    /// A machine check is injected and not delivered yet. False in versions whose record does not carry it.
    fn pending(&self) -> bool {
        false
    }
    /// Notes that a machine check was injected and not delivered, or was delivered, for a guest that is moved in between.
    fn set_pending(&mut self, _pending: bool) {}
    /// Sets MCG_STATUS (with MCIP) and, with a record, the error bank; only bits that the spec gives to an injection.
    fn inject(&mut self, event: &MachineCheckEvent);
}
