//! The files of a package, each by its SHA-256.

use std::collections::{BTreeMap, BTreeSet};

use crate::PackageSignature;

/// SHA-256 of a file.
pub type Sha256Digest = [u8; 32];

/// Files by their paths, in the byte order of these: what a signature is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileDigests(BTreeMap<String, Sha256Digest>);

/// What a signature's list says of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileVerdict {
    /// It is the file that was signed.
    Good,
    /// Its content is another one.
    Changed,
    /// It is in the package, and nobody signed it.
    NotListed,
    /// It was signed, and is not in the package.
    Missing,
}

impl FileVerdict {
    /// What is so, after the file's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "is as it was signed",
            Self::Changed => "was changed after it was signed",
            Self::NotListed => "was added after the package was signed",
            Self::Missing => "was signed, and is missing",
        }
    }
}

impl FileDigests {
    /// The files of a package; `SIGNATURE.json` is left out.
    #[must_use]
    pub fn new(files: BTreeMap<String, Sha256Digest>) -> Self {
        let mut files = files;
        files.remove(PackageSignature::FILE);
        Self(files)
    }

    /// Each file with its digest, in byte order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Sha256Digest)> {
        self.0.iter().map(|(path, digest)| (path.as_str(), digest))
    }

    /// What is signed: a first line that names its kind, and `path NUL digest LF` for each file.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let mut message = b"selena-package-v1\n".to_vec();
        for (path, digest) in &self.0 {
            message.extend_from_slice(path.as_bytes());
            message.push(0);
            message.extend_from_slice(hex::encode(digest).as_bytes());
            message.push(b'\n');
        }
        message
    }

    /// Every file of this list or of what was found, with what this list says of it.
    #[must_use]
    pub fn verdicts(&self, found: &Self) -> Vec<(String, FileVerdict)> {
        let paths: BTreeSet<&String> = self.0.keys().chain(found.0.keys()).collect();
        let verdict = |path: &String| match (self.0.get(path), found.0.get(path)) {
            (Some(listed), Some(found)) if listed == found => FileVerdict::Good,
            (Some(_), Some(_)) => FileVerdict::Changed,
            (None, _) => FileVerdict::NotListed,
            (Some(_), None) => FileVerdict::Missing,
        };
        paths.into_iter().map(|path| (path.clone(), verdict(path))).collect()
    }
}
