//! The MSR language in somebody else's hypervisor: a spec of its own, the macro, and the runtime.
//!
//! [`Vcpu`] is all that an exit handler needs: what RDMSR and WRMSR of a guest give, and the record for a guest that moves.
#![no_std]

use msr_runtime::{Interface, RecordError, Refusal, Reset, record::crc32c};

/// The interface, made from `power.msr`: a module per version.
pub mod power {
    use msr_dsl_macros::interface;
    include!("../power.msr");
}

use power::v2::{Hook, Ia32PerfCtl, State};

/// The guest gets #GP(0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeneralProtection;

/// The processor's part that no spec can say: which performance state it is in.
pub trait Processor {
    /// The state the processor runs in.
    fn performance(&self) -> u16;
    /// Asks the processor for a state.
    fn perform(&mut self, state: u16);
}

/// A guest's virtual processor, as far as this interface goes.
#[derive(Debug)]
pub struct Vcpu {
    state: State,
}

impl Vcpu {
    /// After power-on.
    #[expect(
        clippy::new_without_default,
        reason = "a vCPU is made on purpose, never by default"
    )]
    pub fn new() -> Self {
        Self {
            state: State::create(),
        }
    }

    /// RDMSR.
    ///
    /// # Errors
    /// The guest gets #GP(0).
    pub fn rdmsr(&self, msr: u32, processor: &impl Processor) -> Result<u64, GeneralProtection> {
        match self.state.read(msr) {
            Ok(value) => Ok(value),
            // One more hook in the spec, and this match does not compile until somebody says what it does.
            Err(Refusal::Hook(Hook::Performance)) => Ok(processor.performance().into()),
            Err(Refusal::Hook(Hook::Perform { .. })) // a write's, never a read's
            | Err(Refusal::Fault | Refusal::Unlisted | Refusal::Pass) => Err(GeneralProtection),
        }
    }

    /// WRMSR.
    ///
    /// # Errors
    /// The guest gets #GP(0).
    pub fn wrmsr(
        &mut self,
        msr: u32,
        value: u64,
        processor: &mut impl Processor,
    ) -> Result<(), GeneralProtection> {
        match self.state.write(msr, value) {
            Ok(()) => Ok(()),
            Err(Refusal::Hook(Hook::Perform { value })) => {
                processor.perform(Ia32PerfCtl::from_bits(value).state());
                Ok(())
            }
            Err(Refusal::Hook(Hook::Performance)) // a read's
            | Err(Refusal::Fault | Refusal::Unlisted | Refusal::Pass) => Err(GeneralProtection),
        }
    }

    /// INIT.
    pub fn init(&mut self) {
        self.state.reset(Reset::Init);
    }

    /// The record of a guest that moves; gives its length in bytes.
    ///
    /// # Errors
    /// [`RecordError::NoSpace`] when `out` is shorter than [`Vcpu::RECORD_LENGTH`].
    pub fn save(&self, out: &mut [u8]) -> Result<usize, RecordError> {
        self.state.save(out, crc32c)
    }

    /// The longest record, in bytes.
    pub const RECORD_LENGTH: usize = State::RECORD_LENGTH;

    /// The guest as a record has it, of this version or an older one.
    ///
    /// # Errors
    /// Why the record is refused.
    pub fn restore(record: &[u8]) -> Result<Self, RecordError> {
        State::restore(record, crc32c).map(|state| Self { state })
    }
}
