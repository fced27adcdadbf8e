//! SHA-256 of files.

use std::{
    fmt,
    io::{self, Read},
    sync::mpsc,
    thread,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// How much is hashed at once: it stays in the first caches, so that copying it out of the page cache costs little.
const BUFFER_BYTES: usize = 32 * 1024;

/// How much is read ahead of the hashing at once, and how often.
const AHEAD_BYTES: usize = 512 * 1024;
const AHEAD_BUFFERS: usize = 3;

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

impl Hasher {
    /// The same for a long reader: a second thread reads ahead, so that copying out of the page cache, a fifth of the
    /// time, is done while the piece before is hashed.
    ///
    /// # Errors
    /// What the reader or `each` says.
    pub fn hash_ahead(
        reader: &mut (impl Read + Send),
        mut each: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<Digest> {
        let (empty, empties) = mpsc::sync_channel::<Vec<u8>>(AHEAD_BUFFERS);
        let (full, fulls) = mpsc::sync_channel::<io::Result<Vec<u8>>>(AHEAD_BUFFERS);
        for _ in 0..AHEAD_BUFFERS {
            // The channel holds as many as there are, and its other end is alive.
            let _sent = empty.send(Vec::with_capacity(AHEAD_BYTES));
        }
        // All ends of the channels are dropped with this closure, so that the reader ends on an error too.
        thread::scope(move |scope| {
            scope.spawn(move || {
                for buffer in empties {
                    let filled = fill(reader, buffer);
                    let last = filled.as_ref().map_or(true, Vec::is_empty);
                    if full.send(filled).is_err() || last {
                        break;
                    }
                }
            });
            let mut state = Sha256::new();
            for filled in fulls {
                let buffer = filled?;
                state.update(&buffer);
                each(&buffer)?;
                // The reader is gone once it has sent its last piece.
                let _sent = empty.send(buffer);
            }
            Ok(Digest(state.finalize().into()))
        })
    }
}

/// One piece; an empty one is the end.
fn fill(reader: &mut impl Read, mut buffer: Vec<u8>) -> io::Result<Vec<u8>> {
    buffer.clear();
    reader.take(AHEAD_BYTES as u64).read_to_end(&mut buffer)?;
    Ok(buffer)
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
    fn reading_ahead_changes_nothing() {
        for length in [0, 1, AHEAD_BYTES - 1, AHEAD_BYTES, 5 * AHEAD_BYTES + 3] {
            let bytes = vec![9; length];
            let mut seen = 0;
            let hashed = Hasher::hash_ahead(&mut &bytes[..], |piece| {
                seen += piece.len();
                Ok(())
            });
            assert_eq!((hashed.expect("read"), seen), (Digest::of(&bytes), length));
        }
        let mut broken = (&[1; 700_000][..]).chain(Broken);
        assert!(Hasher::hash_ahead(&mut broken, |_| Ok(())).is_err());
        let stopped = Hasher::hash_ahead(&mut io::repeat(1).take(1 << 30), |_| Err(io::Error::other("enough")));
        assert_eq!(stopped.expect_err("stopped").to_string(), "enough");
    }

    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("broken"))
        }
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
