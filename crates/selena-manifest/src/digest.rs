//! SHA-256 of files.

use std::{
    fmt,
    io::{self, Read},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// How much is hashed at once: it stays in the first caches, so that copying it out of the page cache costs little.
const BUFFER_BYTES: usize = 32 * 1024;

/// A SHA-256; in text 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

/// Why a text is no SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 is 64 lower-case hex digits")]
pub struct DigestError;

impl Digest {
    /// The SHA-256 of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl std::str::FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let mut bytes = [0; 32];
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(DigestError);
        }
        hex::decode_to_slice(text, &mut bytes).map_err(|_| DigestError)?;
        Ok(Self(bytes))
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Hashes one reader after the other through one buffer, however long they are.
pub struct Hasher {
    buffer: Box<[u8]>,
}

impl Default for Hasher {
    fn default() -> Self {
        Self { buffer: vec![0; BUFFER_BYTES].into_boxed_slice() }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").field("buffer_bytes", &self.buffer.len()).finish()
    }
}

impl Hasher {
    /// The SHA-256 of all that the reader has; `each` is given every piece once it is hashed.
    ///
    /// # Errors
    /// What the reader or `each` says.
    pub fn hash(
        &mut self,
        reader: &mut impl Read,
        mut each: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<Digest> {
        let mut state = Sha256::new();
        loop {
            let read = match reader.read(&mut self.buffer) {
                Ok(0) => return Ok(Digest(state.finalize().into())),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            state.update(&self.buffer[..read]);
            each(&self.buffer[..read])?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_one_of_the_standard() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), abc);
        let mut pieces = 0;
        let hashed = Hasher::default().hash(&mut &b"abc"[..], |piece| {
            pieces += piece.len();
            Ok(())
        });
        assert_eq!((hashed.expect("read").to_string().as_str(), pieces), (abc, 3));
        let long = vec![7; 3 * BUFFER_BYTES + 1];
        assert_eq!(Hasher::default().hash(&mut &long[..], |_| Ok(())).expect("read"), Digest::of(&long));
    }

    #[test]
    fn only_64_lower_case_digits_are_one() {
        let good = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(good.parse::<Digest>().is_ok());
        for bad in ["", "ab", &good.to_uppercase(), &format!("{good}00"), &good.replace('b', "g"), &good[1..]] {
            assert_eq!(bad.parse::<Digest>(), Err(DigestError), "{bad:?}");
        }
    }
}
