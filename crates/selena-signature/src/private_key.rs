//! Keys that sign. No hub has one.

use std::fmt;

use ed25519_dalek::{
    Signer, SigningKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes, spki::der::pem::LineEnding},
};
use zeroize::Zeroizing;

use crate::PublicKey;

/// An Ed25519 private key; wiped from memory when it is dropped.
pub struct PrivateKey(Box<SigningKey>);

/// Why there is no private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrivateKeyError {
    /// The text is none.
    #[error(
        "this is no Ed25519 private key: it is PEM of PKCS #8 without a password (`-----BEGIN PRIVATE KEY-----`), as \
         `selenactl publisher keygen` and `openssl genpkey -algorithm ed25519` make it"
    )]
    Malformed,
    /// No random numbers could be had.
    #[error("the operating system gave no random numbers for a key")]
    NoRandomness,
}

impl PrivateKey {
    /// A new key.
    ///
    /// # Errors
    /// [`PrivateKeyError::NoRandomness`].
    pub fn generate() -> Result<Self, PrivateKeyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice()).map_err(|_| PrivateKeyError::NoRandomness)?;
        Ok(Self(Box::new(SigningKey::from_bytes(&bytes))))
    }

    /// The key of a PEM text.
    ///
    /// # Errors
    /// [`PrivateKeyError::Malformed`]; the text is not repeated.
    pub fn from_pem(text: &str) -> Result<Self, PrivateKeyError> {
        let key = SigningKey::from_pkcs8_pem(text.trim()).map_err(|_| PrivateKeyError::Malformed)?;
        Ok(Self(Box::new(key)))
    }

    /// The key as PEM, without its public half: what all programs read.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        let bare = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        bare.to_pkcs8_pem(LineEnding::LF).expect("a key of 32 bytes can be encoded")
    }

    /// The key its signatures are checked with.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey::from_bytes(self.0.verifying_key().as_bytes()).expect("what a private key gives is a good key")
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `openssl pkey` writes the key of RFC 8032, test 1.
    const PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";

    #[test]
    fn a_key_goes_to_pem_and_back() {
        let key = PrivateKey::from_pem(PEM).expect("PEM");
        assert_eq!(key.public().to_base64(), "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
        assert_eq!(key.to_pem().as_str(), PEM);
        let new = PrivateKey::generate().expect("randomness");
        assert_eq!(PrivateKey::from_pem(&new.to_pem()).expect("PEM").public(), new.public());
        assert_ne!(new.public(), key.public());
    }

    #[test]
    fn rfc_8032_test_1() {
        let signature = PrivateKey::from_pem(PEM).expect("PEM").sign(b"");
        assert!(hex::encode(signature).starts_with("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"));
    }

    #[test]
    fn what_is_no_private_key_is_refused_and_never_shown() {
        for bad in ["", "x", &PEM.replace("PRIVATE", "PUBLIC"), &PEM.replace("MC4C", "MC4D"), &PEM[..80]] {
            assert_eq!(PrivateKey::from_pem(bad).err(), Some(PrivateKeyError::Malformed), "{bad:?}");
        }
        let shown = format!("{:?}", PrivateKey::from_pem(PEM).expect("PEM"));
        assert_eq!(shown, "PrivateKey([redacted])");
    }
}
