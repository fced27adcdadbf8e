//! What a file is locked with, and what opens it.

use std::{fmt, str::FromStr};

use bech32::{Bech32, Hrp, primitives::decode::CheckedHrpstring};
use selena_types::Secret;
use x25519_dalek::{PublicKey, StaticSecret};

const RECIPIENT: &str = "age";
const IDENTITY: &str = "age-secret-key-";

/// Why a text is no key. It does not repeat the text, which may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is no recipient.
    #[error("a recipient is a public key of age-keygen: `age1` and 58 characters more")]
    Recipient,
    /// It is no identity.
    #[error("an identity is a private key of age-keygen: `AGE-SECRET-KEY-1` and 58 characters more")]
    Identity,
    /// A passphrase has something in it.
    #[error("a passphrase has 1 to 1024 characters, and no line break")]
    Passphrase,
}

/// A public key, `age1…`: what it locks, only its identity opens.
#[derive(Clone)]
pub struct Recipient(pub(super) PublicKey);

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recipient")
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hrp = Hrp::parse(RECIPIENT).map_err(|_| fmt::Error)?;
        f.write_str(&bech32::encode::<Bech32>(hrp, self.0.as_bytes()).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Recipient {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = decode(text, RECIPIENT).ok_or(KeyError::Recipient)?;
        Ok(Self(PublicKey::from(bytes)))
    }
}

/// A private key, `AGE-SECRET-KEY-1…`.
#[derive(Clone)]
pub struct Identity(pub(super) StaticSecret);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

impl Identity {
    /// The key that locks what this one opens.
    #[must_use]
    pub fn recipient(&self) -> Recipient {
        Recipient(PublicKey::from(&self.0))
    }

    /// Reads what `age-keygen` writes: one identity, among comments and empty lines.
    ///
    /// # Errors
    /// [`KeyError::Identity`].
    pub fn from_file(text: &str) -> Result<Self, KeyError> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        match (lines.next(), lines.next()) {
            (Some(line), None) => line.parse(),
            _ => Err(KeyError::Identity),
        }
    }
}

impl FromStr for Identity {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = decode(text, IDENTITY).ok_or(KeyError::Identity)?;
        Ok(Self(StaticSecret::from(bytes)))
    }
}

fn decode(text: &str, prefix: &str) -> Option<[u8; 32]> {
    let checked = CheckedHrpstring::new::<Bech32>(text).ok()?;
    let hrp = Hrp::parse(prefix).ok()?;
    // An identity is written in capitals, a recipient in small letters.
    let is_upper = text.bytes().all(|byte| !byte.is_ascii_lowercase());
    let right_case = is_upper == (prefix == IDENTITY);
    let bytes: Vec<u8> = checked.byte_iter().collect();
    (checked.hrp() == hrp && right_case).then_some(())?;
    bytes.try_into().ok()
}

/// What a file is locked with.
#[derive(Debug)]
pub enum Lock {
    /// A public key.
    Recipient(Recipient),
    /// A passphrase.
    Passphrase(Secret),
}

/// What opens a file.
#[derive(Debug)]
pub enum Key {
    /// A private key.
    Identity(Identity),
    /// A passphrase.
    Passphrase(Secret),
}

/// A passphrase as a file or form holds it: one line break at its end is not part of it.
///
/// # Errors
/// [`KeyError::Passphrase`].
pub(super) fn passphrase(text: &str) -> Result<Secret, KeyError> {
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    let good = (1..=1024).contains(&text.chars().count()) && !text.contains(['\n', '\r']);
    if good { Ok(Secret::new(text.to_owned())) } else { Err(KeyError::Passphrase) }
}

impl Lock {
    /// A lock by passphrase.
    ///
    /// # Errors
    /// [`KeyError::Passphrase`].
    pub fn passphrase(text: &str) -> Result<Self, KeyError> {
        passphrase(text).map(Self::Passphrase)
    }
}

impl Key {
    /// A passphrase.
    ///
    /// # Errors
    /// [`KeyError::Passphrase`].
    pub fn passphrase(text: &str) -> Result<Self, KeyError> {
        passphrase(text).map(Self::Passphrase)
    }
}
