//! Interfaces with registers that all vCPUs of a guest share (`scope guest` in a spec).
//!
//! Their state is apart from that of the vCPUs, so that a vCPU's copy of it cannot be stale: an access takes both. Who may write it
//! is the hypervisor's to say: a lock around [`SharedInterface::write`], which `&mut` asks for; reads may run side by side.

use crate::record::RecordError;
use crate::{Extra, ExtraLimits, Feature, FeatureError, PassThrough, Refusal, Reset, feature};

/// What all vCPUs of a guest share: one for each guest.
pub trait SharedState: Sized {
    /// The interface's name, as in its spec.
    const NAME: &'static str;
    /// The version of which this is the view.
    const VERSION: u16;
    /// That of a new guest, and of one that is powered on again.
    fn create() -> Self;
    /// The length of its saved record, in bytes.
    const RECORD_LENGTH: usize;
    /// Writes its record, which is one beside those of the vCPUs; gives its length in bytes. `crc32c` as for
    /// [`Interface::save`](crate::Interface::save).
    ///
    /// # Errors
    /// [`RecordError::NoSpace`].
    fn save(
        &self,
        out: &mut [u8],
        crc32c: impl Fn(u32, &[u8]) -> u32,
    ) -> Result<usize, RecordError>;
    /// What a guest's vCPUs share, as a record has it.
    ///
    /// # Errors
    /// [`RecordError::NotOfGuest`] for a vCPU's record; else as [`Interface::restore`](crate::Interface::restore).
    fn restore(bytes: &[u8], crc32c: impl Fn(u32, &[u8]) -> u32) -> Result<Self, RecordError> {
        Self::restore_with(bytes, crc32c, &Extra::NONE)
    }
    /// As [`SharedState::restore`]; tags that `extra` names are dropped.
    ///
    /// # Errors
    /// As [`SharedState::restore`].
    fn restore_with(
        bytes: &[u8],
        crc32c: impl Fn(u32, &[u8]) -> u32,
        extra: &Extra,
    ) -> Result<Self, RecordError>;
}

/// One version of an interface some of whose registers are the whole guest's: the registers of one vCPU, and how accesses by it
/// go. What is not said here is as in [`Interface`](crate::Interface).
pub trait SharedInterface {
    /// The interface's name, as in its spec.
    const NAME: &'static str;
    /// The version of which this is the view.
    const VERSION: u16;
    /// MSRs that go to hardware without an exit.
    const PASS_THROUGH: &'static [PassThrough];
    /// Features that this version knows.
    const FEATURES: &'static [Feature];
    /// What an administrator may name beside this version.
    const EXTRA: ExtraLimits<'static>;
    /// Accesses that need the hypervisor to act.
    type Hook: Copy;
    /// What the guest's vCPUs share.
    type Guest: SharedState;

    /// A new guest's vCPU, with the features that every guest has.
    fn create() -> Self;
    /// The guest's capability word (0 where the interface has none). The hypervisor gives all vCPUs of a guest the same.
    fn capability_word(&self) -> u64;
    /// Gives the vCPU another capability word, unchecked.
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

    /// The length of a vCPU's saved record, in bytes.
    const RECORD_LENGTH: usize;
    /// Writes the record of this vCPU, in which nothing is that the guest's vCPUs share.
    ///
    /// # Errors
    /// [`RecordError::NoSpace`].
    fn save(
        &self,
        out: &mut [u8],
        crc32c: impl Fn(u32, &[u8]) -> u32,
    ) -> Result<usize, RecordError>;
    /// A vCPU as a record has it.
    ///
    /// # Errors
    /// As [`Interface::restore`](crate::Interface::restore).
    fn restore(bytes: &[u8], crc32c: impl Fn(u32, &[u8]) -> u32) -> Result<Self, RecordError>
    where
        Self: Sized,
    {
        Self::restore_with(bytes, crc32c, &Extra::NONE)
    }
    /// As [`SharedInterface::restore`]; capability bits and tags that `extra` names are accepted too.
    ///
    /// # Errors
    /// As [`SharedInterface::restore`].
    fn restore_with(
        bytes: &[u8],
        crc32c: impl Fn(u32, &[u8]) -> u32,
        extra: &Extra,
    ) -> Result<Self, RecordError>
    where
        Self: Sized;

    /// RDMSR of `msr` (32 bits, ECX) by this vCPU.
    ///
    /// # Errors
    /// Why it is not answered from state.
    fn read(&self, guest: &Self::Guest, msr: u32) -> Result<u64, Refusal<Self::Hook>>;
    /// WRMSR of `value` to `msr` by this vCPU.
    ///
    /// # Errors
    /// Why it is not taken.
    fn write(
        &mut self,
        guest: &mut Self::Guest,
        msr: u32,
        value: u64,
    ) -> Result<(), Refusal<Self::Hook>>;
    /// RDMSR where an administrator has named extras: those read zero if the interface does not list them.
    ///
    /// # Errors
    /// As [`SharedInterface::read`].
    fn read_with(
        &self,
        guest: &Self::Guest,
        msr: u32,
        extra: &Extra,
    ) -> Result<u64, Refusal<Self::Hook>> {
        match self.read(guest, msr) {
            Err(Refusal::Unlisted) if extra.has_msr(msr) => Ok(0),
            answer => answer,
        }
    }
    /// WRMSR where an administrator has named extras: those ignore writes if the interface does not list them.
    ///
    /// # Errors
    /// As [`SharedInterface::write`].
    fn write_with(
        &mut self,
        guest: &mut Self::Guest,
        msr: u32,
        value: u64,
        extra: &Extra,
    ) -> Result<(), Refusal<Self::Hook>> {
        match self.write(guest, msr, value) {
            Err(Refusal::Unlisted) if extra.has_msr(msr) => Ok(()),
            answer => answer,
        }
    }
    /// Power-on or INIT of this vCPU. At power-on what the guest's vCPUs share stays ([`SharedState::create`] is for that); at INIT
    /// it stays but where the spec says `init reset` or `init VALUE`.
    fn reset(&mut self, guest: &mut Self::Guest, reset: Reset);
}
