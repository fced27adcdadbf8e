//! Ed25519: the key that signs a baseline, and the key that it is verified with.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{
    Signature, Signer,
    pkcs8::{
        DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, KeypairBytes, spki::der::pem::LineEnding,
    },
};
use zeroize::Zeroizing;

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is no signing key.
    #[error("a signing key is an Ed25519 key as PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` makes it")]
    Signing,
    /// It is no verification key.
    #[error("a verification key is an Ed25519 key as SPKI in PEM, as `openssl pkey -pubout` makes it")]
    Verification,
}

/// Why a signature does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It is no signature at all.
    #[error("the signature is not 64 bytes in base64")]
    Malformed,
    /// It is of another key, or of other bytes.
    #[error("the signature is not of these bytes by this hub's key")]
    Wrong,
}

/// The key a baseline is signed with. It is not printed, and wiped when dropped.
pub struct SigningKey(Box<ed25519_dalek::SigningKey>);

/// The key a baseline is verified with.
#[derive(Clone, PartialEq, Eq)]
pub struct VerificationKey(ed25519_dalek::VerifyingKey);

impl SigningKey {
    /// The key made of 32 random bytes.
    #[must_use]
    pub fn from_random(bytes: &Zeroizing<[u8; 32]>) -> Self {
        Self(Box::new(ed25519_dalek::SigningKey::from_bytes(bytes)))
    }

    /// Reads a key, PKCS#8 in PEM.
    ///
    /// # Errors
    /// [`KeyError::Signing`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let key = ed25519_dalek::SigningKey::from_pkcs8_pem(text.trim()).map_err(|_| KeyError::Signing)?;
        Ok(Self(Box::new(key)))
    }

    /// As it is stored: PKCS#8 in PEM, in the form that openssl reads too.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        let bare = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        bare.to_pkcs8_pem(LineEnding::LF).expect("a key of 32 bytes can be encoded")
    }

    /// The key by which others verify.
    #[must_use]
    pub fn verification_key(&self) -> VerificationKey {
        VerificationKey(self.0.verifying_key())
    }

    /// Signs; in base64 with a line break at the end.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> String {
        STANDARD.encode(self.0.sign(bytes).to_bytes()) + "\n"
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(of {:?})", self.verification_key())
    }
}

impl VerificationKey {
    /// Reads a key, SPKI in PEM.
    ///
    /// # Errors
    /// [`KeyError::Verification`], also for the weak keys with which anything verifies.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let key = ed25519_dalek::VerifyingKey::from_public_key_pem(text.trim()).map_err(|_| KeyError::Verification)?;
        Self::strong(key)
    }

    /// The key with these bytes, as they are built into a released agent.
    ///
    /// # Errors
    /// [`KeyError::Verification`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        Self::strong(ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Verification)?)
    }

    fn strong(key: ed25519_dalek::VerifyingKey) -> Result<Self, KeyError> {
        if key.is_weak() { Err(KeyError::Verification) } else { Ok(Self(key)) }
    }

    /// As it is stored: SPKI in PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.0.to_public_key_pem(LineEnding::LF).expect("a key of 32 bytes can be encoded")
    }

    /// Whether `signature`, base64, is of these bytes by this key.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(&self, bytes: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let decoded = STANDARD.decode(signature.trim_ascii()).map_err(|_| SignatureError::Malformed)?;
        let signature = Signature::from_slice(&decoded).map_err(|_| SignatureError::Malformed)?;
        self.0.verify_strict(bytes, &signature).map_err(|_| SignatureError::Wrong)
    }
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerificationKey({})", STANDARD.encode(self.0.to_bytes()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Made by `openssl genpkey -algorithm ed25519`.
    const PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";

    pub(crate) fn key(byte: u8) -> SigningKey {
        SigningKey::from_random(&Zeroizing::new([byte; 32]))
    }

    #[test]
    fn keys_go_to_pem_and_back() {
        let key = SigningKey::from_pem(PEM).expect("openssl's");
        assert_eq!(key.to_pem().as_str(), PEM);
        let public = key.verification_key();
        assert_eq!(VerificationKey::from_pem(&public.to_pem()).expect("its own"), public);
        assert_eq!(SigningKey::from_pem(&public.to_pem()).err(), Some(KeyError::Signing));
        for bad in ["", PEM, "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"] {
            assert_eq!(VerificationKey::from_pem(bad), Err(KeyError::Verification));
        }
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(VerificationKey::from_bytes(&neutral), Err(KeyError::Verification), "all verifies with it");
        assert!(!format!("{key:?}").contains("1O5y2"), "no secret is shown");
    }

    #[test]
    fn only_the_right_signature_counts() {
        let (own, other) = (key(1), key(2));
        let signature = own.sign(b"bytes");
        let verify = |bytes: &[u8], signature: &str| own.verification_key().verify(bytes, signature.as_bytes());
        assert_eq!(verify(b"bytes", &signature), Ok(()));
        assert_eq!(verify(b"byteS", &signature), Err(SignatureError::Wrong));
        assert_eq!(verify(b"bytes", &other.sign(b"bytes")), Err(SignatureError::Wrong));
        for bad in ["", "AAAA", "!", &signature[1..]] {
            assert_eq!(verify(b"bytes", bad), Err(SignatureError::Malformed), "{bad:?}");
        }
    }
}
