//! How far people trust somebody.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How far a person trusts a publisher or a module (protocol, section 10.7); set by a person only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TrustLevel {
    /// Nothing speaks for it.
    #[default]
    Untrusted,
    /// It is known.
    Basic,
    /// A person relies on it.
    Trusted,
    /// A person has made sure who it is.
    Verified,
}

/// A text that is no trust level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a trust level is one of UNTRUSTED, BASIC, TRUSTED, VERIFIED")]
pub struct UnknownTrustLevel;

impl TrustLevel {
    /// All of them, lowest first.
    pub const ALL: &'static [Self] = &[Self::Untrusted, Self::Basic, Self::Trusted, Self::Verified];

    /// The word of the protocol.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Untrusted => "UNTRUSTED",
            Self::Basic => "BASIC",
            Self::Trusted => "TRUSTED",
            Self::Verified => "VERIFIED",
        }
    }
}

impl fmt::Display for TrustLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TrustLevel {
    type Err = UnknownTrustLevel;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|level| level.as_str() == text).ok_or(UnknownTrustLevel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_levels_are_the_same_in_every_form_and_in_order() {
        for level in TrustLevel::ALL {
            assert_eq!(level.as_str().parse(), Ok(*level));
            assert_eq!(serde_json::json!(level), level.as_str());
        }
        assert!(TrustLevel::ALL.is_sorted());
        assert_eq!("trusted".parse::<TrustLevel>(), Err(UnknownTrustLevel));
    }
}
