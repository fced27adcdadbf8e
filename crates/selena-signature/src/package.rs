//! What `SIGNATURE.json` says.

use std::collections::BTreeMap;

use selena_types::json;
use serde_json::{Map, Value, json};

use crate::{FileDigests, FileVerdict, KeyId, PrivateKey, PublicKey, Sha256Digest, from_base64, from_hex, to_base64};

/// The signature of a package: `{"key_id","alg":"ed25519","files":{path: sha256 hex},"sig"}`
/// (protocol, section 3, "Signature").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageSignature {
    key_id: KeyId,
    files: FileDigests,
    signature: [u8; 64],
}

/// Why a signature does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It is not what the protocol says.
    #[error("SIGNATURE.json is not as it must be: {0}; sign the package anew")]
    Malformed(String),
    /// It is another key's.
    #[error("the package says it is signed with key {says}, not with {key}")]
    OtherKey {
        /// The key the package names.
        says: KeyId,
        /// The key it was to be checked with.
        key: KeyId,
    },
    /// The key did not sign the list.
    #[error(
        "the signature is not by key {0} over the files that SIGNATURE.json lists: it was changed after it was signed, \
         or signed with another key; sign the package anew"
    )]
    Wrong(KeyId),
    /// The files are not those of the list.
    #[error("the package is not what was signed: {0}; get it anew from its publisher, or sign it anew")]
    Files(String),
}

impl PackageSignature {
    /// Its path, at the root of the package.
    pub const FILE: &str = "SIGNATURE.json";

    /// Largest `SIGNATURE.json` in bytes.
    pub const MAX_BYTES: usize = 1 << 20;

    /// The only algorithm.
    const ALGORITHM: &str = "ed25519";

    /// How many files an error names.
    const NAMED: usize = 3;

    /// Signs a list of files.
    #[must_use]
    pub fn sign(key: &PrivateKey, files: FileDigests) -> Self {
        Self { key_id: key.public().id(), signature: key.sign(&files.message()), files }
    }

    /// Reads `SIGNATURE.json`; whether it holds [`PackageSignature::verify`] tells.
    ///
    /// # Errors
    /// [`SignatureError::Malformed`], also if it names a key twice or has a field that is not known.
    pub fn parse(text: &[u8]) -> Result<Self, SignatureError> {
        if text.len() > Self::MAX_BYTES {
            return malformed(format!("it is larger than {} bytes", Self::MAX_BYTES));
        }
        let value = json::parse_unambiguous(text).or_else(|error| malformed(error.to_string()))?;
        let Some(object) = value.as_object() else { return malformed("it is no JSON object") };
        if let Some(unknown) = object.keys().find(|key| !["key_id", "alg", "files", "sig"].contains(&key.as_str())) {
            return malformed(format!("there is no field {}", shown(unknown)));
        }
        if object.get("alg").and_then(Value::as_str) != Some(Self::ALGORITHM) {
            return malformed("`alg` must be \"ed25519\"");
        }
        let key_id =
            text_of(object, "key_id")?.parse().or_else(|error: crate::KeyIdError| malformed(error.to_string()))?;
        let Some(files) = object.get("files").and_then(Value::as_object) else {
            return malformed("`files` must be an object of paths and digests");
        };
        let files = files.iter().map(listed).collect::<Result<BTreeMap<_, _>, _>>()?;
        let Some(signature) = from_base64(text_of(object, "sig")?) else {
            return malformed("`sig` must be 64 bytes as standard base64 with padding");
        };
        Ok(Self { key_id, files: FileDigests::new(files), signature })
    }

    /// The key it says it is by.
    #[must_use]
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// The files it lists.
    #[must_use]
    pub fn files(&self) -> &FileDigests {
        &self.files
    }

    /// Whether the key's owner signed the list; whether it is the list of the files that are there is another question.
    #[must_use]
    pub fn is_by(&self, key: &PublicKey) -> bool {
        key.id() == self.key_id && key.has_signed(&self.files.message(), &self.signature)
    }

    /// Checks that the key's owner signed exactly these files.
    ///
    /// # Errors
    /// [`SignatureError`], which names the first files that are not as they were signed.
    pub fn verify(&self, key: &PublicKey, found: &FileDigests) -> Result<(), SignatureError> {
        if key.id() != self.key_id {
            return Err(SignatureError::OtherKey { says: self.key_id.clone(), key: key.id() });
        }
        // Before anything of the list is believed, also for the sake of what is told.
        if !self.is_by(key) {
            return Err(SignatureError::Wrong(self.key_id.clone()));
        }
        let bad: Vec<_> =
            self.files.verdicts(found).into_iter().filter(|(_, verdict)| *verdict != FileVerdict::Good).collect();
        if bad.is_empty() { Ok(()) } else { Err(SignatureError::Files(told(&bad))) }
    }

    /// The text of `SIGNATURE.json`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let files: Map<_, _> =
            self.files.iter().map(|(path, digest)| (path.to_owned(), json!(hex::encode(digest)))).collect();
        let sig = to_base64(&self.signature);
        json!({ "key_id": self.key_id, "alg": Self::ALGORITHM, "files": files, "sig": sig }).to_string()
    }
}

fn malformed<T>(what: impl Into<String>) -> Result<T, SignatureError> {
    Err(SignatureError::Malformed(what.into()))
}

fn text_of<'a>(object: &'a Map<String, Value>, field: &str) -> Result<&'a str, SignatureError> {
    object.get(field).and_then(Value::as_str).map_or_else(|| malformed(format!("`{field}` must be a text")), Ok)
}

/// A path with its digest. A path that could be taken for two lines of the message is none.
fn listed((path, digest): (&String, &Value)) -> Result<(String, Sha256Digest), SignatureError> {
    if path == PackageSignature::FILE {
        return malformed("`files` lists SIGNATURE.json itself");
    }
    if path.is_empty() || path.chars().any(char::is_control) {
        return malformed(format!("{} is no path of a file", shown(path)));
    }
    match digest.as_str().and_then(from_hex) {
        Some(digest) => Ok((path.clone(), digest)),
        None => malformed(format!("the digest of {} must be 64 lower-case hex digits", shown(path))),
    }
}

fn told(bad: &[(String, FileVerdict)]) -> String {
    let named = bad.iter().take(PackageSignature::NAMED);
    let mut told: Vec<_> = named.map(|(path, verdict)| format!("{} {}", shown(path), verdict.as_str())).collect();
    if bad.len() > told.len() {
        told.push(format!("and {} more", bad.len() - told.len()));
    }
    told.join(", ")
}

/// A text of the package as it may be shown: escaped, quoted, at most 80 characters.
fn shown(text: &str) -> String {
    const MOST: usize = 80;
    let cut: String = text.chars().take(MOST).collect();
    let dots = if cut.len() < text.len() { "…" } else { "" };
    format!("`{}{dots}`", cut.escape_debug())
}
