//! The four files of a baseline, and what they are worth together.

use crate::{
    Attributes, AttributesError, Digest, DigestError, Entry, Kind, Manifest, ManifestError, SignatureError, SigningKey,
    VerificationKey, WatchedPath,
};

/// The four files of a baseline as they were read; nothing in them is believed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedSet {
    /// `core.manifest`.
    pub manifest: Vec<u8>,
    /// `master.hash`: the SHA-256 of the manifest in hex.
    pub master_hash: Vec<u8>,
    /// `core.manifest.sig`: Ed25519 over the manifest's bytes, base64.
    pub signature: Vec<u8>,
    /// `core.attrs`, itself an entry of the manifest.
    pub attributes: Vec<u8>,
}

/// Why four files are no baseline.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// `master.hash` is no hash.
    #[error("master.hash is not as it should be")]
    MasterHash(#[source] DigestError),
    /// The manifest is not the one of `master.hash`.
    #[error("the manifest has the SHA-256 {actual}, and master.hash says {expected}")]
    OtherHash {
        /// What `master.hash` says.
        expected: Digest,
        /// What the manifest has.
        actual: Digest,
    },
    /// The signature is not of this manifest.
    #[error("core.manifest.sig does not fit the manifest")]
    Signature(#[source] SignatureError),
    /// The manifest cannot be read.
    #[error("core.manifest is refused")]
    Manifest(#[source] ManifestError),
    /// The manifest is of another directory.
    #[error("core.manifest does not name {0}: it is the baseline of another directory")]
    NoAttributes(WatchedPath),
    /// The attributes are not those of the manifest.
    #[error("core.attrs has the SHA-256 {actual}, and the manifest says {expected}")]
    OtherAttributes {
        /// What the manifest says.
        expected: Digest,
        /// What the attributes have.
        actual: Digest,
    },
    /// The attributes cannot be read.
    #[error("core.attrs is refused")]
    Attributes(#[source] AttributesError),
    /// A file stands in one of the two only.
    #[error("{0} stands in only one of core.manifest and core.attrs")]
    Incomplete(WatchedPath),
}

/// What the watched files have to be; made by [`SignedSet::verify`] alone.
#[derive(Clone, Debug)]
pub struct Baseline {
    manifest: Manifest,
    attributes: Attributes,
}

/// A manifest and its attributes before they are signed.
#[derive(Clone, Debug)]
pub struct Unsigned {
    /// The SHA-256 of the files.
    pub files: std::collections::BTreeMap<WatchedPath, Digest>,
    /// What all watched paths are.
    pub attributes: Attributes,
}

impl Unsigned {
    /// Signs; `attributes_path` is where `core.attrs` will lie.
    ///
    /// # Errors
    /// [`ManifestError::TooLarge`] if no agent would read it.
    pub fn sign(mut self, attributes_path: &WatchedPath, key: &SigningKey) -> Result<SignedSet, ManifestError> {
        let attributes = self.attributes.to_bytes();
        self.files.insert(attributes_path.clone(), Digest::of(&attributes));
        let manifest = Manifest::new(self.files)?.to_bytes();
        let bytes = manifest.len().max(attributes.len());
        if bytes > crate::MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge { bytes });
        }
        let signature = key.sign(&manifest).into_bytes();
        let master_hash = format!("{}\n", Digest::of(&manifest)).into_bytes();
        Ok(SignedSet { manifest, master_hash, signature, attributes })
    }
}

impl SignedSet {
    /// The baseline these files are. Hash and signature are checked before anything is parsed.
    ///
    /// # Errors
    /// [`SetError`].
    pub fn verify(&self, attributes_path: &WatchedPath, key: &VerificationKey) -> Result<Baseline, SetError> {
        if self.manifest.len() > crate::MAX_MANIFEST_BYTES {
            return Err(SetError::Manifest(ManifestError::TooLarge { bytes: self.manifest.len() }));
        }
        let text = String::from_utf8_lossy(self.master_hash.trim_ascii());
        let expected: Digest = text.parse().map_err(SetError::MasterHash)?;
        let actual = Digest::of(&self.manifest);
        if expected != actual {
            return Err(SetError::OtherHash { expected, actual });
        }
        key.verify(&self.manifest, &self.signature).map_err(SetError::Signature)?;
        let manifest = Manifest::parse(&self.manifest).map_err(SetError::Manifest)?;
        let expected =
            manifest.digest(attributes_path).ok_or_else(|| SetError::NoAttributes(attributes_path.clone()))?;
        let actual = Digest::of(&self.attributes);
        if expected != actual {
            return Err(SetError::OtherAttributes { expected, actual });
        }
        let attributes = Attributes::parse(&self.attributes).map_err(SetError::Attributes)?;
        let baseline = Baseline { manifest, attributes };
        match baseline.incomplete(attributes_path) {
            Some(path) => Err(SetError::Incomplete(path.clone())),
            None => Ok(baseline),
        }
    }
}

impl Baseline {
    /// A file that stands in one of the two texts only.
    fn incomplete(&self, attributes_path: &WatchedPath) -> Option<&WatchedPath> {
        let is_file = |path| matches!(self.attributes.get(path), Some(Entry { kind: Kind::File { .. }, .. }));
        let named = self.manifest.files().map(|(path, _)| path).filter(|path| *path != attributes_path);
        let listed = self.attributes.entries().map(|(path, _)| path);
        let mut listed = listed.filter(|path| is_file(path) && self.manifest.digest(path).is_none());
        named.into_iter().find(|path| !is_file(path)).or_else(|| listed.next())
    }

    /// What a path has to be; `None` if it is not watched.
    #[must_use]
    pub fn entry(&self, path: &WatchedPath) -> Option<&Entry> {
        self.attributes.get(path)
    }

    /// The SHA-256 a file has to have.
    #[must_use]
    pub fn digest(&self, path: &WatchedPath) -> Option<Digest> {
        self.manifest.digest(path)
    }

    /// All watched paths, sorted: a directory before what lies in it.
    pub fn entries(&self) -> impl Iterator<Item = (&WatchedPath, &Entry)> {
        self.attributes.entries()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::keys::tests::key;

    fn path(text: &str) -> WatchedPath {
        WatchedPath::new(text).expect("a path")
    }

    fn unsigned() -> Unsigned {
        let entry = Entry { kind: Kind::File { bytes: 1, single_name: true }, mode: 0o644, uid: 0, gid: 0 };
        Unsigned {
            files: BTreeMap::from([(path("/a"), Digest::of(b"a"))]),
            attributes: Attributes::new(BTreeMap::from([(path("/a"), entry)])),
        }
    }

    fn set() -> SignedSet {
        unsigned().sign(&path("/s/core.attrs"), &key(1)).expect("small")
    }

    fn refused(set: &SignedSet) -> String {
        set.verify(&path("/s/core.attrs"), &key(1).verification_key()).expect_err("refused").to_string()
    }

    #[test]
    fn what_was_signed_is_verified() {
        let baseline = set().verify(&path("/s/core.attrs"), &key(1).verification_key()).expect("its own");
        assert_eq!(baseline.digest(&path("/a")), Some(Digest::of(b"a")));
        assert_eq!(baseline.entries().count(), 1);
    }

    #[test]
    fn b20_every_file_of_the_set_is_bound_to_the_others() {
        let good = set();
        let with = |change: fn(&mut SignedSet)| {
            let mut set = good.clone();
            change(&mut set);
            refused(&set)
        };
        assert!(with(|set| set.manifest.clear()).contains("master.hash says"));
        assert!(with(|set| set.manifest.push(b' ')).contains("master.hash says"));
        assert!(with(|set| set.master_hash.clear()).contains("master.hash is not"));
        assert!(with(|set| set.signature.clear()).contains("core.manifest.sig does not fit"));
        assert!(with(|set| set.attributes.push(b' ')).contains("core.attrs has the SHA-256"));
        let another = path("/other/core.attrs");
        let error = good.verify(&another, &key(1).verification_key()).expect_err("of another directory");
        assert!(error.to_string().contains("another directory"), "{error}");
    }

    #[test]
    fn whoever_rewrites_manifest_and_hash_together_is_found() {
        let forged = unsigned().sign(&path("/s/core.attrs"), &key(2)).expect("small");
        assert!(refused(&forged).contains("core.manifest.sig"));
        let mixed = SignedSet { signature: set().signature, ..forged };
        // The manifest is the same here, so that the own signature fits it: only then is it taken.
        assert!(mixed.verify(&path("/s/core.attrs"), &key(1).verification_key()).is_ok());
    }

    #[test]
    fn b20_signed_nonsense_is_refused_and_does_not_crash() {
        let sign = |manifest: &str| SignedSet {
            manifest: manifest.as_bytes().to_vec(),
            master_hash: Digest::of(manifest.as_bytes()).to_string().into_bytes(),
            signature: key(1).sign(manifest.as_bytes()).into_bytes(),
            attributes: b"{}".to_vec(),
        };
        assert!(refused(&sign("")).contains("core.manifest is refused"));
        assert!(refused(&sign("{\"/a/../b\":\"00\"}")).contains("core.manifest is refused"));
        let attributes = Digest::of(b"{}");
        assert!(refused(&sign(&format!("{{\"/a\":\"{attributes}\"}}"))).contains("another directory"));
        let one = sign(&format!("{{\"/s/core.attrs\":\"{attributes}\",\"/a\":\"{attributes}\"}}"));
        assert!(refused(&one).contains("/a stands in only one"));
    }
}
