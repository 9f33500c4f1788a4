//! The run-time choice among the machine-check interfaces and their versions.

use crate::ChoiceError;
use msr_runtime::{
    Extra, ExtraLimits, Feature, Interface, MachineCheck, MachineCheckEvent, PassThrough,
    RecordError, Refusal, Reset,
};

/// A machine-check interface has no hooks: all it does is in its state.
type NoHook = core::convert::Infallible;

/// A version of a machine-check interface that [`McState`] offers.
pub trait McVersion: Interface<Hook: Into<NoHook>> + MachineCheck {
    /// The state of this version; `None` if the vCPU lives under another.
    fn of(state: &mut McState) -> Option<&mut Self>;
}

/// Something that exists once for each version, made for the one under which a vCPU lives; see
/// [`McState::for_version`].
pub trait ForVersion {
    /// What it is.
    type Made;
    /// Makes it for the version `S`.
    fn make<S: McVersion>() -> Self::Made;
}

macro_rules! mc_state {
    ($($module:ident { $($variant:ident = $version:ident),* $(,)? })*) => {
        /// The machine-check registers of one vCPU, under the interface and version that its guest was created with.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        // There is no heap to put a large one on; the largest is under 512 bytes.
        #[allow(clippy::large_enum_variant)]
        pub enum McState {
            $($(
                #[doc = concat!("`", stringify!($module), "`, version ", stringify!($version), ".")]
                $variant(crate::$module::$version::State),
            )*)*
        }

        $($(type $variant = crate::$module::$version::State;)*)*

        $($(
            impl McVersion for $variant {
                #[inline(always)]
                fn of(state: &mut McState) -> Option<&mut Self> {
                    match state {
                        McState::$variant(state) => Some(state),
                        _ => None,
                    }
                }
            }
        )*)*

        macro_rules! each {
            ($self:expr, $state:ident => $body:expr) => {
                match $self { $($(McState::$variant($state) => $body,)*)* }
            };
        }

        impl McState {
            /// A new guest's vCPU, by interface name and version, with some more features by name.
            ///
            /// # Errors
            /// No such interface, version or feature, or a feature whose requirement is not met.
            pub fn create<'n>(
                interface: &'n str,
                version: u16,
                features: impl IntoIterator<Item = &'n str>,
            ) -> Result<Self, ChoiceError<'n>> {
                $($(
                    if interface == <$variant>::NAME && version == <$variant>::VERSION {
                        return <$variant>::with_features(features).map(Self::$variant).map_err(ChoiceError::Feature);
                    }
                )*)*
                Err(Self::no_such(interface, version))
            }

            /// The machine-check interfaces, by name.
            pub const INTERFACES: &'static [&'static str] = &[$(crate::$module::NAME),*];

            /// Every interface and version under which a guest can start, the interfaces' oldest versions first.
            pub const CREATABLE: &'static [(&'static str, u16)] =
                &[$($((<$variant>::NAME, <$variant>::VERSION)),*),*];

            /// A vCPU of a guest that lives under an interface and version, as a record has it.
            ///
            /// # Errors
            /// As [`McState::restore_with`].
            pub fn restore<'n>(
                interface: &'n str,
                version: u16,
                record: &[u8],
                crc32c: impl Fn(u32, &[u8]) -> u32,
            ) -> Result<Result<Self, RecordError>, ChoiceError<'n>> {
                Self::restore_with(interface, version, record, crc32c, &Extra::NONE)
            }

            /// A vCPU of a guest that lives under an interface and version, as a record has it. Capability bits and tags that
            /// `extra` names are accepted too.
            ///
            /// # Errors
            /// No such interface or version (nothing is read then), or why the record is refused.
            pub fn restore_with<'n>(
                interface: &'n str,
                version: u16,
                record: &[u8],
                crc32c: impl Fn(u32, &[u8]) -> u32,
                extra: &Extra,
            ) -> Result<Result<Self, RecordError>, ChoiceError<'n>> {
                $($(if interface == <$variant>::NAME && version == <$variant>::VERSION {
                    return Ok(<$variant>::restore_with(record, crc32c, extra).map(Self::$variant));
                })*)*
                Err(Self::no_such(interface, version))
            }

            /// Why there is no such version.
            fn no_such(interface: &str, version: u16) -> ChoiceError<'_> {
                $(if interface == crate::$module::NAME {
                    return ChoiceError::Version(interface, version, crate::$module::VERSIONS);
                })*
                ChoiceError::Interface(interface, Self::INTERFACES)
            }

            /// The longest record of any interface and version, in bytes.
            pub const LONGEST_RECORD: usize = {
                let mut longest = 0;
                $($(if <crate::$module::$version::State>::RECORD_LENGTH > longest {
                    longest = <crate::$module::$version::State>::RECORD_LENGTH;
                })*)*
                longest
            };

            /// The newest version of an interface under which a guest can run.
            pub fn newest(interface: &str) -> Option<u16> {
                $(if interface == crate::$module::NAME {
                    return crate::$module::VERSIONS.last().copied();
                })*
                None
            }
        }
    };
}

