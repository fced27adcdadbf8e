//! Signatures of packages: what a package says of itself, and what an author adds.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use selena_signature::{FileDigests, FileVerdict, KeyId, PackageSignature, Sha256Digest, SignatureError};
use selena_types::{Loc, Problems};
use sha2::{Digest, Sha256};

use super::{Package, PackageError};

const CODE: &str = "manifest_signature";

impl Package {
    /// Leaves out the signature that is there: another one takes its place.
    pub(crate) fn drop_signature(&mut self) {
        self.entries.retain(|entry| entry.path != PackageSignature::FILE);
        self.to_be_signed = true;
    }

    /// Whether it has a signature, good or bad, or gets one.
    pub(super) fn is_signed(&self) -> bool {
        self.to_be_signed || self.entry(PackageSignature::FILE).is_some()
    }

    /// What its `SIGNATURE.json` says, if there is one.
    pub(crate) fn signature(&mut self) -> Result<Option<Result<PackageSignature, SignatureError>>, PackageError> {
        if self.entry(PackageSignature::FILE).is_none() {
            return Ok(None);
        }
        let text = self.read(PackageSignature::FILE, PackageSignature::MAX_BYTES as u64 + 1)?;
        Ok(Some(PackageSignature::parse(&text)))
    }

    /// The digests of all its files.
    pub(crate) fn digests(&mut self) -> Result<FileDigests, PackageError> {
        let paths: Vec<_> = self.entries.iter().map(|entry| entry.path.clone()).collect();
        let mut digests = BTreeMap::new();
        for path in paths {
            let mut digest = Digesting::new(io::sink());
            self.copy(&path, &mut digest)?;
            digests.insert(path, digest.finish());
        }
        Ok(FileDigests::new(digests))
    }
}

/// Whether the files are those that a signature lists; the key it says it is by.
pub(super) fn check(package: &mut Package, problems: &mut Problems) -> Result<Option<KeyId>, PackageError> {
    // Files whose entries are bad already are not read: they may be of any size.
    let readable = problems.0.iter().all(|problem| !problem.code.starts_with("zip_"));
    let Some(signature) = package.signature()?.filter(|_| readable) else { return Ok(None) };
    let signature = match signature {
        Ok(signature) => signature,
        Err(error) => {
            problems.add([PackageSignature::FILE.into()], CODE, error.to_string());
            return Ok(None);
        }
    };
    for (path, verdict) in signature.files().verdicts(&package.digests()?) {
        if verdict != FileVerdict::Good {
            problems.add([Loc::from(path.as_str())], CODE, verdict.as_str());
        }
    }
    Ok(Some(signature.key_id().clone()))
}

/// Passes on what is written, and digests it.
pub(super) struct Digesting<W> {
    to: W,
    digest: Sha256,
}

impl<W: Write> Digesting<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, digest: Sha256::new() }
    }

    pub(super) fn finish(self) -> Sha256Digest {
        self.digest.finalize().into()
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.digest.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
