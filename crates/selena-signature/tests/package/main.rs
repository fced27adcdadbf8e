//! M14: what a package's signature refuses.

mod changes;
mod forgeries;
mod format;

use std::collections::BTreeMap;

use selena_signature::{FileDigests, PackageSignature, PrivateKey};
use sha2::{Digest, Sha256};

const MANIFEST: &[u8] = br#"{"name":"lamp","version":"1.0.0"}"#;

/// Files with the digests of what they hold.
fn digests(files: &[(&str, &[u8])]) -> FileDigests {
    let digest = |(path, content): &(&str, &[u8])| ((*path).to_owned(), Sha256::digest(content).into());
    FileDigests::new(files.iter().map(digest).collect::<BTreeMap<_, _>>())
}

/// A package of three files.
fn files() -> Vec<(&'static str, &'static [u8])> {
    vec![("main.py", b"print('lamp')\n"), ("ui/icon.svg", b"<svg/>"), ("manifest.json", MANIFEST)]
}

fn key() -> PrivateKey {
    PrivateKey::generate().expect("randomness")
}

/// A good signature of [`files`] as JSON.
fn signed(key: &PrivateKey) -> serde_json::Value {
    let signature = PackageSignature::sign(key, digests(&files()));
    serde_json::from_str(&signature.to_json()).expect("JSON")
}

/// Checks a `SIGNATURE.json` over [`files`]; the error as text.
fn check(key: &PrivateKey, text: &[u8]) -> Result<(), String> {
    let signature = PackageSignature::parse(text).map_err(|error| error.to_string())?;
    signature.verify(&key.public(), &digests(&files())).map_err(|error| error.to_string())
}

#[track_caller]
fn refused(key: &PrivateKey, signature: &serde_json::Value, why: &str) {
    let error = check(key, signature.to_string().as_bytes()).expect_err("it must be refused");
    assert!(error.contains(why), "{why:?} is not in {error:?}");
}
