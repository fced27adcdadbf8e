//! Sealing and opening of what lies in the database.
//!
//! A sealed secret is: format version (1 byte), key id (8), nonce (12, random), ciphertext, tag (16).
//! Associated data: format version, key id, context. All that is not the ciphertext is thus bound to it.

use std::{fmt, path::Path, sync::Arc};

use selena_core::ports::{SealError, Sealer};

use crate::{
    files::FileVault,
    key_ring::{KEY_ID_BYTES, KeyId, KeyRing, NONCE_BYTES, SealingKey, TAG_BYTES},
    secure_file::SecureFileError,
};

const VERSION: u8 = 1;

/// Seals with a key that lies in a file (protocol, section 7). The key is wiped from memory when this is dropped.
pub struct FileKeySealer {
    ring: Arc<KeyRing>,
}

impl FileKeySealer {
    /// Takes the key `hub.key` of an existing secure directory, and makes it if it is not there.
    ///
    /// Blocking: to be called before the work begins.
    ///
    /// # Errors
    /// [`SecureFileError::Refused`] if the file is not this user's alone: another mode than 0600, another owner,
    /// a symbolic link, a second hard link, another size than of one key or two (S05).
    pub fn open_or_create(secure_dir: &Path) -> Result<Self, SecureFileError> {
        Ok(Self { ring: Arc::new(KeyRing::open_or_create(secure_dir)?) })
    }

    /// Whether the key was made just now: then nothing that was sealed before opens any more.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.ring.is_new
    }

    /// The files of the same secure directory, sealed with the same keys.
    #[must_use]
    pub fn vault(&self) -> FileVault {
        FileVault::new(self.ring.clone())
    }
}

fn associated(key: &KeyId, context: &str) -> Vec<u8> {
    [&[VERSION][..], key, context.as_bytes()].concat()
}

impl Sealer for FileKeySealer {
    fn seal(&self, context: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let (key, nonce) = (self.ring.newest(), SealingKey::nonce()?);
        let header = 1 + KEY_ID_BYTES + NONCE_BYTES;
        // All the space at once: growing would leave copies of the secret behind.
        let mut sealed = Vec::with_capacity(header + secret.len() + TAG_BYTES);
        sealed.push(VERSION);
        sealed.extend_from_slice(&key.id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(secret);
        let tag = key.seal(nonce, &associated(&key.id, context), sealed.split_at_mut(header).1);
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let parts = Parts::of(sealed).ok_or(SealError::Corrupt)?;
        let key = self.ring.by_id(parts.key).filter(|_| parts.version == VERSION).ok_or(SealError::Corrupt)?;
        let mut secret = parts.body.to_vec();
        key.open(*parts.nonce, &associated(&key.id, context), &mut secret, *parts.tag)?;
        Ok(secret)
    }
}

/// A sealed secret taken apart.
struct Parts<'a> {
    version: u8,
    key: &'a KeyId,
    nonce: &'a [u8; NONCE_BYTES],
    body: &'a [u8],
    tag: &'a [u8; TAG_BYTES],
}

impl<'a> Parts<'a> {
    /// `None` if it is too short to have all parts.
    fn of(sealed: &'a [u8]) -> Option<Self> {
        let (version, rest) = sealed.split_first()?;
        let (key, rest) = rest.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let (body, tag) = rest.split_last_chunk()?;
        Some(Self { version: *version, key, nonce, body, tag })
    }
}

impl fmt::Debug for FileKeySealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileKeySealer").field("key_id", &hex::encode(self.ring.newest().id)).finish_non_exhaustive()
    }
}
