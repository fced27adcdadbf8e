//! Keys that signatures are checked with.

use std::{fmt, str::FromStr};

use ed25519_dalek::{
    Signature, VerifyingKey,
    pkcs8::{DecodePublicKey, EncodePublicKey, spki::der::pem::LineEnding},
};
use sha2::{Digest, Sha256};

use crate::{KeyId, from_base64, to_base64};

/// An Ed25519 public key in its one encoding, and not one of the few under which everything verifies.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// Why something is no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// Neither of the two forms.
    #[error(
        "a public key is an Ed25519 key as PEM (`-----BEGIN PUBLIC KEY-----`), or its 32 bytes as 44 characters of base64"
    )]
    Malformed,
    /// The bytes are no point of the curve in its one encoding.
    #[error("this is not an Ed25519 public key: its 32 bytes are no point of the curve")]
    NotAKey,
    /// A point of small order.
    #[error("this public key is weak: signatures that nobody made would verify with it")]
    Weak,
}

impl PublicKey {
    /// The key of these bytes.
    ///
    /// # Errors
    /// [`PublicKeyError::NotAKey`], [`PublicKeyError::Weak`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, PublicKeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| PublicKeyError::NotAKey)?;
        if !is_canonical(bytes) {
            return Err(PublicKeyError::NotAKey);
        }
        if key.is_weak() { Err(PublicKeyError::Weak) } else { Ok(Self(key)) }
    }

    /// The key of a text that is nothing but base64 of its bytes.
    ///
    /// # Errors
    /// [`PublicKeyError`].
    pub fn from_base64(text: &str) -> Result<Self, PublicKeyError> {
        Self::from_bytes(&from_base64(text).ok_or(PublicKeyError::Malformed)?)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Its bytes as base64.
    #[must_use]
    pub fn to_base64(&self) -> String {
        to_base64(self.as_bytes())
    }

    /// The key as PEM, as `openssl pkey -pubout` writes it.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.0.to_public_key_pem(LineEnding::LF).expect("a key of 32 bytes can be encoded")
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let digest: [u8; 32] = Sha256::digest(self.as_bytes()).into();
        let (id, _rest) = digest.split_first_chunk().expect("a digest has more bytes than an id");
        KeyId::of(*id)
    }

    /// Whether its owner signed the message. Of the forms a signature could be given, only the one is taken.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

/// Whether the encoded coordinate is below the field's prime, 2^255 - 19.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = bytes;
    *low < 0xed || high & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff)
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

/// Reads what people have: PEM, or base64, with white space around it.
impl FromStr for PublicKey {
    type Err = PublicKeyError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if !text.starts_with('-') {
            return Self::from_base64(text);
        }
        let key = VerifyingKey::from_public_key_pem(text).map_err(|_| PublicKeyError::Malformed)?;
        Self::from_bytes(key.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `openssl pkey -pubout` writes the key of RFC 8032, test 1.
    const PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
    const BASE64: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    #[test]
    fn both_forms_of_a_key_are_the_same_key() {
        let key: PublicKey = PEM.parse().expect("PEM");
        assert_eq!(BASE64.parse(), Ok(key.clone()));
        assert_eq!(format!("  {BASE64}\n").parse(), Ok(key.clone()));
        assert_eq!((key.to_pem().as_str(), key.to_base64().as_str()), (PEM, BASE64));
        assert_eq!(key.id().as_str(), "21fe31dfa154a261626bf854046fd227");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let private = "-----BEGIN PRIVATE KEY-----\n\
            MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
        let x25519 = "-----BEGIN PUBLIC KEY-----\n\
            MCowBQYDK2VuAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
        let url_safe = BASE64.replace('/', "_");
        let (cut, spaced) = (&BASE64[1..], BASE64.replace('q', " q"));
        // The last character before the padding has two bits that say nothing.
        let trailing = BASE64.replace("o=", "p=");
        for bad in ["", private, x25519, &url_safe, cut, &spaced, &trailing, BASE64.trim_end_matches('=')] {
            assert_eq!(bad.parse::<PublicKey>(), Err(PublicKeyError::Malformed), "{bad:?}");
        }
        assert_eq!(
            PublicKey::from_base64(&format!("{BASE64}\n")),
            Err(PublicKeyError::Malformed),
            "nothing but base64"
        );
    }

    #[test]
    fn keys_under_which_anything_verifies_are_refused() {
        let mut one = [0; 32];
        one[0] = 1;
        let mut minus_one = [0xff; 32];
        (minus_one[0], minus_one[31]) = (0xec, 0x7f);
        for weak in [[0; 32], one, minus_one] {
            assert_eq!(PublicKey::from_bytes(&weak), Err(PublicKeyError::Weak), "{weak:02x?}");
        }
    }

    #[test]
    fn a_key_in_a_second_encoding_is_refused() {
        // y = p + 3: the point of y = 3, with a name of its own.
        let mut three = [0; 32];
        three[0] = 3;
        let mut again = [0xff; 32];
        (again[0], again[31]) = (0xed + 3, 0x7f);
        assert!(PublicKey::from_bytes(&three).is_ok(), "the point is on the curve");
        assert_eq!(PublicKey::from_bytes(&again), Err(PublicKeyError::NotAKey));
        let mut not_on_curve = [0; 32];
        not_on_curve[0] = 2;
        assert_eq!(PublicKey::from_bytes(&not_on_curve), Err(PublicKeyError::NotAKey));
    }
}
