//! Features of an interface, by name.

use core::fmt;

/// A feature that a version of an interface knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Its name in the spec.
    pub name: &'static str,
    /// Its bit in the capability word, as a mask.
    pub bit: u64,
    /// Every guest has it.
    pub default: bool,
    /// It needs, of each of these lists, one other feature.
    pub requires: &'static [&'static [&'static str]],
    /// The host capability without which it cannot be honoured.
    pub host: Option<&'static str>,
}

/// Why features cannot be selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureError<'n> {
    /// The version has no such feature.
    Unknown(&'n str),
    /// A feature needs one of some others, and none is there.
    Requires {
        /// The feature.
        feature: &'static str,
        /// One of these is needed.
        one_of: &'static [&'static str],
    },
}

impl fmt::Display for FeatureError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "no feature {name} in this version"),
            Self::Requires { feature, one_of } => {
                write!(f, "feature {feature} requires ")?;
                for (i, name) in one_of.iter().enumerate() {
                    write!(f, "{}{name}", if i == 0 { "" } else { " or " })?;
                }
                Ok(())
            }
        }
    }
}

/// `word` with the bits of the named features, if all that they require is there.
pub(crate) fn select<'n>(
    features: &'static [Feature],
    mut word: u64,
    names: impl IntoIterator<Item = &'n str>,
) -> Result<u64, FeatureError<'n>> {
    for name in names {
        match features.iter().find(|feature| feature.name == name) {
            Some(feature) => word |= feature.bit,
            None => return Err(FeatureError::Unknown(name)),
        }
    }
    let has = |name: &str| {
        features
            .iter()
            .any(|feature| feature.name == name && word & feature.bit != 0)
    };
    for feature in features.iter().filter(|feature| word & feature.bit != 0) {
        if let Some(one_of) = feature
            .requires
            .iter()
            .find(|one_of| !one_of.iter().any(|name| has(name)))
        {
            return Err(FeatureError::Requires {
                feature: feature.name,
                one_of,
            });
        }
    }
    Ok(word)
}
