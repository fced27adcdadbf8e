//! The manifest: which file has which SHA-256.

use std::collections::BTreeMap;

use crate::{Digest, WatchedPath, unique};

/// Largest manifest that is read, in bytes: some 200,000 files. A larger one is refused before it is parsed.
pub const MAX_MANIFEST_BYTES: usize = 32 * 1024 * 1024;

/// Files and their SHA-256 (protocol, section 8.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest(BTreeMap<WatchedPath, Digest>);

/// Why bytes are no manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is larger than [`MAX_MANIFEST_BYTES`].
    #[error("the manifest has {bytes} bytes; at most {MAX_MANIFEST_BYTES} are read")]
    TooLarge {
        /// How large it is.
        bytes: usize,
    },
    /// It is no JSON object of absolute paths and SHA-256.
    #[error("the manifest is not as it should be")]
    Malformed(#[source] serde_json::Error),
    /// It names no file.
    #[error("the manifest names no file")]
    Empty,
}

impl Manifest {
    /// The manifest of these files.
    ///
    /// # Errors
    /// [`ManifestError::Empty`].
    pub fn new(files: BTreeMap<WatchedPath, Digest>) -> Result<Self, ManifestError> {
        if files.is_empty() { Err(ManifestError::Empty) } else { Ok(Self(files)) }
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// [`ManifestError`]: too large, no object, a path that is not absolute and normal or stands twice, no file.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge { bytes: bytes.len() });
        }
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let files = unique::by_path(&mut reader).map_err(ManifestError::Malformed)?;
        reader.end().map_err(ManifestError::Malformed)?;
        Self::new(files)
    }

    /// As it is stored and signed: one file on a line, sorted.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(&self.0).expect("paths and digests are text");
        bytes.push(b'\n');
        bytes
    }

    /// The SHA-256 a file has to have; `None` if the manifest does not name it.
    #[must_use]
    pub fn digest(&self, path: &WatchedPath) -> Option<Digest> {
        self.0.get(path).copied()
    }

    /// All files and their SHA-256, sorted by path.
    pub fn files(&self) -> impl Iterator<Item = (&WatchedPath, Digest)> {
        self.0.iter().map(|(path, digest)| (path, *digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let error = Manifest::parse(text.as_bytes()).expect_err(text);
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error}: {}", cause.unwrap_or_default())
    }

    #[test]
    fn b20_what_is_no_manifest_is_refused_with_a_reason() {
        let digest = Digest::of(b"");
        for (bad, told) in [
            (String::new(), "EOF"),
            ("{".to_owned(), "EOF"),
            ("[]".to_owned(), "an object whose keys are absolute paths"),
            ("null".to_owned(), "an object"),
            ("{}".to_owned(), "names no file"),
            (format!("{{\"a\":\"{digest}\"}}"), "\"a\": a watched path is absolute"),
            (format!("{{\"/a/../b\":\"{digest}\"}}"), "no `.`, `..`"),
            (format!("{{\"../b\":\"{digest}\"}}"), "is absolute"),
            (format!("{{\"/a\":\"{digest}\",\"/a\":\"{digest}\"}}"), "/a stands there twice"),
            (format!("{{\"/a\":\"{digest}\"}}x"), "trailing characters"),
            ("{\"/a\":\"00\"}".to_owned(), "64 lower-case hex digits"),
            ("{\"/a\":1}".to_owned(), "invalid type"),
        ] {
            let reason = refused(&bad);
            assert!(reason.contains(told), "{bad:?}: {reason}");
        }
    }

    #[test]
    fn b20_a_manifest_of_a_million_lines_is_refused_before_it_is_parsed() {
        let line = format!("\"/usr/lib/selena/some/file\":\"{}\",\n", Digest::of(b""));
        let million = line.repeat(1_000_000);
        assert!(matches!(Manifest::parse(million.as_bytes()), Err(ManifestError::TooLarge { .. })));
    }

    #[test]
    fn what_is_written_is_read() {
        let path = |text| WatchedPath::new(text).expect("a path");
        let files = BTreeMap::from([(path("/b"), Digest::of(b"b")), (path("/a"), Digest::of(b"a"))]);
        let manifest = Manifest::new(files).expect("two files");
        let bytes = manifest.to_bytes();
        assert_eq!(Manifest::parse(&bytes).expect("its own"), manifest);
        let lines: Vec<_> = std::str::from_utf8(&bytes).expect("text").lines().collect();
        assert!(lines.len() == 4 && lines[1].contains("\"/a\""), "{lines:?}");
    }
}
