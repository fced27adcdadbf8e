//! The bytes of a token's file.
//!
//! Magic (7 bytes), format version (1), key id (8), version counter (8, little-endian), nonce (12, random),
//! SHA-256 of all before, cut to 8 bytes, then ciphertext and tag (16).
//! Associated data: a label, magic to counter, module and provider. The digest is no protection; it tells a damaged
//! header from one of a key this hub does not have, since only the latter is helped by logging in again.

use selena_core::ports::{SealError, VaultError};
use selena_types::{ModuleName, Secret};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::key_ring::{KEY_ID_BYTES, KeyId, KeyRing, NONCE_BYTES, SealingKey, TAG_BYTES};

const MAGIC: &[u8; 8] = b"SELENAV\x01";
const LABEL: &[u8] = b"selena-vault-token-v1\n";
const COUNTER_BYTES: usize = 8;
const DIGEST_BYTES: usize = 8;
/// What the associated data covers of the header.
const BOUND_BYTES: usize = MAGIC.len() + KEY_ID_BYTES + COUNTER_BYTES;
const HEADER_BYTES: usize = BOUND_BYTES + NONCE_BYTES + DIGEST_BYTES;

/// Most bytes of a secret in a file.
pub const MAX_SECRET_BYTES: usize = 64 * 1024;
/// Most bytes of a file.
pub(crate) const MAX_FILE_BYTES: u64 = (HEADER_BYTES + MAX_SECRET_BYTES + TAG_BYTES) as u64;

/// Whose token a file holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) module: &'a ModuleName,
    pub(crate) provider: &'a str,
}

impl Place<'_> {
    pub(crate) fn corrupt(&self, why: &'static str) -> VaultError {
        VaultError::Corrupt { module: self.module.clone(), provider: self.provider.to_owned(), why }
    }

    fn associated(&self, bound: &[u8]) -> Vec<u8> {
        // Neither name can hold a line feed, so no two places give the same bytes.
        [LABEL, bound, self.module.as_str().as_bytes(), b"\n", self.provider.as_bytes()].concat()
    }
}

/// Seals a secret for its place.
pub(crate) fn seal(key: &SealingKey, place: Place<'_>, counter: u64, secret: &[u8]) -> Result<Vec<u8>, SealError> {
    let nonce = SealingKey::nonce()?;
    // All the space at once: growing would leave copies of the secret behind.
    let mut file = Vec::with_capacity(HEADER_BYTES + secret.len() + TAG_BYTES);
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&key.id);
    file.extend_from_slice(&counter.to_le_bytes());
    file.extend_from_slice(&nonce);
    let digest = digest(&file);
    file.extend_from_slice(&digest);
    file.extend_from_slice(secret);
    let (header, body) = file.split_at_mut(HEADER_BYTES);
    let tag = key.seal(nonce, &place.associated(&header[..BOUND_BYTES]), body);
    file.extend_from_slice(&tag);
    Ok(file)
}

/// A file that was opened.
pub(crate) struct Opened {
    pub(crate) key: KeyId,
    pub(crate) counter: u64,
    pub(crate) secret: Zeroizing<Vec<u8>>,
}

impl Opened {
    pub(crate) fn into_secret(mut self, place: Place<'_>) -> Result<Secret, VaultError> {
        let text = String::from_utf8(std::mem::take(&mut *self.secret));
        text.map(Secret::new).map_err(|_| place.corrupt("it holds no text"))
    }
}

/// Opens the file of a place.
pub(crate) fn open(ring: &KeyRing, place: Place<'_>, file: &[u8]) -> Result<Opened, VaultError> {
    let parts = Parts::of(file).ok_or_else(|| place.corrupt("it is cut off"))?;
    if parts.magic != MAGIC || *parts.digest != digest(&file[..HEADER_BYTES - DIGEST_BYTES]) {
        return Err(place.corrupt("its header is damaged"));
    }
    let locked = || VaultError::Locked { module: place.module.clone(), provider: place.provider.to_owned() };
    let key = ring.by_id(parts.key).ok_or_else(locked)?;
    let mut secret = Zeroizing::new(parts.body.to_vec());
    let opened = key.open(*parts.nonce, &place.associated(&file[..BOUND_BYTES]), &mut secret, *parts.tag);
    opened.map_err(|_| place.corrupt("it was changed or belongs elsewhere"))?;
    Ok(Opened { key: key.id, counter: u64::from_le_bytes(*parts.counter), secret })
}

fn digest(header: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut cut = [0; DIGEST_BYTES];
    cut.copy_from_slice(&Sha256::digest(header)[..DIGEST_BYTES]);
    cut
}

struct Parts<'a> {
    magic: &'a [u8; MAGIC.len()],
    key: &'a KeyId,
    counter: &'a [u8; COUNTER_BYTES],
    nonce: &'a [u8; NONCE_BYTES],
    digest: &'a [u8; DIGEST_BYTES],
    body: &'a [u8],
    tag: &'a [u8; TAG_BYTES],
}

impl<'a> Parts<'a> {
    /// `None` if it is too short to have all parts.
    fn of(file: &'a [u8]) -> Option<Self> {
        let (magic, rest) = file.split_first_chunk()?;
        let (key, rest) = rest.split_first_chunk()?;
        let (counter, rest) = rest.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let (digest, rest) = rest.split_first_chunk()?;
        let (body, tag) = rest.split_last_chunk()?;
        Some(Self { magic, key, counter, nonce, digest, body, tag })
    }
}
