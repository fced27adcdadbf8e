//! Derived keys, and the key of one file.

use chacha20poly1305::{ChaCha20Poly1305, KeyInit, aead::Aead};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Length of a file's key in bytes.
const FILE_KEY_BYTES: usize = 16;
/// Length of a wrapped key: the key and its tag.
pub(super) const WRAPPED_BYTES: usize = FILE_KEY_BYTES + 16;

/// The key of one file, from which all others of it are derived.
#[derive(Clone)]
pub struct FileKey(Zeroizing<[u8; FILE_KEY_BYTES]>);

impl std::fmt::Debug for FileKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileKey")
    }
}

impl FileKey {
    pub(super) fn new() -> Result<Self, super::AgeError> {
        Ok(Self(Zeroizing::new(super::random()?)))
    }

    /// HKDF-SHA-256 of the file's key.
    pub(super) fn derive(&self, salt: &[u8], info: &str) -> Zeroizing<[u8; 32]> {
        derive(&self.0[..], salt, info)
    }

    /// Wraps this key with a key that wraps nothing else.
    pub(super) fn wrap(&self, key: &[u8; 32]) -> Vec<u8> {
        let sealed = ChaCha20Poly1305::new(key.into()).encrypt(&[0; 12].into(), &self.0[..]);
        sealed.expect("sixteen bytes are not too many")
    }

    /// Opens a wrapped key; `None` if the key is another one.
    pub(super) fn unwrap(wrapped: &[u8], key: &[u8; 32]) -> Option<Self> {
        let opened = ChaCha20Poly1305::new(key.into()).decrypt(&[0; 12].into(), wrapped).ok().map(Zeroizing::new)?;
        let mut bytes = Zeroizing::new([0; FILE_KEY_BYTES]);
        if opened.len() != bytes.len() {
            return None;
        }
        bytes.copy_from_slice(&opened);
        Some(Self(bytes))
    }
}

/// HKDF-SHA-256 with 32 bytes of output.
pub(super) fn derive(input: &[u8], salt: &[u8], info: &str) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(salt), input)
        .expand(info.as_bytes(), &mut key[..])
        .expect("32 bytes are no more than HKDF gives");
    key
}
