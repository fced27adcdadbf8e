//! Names of keys.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::from_hex;

/// Name of a public key: the first 16 bytes of the SHA-256 of its 32 bytes, as 32 lower-case hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

/// A text that is no key id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key id is 32 lower-case hex digits: the first 16 bytes of the SHA-256 of the public key's 32 bytes")]
pub struct KeyIdError;

impl KeyId {
    /// Bytes of a key id.
    pub(crate) const BYTES: usize = 16;

    pub(crate) fn of(digest: [u8; Self::BYTES]) -> Self {
        Self(hex::encode(digest))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        from_hex::<{ Self::BYTES }>(text).map(Self::of).ok_or(KeyIdError)
    }
}

impl TryFrom<String> for KeyId {
    type Error = KeyIdError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_id_only() {
        let good = "0123456789abcdef0123456789abcdef";
        assert_eq!(good.parse::<KeyId>().as_ref().map(KeyId::as_str), Ok(good));
        for bad in
            ["", "0123456789ABCDEF0123456789abcdef", &good[1..], &format!("{good}0"), &format!(" {}", &good[1..])]
        {
            assert_eq!(bad.parse::<KeyId>(), Err(KeyIdError), "{bad:?}");
        }
    }
}
