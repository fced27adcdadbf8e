//! SHA-256 digests as images write them: `sha256:<64 hex digits>`.

use std::{fmt, io::Read};

use sha2::{Digest as _, Sha256};

use super::ImageError;

/// Bytes hashed at once.
const CHUNK: usize = 64 * 1024;

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    /// Reads `sha256:…`; `None` for another algorithm, and for what is no digest.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::parse_hex(text.strip_prefix("sha256:")?)
    }

    /// Reads 64 hex digits in lower case.
    pub(crate) fn parse_hex(text: &str) -> Option<Self> {
        let is_lower = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let mut bytes = [0; 32];
        (is_lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(Self(bytes))
    }

    /// The digits.
    pub(crate) fn hex(self) -> String {
        hex::encode(self.0)
    }

    /// The digest of bytes in memory.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of all that a reader gives.
    pub(crate) fn of_reader(reader: &mut impl Read) -> Result<Self, ImageError> {
        let (mut hasher, mut buffer) = (Hasher::default(), vec![0; CHUNK]);
        loop {
            match reader.read(&mut buffer).map_err(|error| ImageError::io("read image.tar", error))? {
                0 => return Ok(hasher.finish()),
                read => hasher.update(&buffer[..read]),
            }
        }
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

/// A digest being made.
#[derive(Debug, Default)]
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}
