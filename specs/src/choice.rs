//! `vmce@3+LMCE`: which interface, which version, which features.

use crate::McState;
use core::fmt;
use msr_runtime::FeatureError;

/// An interface, a version and features, as a user writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice<'n> {
    /// The interface's name.
    pub interface: &'n str,
    /// The version; none for the newest.
    pub version: Option<u16>,
    features: &'n str,
}

/// Why a choice cannot be honoured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChoiceError<'n> {
    /// The text is not `NAME[@VERSION][+FEATURE...]`.
    Form(&'n str),
    /// No interface of that name; these there are.
    Interface(&'n str, &'static [&'static str]),
    /// No such version of the interface; these a guest can run under.
    Version(&'n str, u16, &'static [u16]),
    /// About a feature.
    Feature(FeatureError<'n>),
}

impl<'n> Choice<'n> {
    /// Reads `NAME[@VERSION][+FEATURE...]`.
    ///
    /// # Errors
    /// [`ChoiceError::Form`] when the text has another form.
    pub fn parse(text: &'n str) -> Result<Self, ChoiceError<'n>> {
        let (base, features) = text.split_once('+').unwrap_or((text, ""));
        let (interface, version) = match base.split_once('@') {
            Some((interface, digits)) => match digits.parse() {
                Ok(version) => (interface, Some(version)),
                Err(_) => return Err(ChoiceError::Form(text)),
            },
            None => (base, None),
        };
        if interface.is_empty()
            || text.ends_with('+')
            || features.split('+').any(str::is_empty) && !features.is_empty()
        {
            return Err(ChoiceError::Form(text));
        }
        Ok(Self {
            interface,
            version,
            features,
        })
    }

    /// The features' names.
    pub fn features(&self) -> impl Iterator<Item = &'n str> {
        self.features.split('+').filter(|name| !name.is_empty())
    }

    /// A new guest's vCPU under this choice.
    ///
    /// # Errors
    /// As [`McState::create`].
    pub fn create(&self) -> Result<McState, ChoiceError<'n>> {
        let version = match self.version {
            Some(version) => version,
            None => McState::newest(self.interface)
                .ok_or(ChoiceError::Interface(self.interface, McState::INTERFACES))?,
        };
        McState::create(self.interface, version, self.features())
    }
}

impl fmt::Display for ChoiceError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(text) => write!(
                f,
                "`{text}` is not NAME, NAME@VERSION or NAME@VERSION+FEATURE"
            ),
            Self::Interface(name, known) => {
                write!(f, "no machine-check interface `{name}`; there are")?;
                known.iter().try_for_each(|name| write!(f, " {name}"))
            }
            Self::Version(name, version, known) => {
                write!(
                    f,
                    "no version {version} of `{name}` that a guest can run under; there are"
                )?;
                known.iter().try_for_each(|version| write!(f, " {version}"))
            }
            Self::Feature(error) => error.fmt(f),
        }
    }
}