/// The versions of each interface, from the interface itself: one that a spec gains is offered by that alone.
macro_rules! of_interfaces {
    ({ $($interfaces:tt)* }) => { mc_state! { $($interfaces)* } };
    ({ $($done:tt)* } $module:ident $($rest:ident)*) => {
        crate::$module::versions! { of_interfaces { $($done)* } $module { $($rest)* } }
    };
}

of_interfaces! { {} vmce vmce_amd kvm sdm }

#[inline(always)]
fn no_hook<T, H>(result: Result<T, Refusal<H>>) -> Result<T, Refusal<NoHook>>
where
    NoHook: From<H>,
{
    result.map_err(|refusal| match refusal {
        Refusal::Fault => Refusal::Fault,
        Refusal::Unlisted => Refusal::Unlisted,
        Refusal::Pass => Refusal::Pass,
        Refusal::Hook(hook) => Refusal::Hook(hook.into()),
    })
}

impl McState {
    /// What exists once for each version, for this vCPU's. A hypervisor chooses here, when the vCPU is created, the
    /// function that answers its accesses: then the choice among the versions costs an access nothing.
    pub fn for_version<F: ForVersion>(&self) -> F::Made {
        fn of<S: McVersion, F: ForVersion>(_: &S) -> F::Made {
            F::make::<S>()
        }
        each!(self, state => of::<_, F>(state))
    }

    /// RDMSR.
    ///
    /// # Errors
    /// What else than a value the guest gets.
    #[inline(always)]
    pub fn read(&self, msr: u32) -> Result<u64, Refusal<NoHook>> {
        each!(self, state => no_hook(state.read(msr)))
    }

    /// WRMSR.
    ///
    /// # Errors
    /// What else than success the guest gets.
    #[inline(always)]
    pub fn write(&mut self, msr: u32, value: u64) -> Result<(), Refusal<NoHook>> {
        each!(self, state => no_hook(state.write(msr, value)))
    }

    /// Power-on or INIT.
    pub fn reset(&mut self, reset: Reset) {
        each!(self, state => state.reset(reset));
    }

    /// The interface's name.
    pub fn name(&self) -> &'static str {
        fn of<S: Interface>(_: &S) -> &'static str {
            S::NAME
        }
        each!(self, state => of(state))
    }

    /// The version under which the guest lives.
    pub fn version(&self) -> u16 {
        fn of<S: Interface>(_: &S) -> u16 {
            S::VERSION
        }
        each!(self, state => of(state))
    }

    /// MSRs of the interface that go to hardware without an exit.
    pub fn pass_through(&self) -> &'static [PassThrough] {
        fn of<S: Interface>(_: &S) -> &'static [PassThrough] {
            S::PASS_THROUGH
        }
        each!(self, state => of(state))
    }

    /// What an administrator may name beside the version.
    pub fn extra_limits(&self) -> ExtraLimits<'static> {
        fn of<S: Interface>(_: &S) -> ExtraLimits<'static> {
            S::EXTRA
        }
        each!(self, state => of(state))
    }

    /// Features that the version knows.
    pub fn features(&self) -> &'static [Feature] {
        fn of<S: Interface>(_: &S) -> &'static [Feature] {
            S::FEATURES
        }
        each!(self, state => of(state))
    }

    /// The guest's capability word.
    pub fn capability_word(&self) -> u64 {
        each!(self, state => state.capability_word())
    }

    /// Writes the record of this vCPU; gives its length in bytes.
    ///
    /// # Errors
    /// [`RecordError::NoSpace`] if `out` is shorter than the record ([`McState::LONGEST_RECORD`] is always enough).
    pub fn save(
        &self,
        out: &mut [u8],
        crc32c: impl Fn(u32, &[u8]) -> u32,
    ) -> Result<usize, RecordError> {
        each!(self, state => state.save(out, crc32c))
    }
}

impl MachineCheck for McState {
    #[inline(always)]
    fn is_broadcast(&self) -> bool {
        each!(self, state => state.is_broadcast())
    }

    #[inline(always)]
    fn in_progress(&self) -> bool {
        each!(self, state => state.in_progress())
    }

    #[inline(always)]
    fn local_enabled(&self) -> bool {
        each!(self, state => state.local_enabled())
    }

    fn pending(&self) -> bool {
        each!(self, state => state.pending())
    }

    fn set_pending(&mut self, pending: bool) {
        each!(self, state => state.set_pending(pending));
    }

    fn inject(&mut self, event: &MachineCheckEvent) {
        each!(self, state => state.inject(event));
    }
}
