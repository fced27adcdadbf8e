//! Sealing and opening.
//!
//! A sealed secret is: format version (1 byte), key id (8), nonce (12, random), ciphertext, tag (16).
//! Associated data: format version, key id, context. All that is not the ciphertext is thus bound to it.

use std::{fmt, path::Path};

use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce, Tag,
    aead::{AeadInOut, consts::U12},
};
use selena_core::ports::{SealError, Sealer};
use sha2::{Digest, Sha256};

use crate::key_file::{self, Key, KeyFileError};

const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 8;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// Seals with a key that lies in a file (protocol, section 7). The key is wiped from memory when this is dropped.
pub struct FileKeySealer {
    cipher: Aes256Gcm,
    key_id: [u8; KEY_ID_BYTES],
    is_new: bool,
}

impl FileKeySealer {
    /// Takes the key `hub.key` of an existing secure directory, and makes it if it is not there.
    ///
    /// Blocking: to be called before the work begins.
    ///
    /// # Errors
    /// [`KeyFileError::Refused`] if the file is not this user's alone: another mode than 0600, another owner,
    /// a symbolic link, a second hard link, another size than 32 bytes (S05).
    pub fn open_or_create(secure_dir: &Path) -> Result<Self, KeyFileError> {
        let (key, is_new) = key_file::read_or_create(secure_dir)?;
        Ok(Self { cipher: Aes256Gcm::new((&**key).into()), key_id: key_id(&key), is_new })
    }

    /// Whether the key was made just now: then nothing that was sealed before opens any more.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    fn associated(&self, context: &str) -> Vec<u8> {
        [&[VERSION][..], &self.key_id, context.as_bytes()].concat()
    }
}

/// A name for the key that tells nothing of it.
fn key_id(key: &Key) -> [u8; KEY_ID_BYTES] {
    let digest = Sha256::new().chain_update("selena-vault-key-id-v1\n").chain_update(key.as_slice()).finalize();
    let mut id = [0; KEY_ID_BYTES];
    id.copy_from_slice(&digest[..KEY_ID_BYTES]);
    id
}

impl Sealer for FileKeySealer {
    fn seal(&self, context: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| SealError::NoRandomness)?;
        let header = 1 + KEY_ID_BYTES + NONCE_BYTES;
        // All the space at once: growing would leave copies of the secret behind.
        let mut sealed = Vec::with_capacity(header + secret.len() + TAG_BYTES);
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.key_id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(secret);
        let nonce = Nonce::<U12>::from(nonce);
        let body = sealed.split_at_mut(header).1;
        let tag = self
            .cipher
            .encrypt_inout_detached(&nonce, &self.associated(context), body.into())
            .expect("a secret is shorter than the 64 GiB of AES-GCM");
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let parts = Parts::of(sealed).ok_or(SealError::Corrupt)?;
        if parts.header.split_first() != Some((&VERSION, &self.key_id[..])) {
            return Err(SealError::Corrupt);
        }
        let mut secret = parts.body.to_vec();
        // The tag is checked first: a body that does not fit it is never decrypted.
        self.cipher
            .decrypt_inout_detached(&parts.nonce, &self.associated(context), secret.as_mut_slice().into(), &parts.tag)
            .map_err(|_| SealError::Corrupt)?;
        Ok(secret)
    }
}

/// A sealed secret taken apart.
struct Parts<'a> {
    /// Format version and key id.
    header: &'a [u8],
    nonce: Nonce<U12>,
    body: &'a [u8],
    tag: Tag,
}

impl<'a> Parts<'a> {
    /// `None` if it is too short to have all parts.
    fn of(sealed: &'a [u8]) -> Option<Self> {
        let (header, rest) = sealed.split_at_checked(1 + KEY_ID_BYTES)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let (body, tag) = rest.split_last_chunk::<TAG_BYTES>()?;
        Some(Self { header, nonce: (*nonce).into(), body, tag: (*tag).into() })
    }
}

impl fmt::Debug for FileKeySealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileKeySealer").field("key_id", &hex::encode(self.key_id)).finish_non_exhaustive()
    }
}
