//! The keys: built in for a release, else a file outside the secure directory.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use anyhow::{Context, ensure};
use selena_manifest::{SigningKey, VerificationKey};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{
    durable,
    places::Places,
    secure_file::{self, Readers, SecureFileError},
};

/// The key of releases: 64 hex digits, given to the compiler in the environment.
const RELEASE_KEY: Option<[u8; 32]> = match option_env!("SELENA_MANIFEST_KEY") {
    Some(text) => Some(from_hex(text)),
    None => None,
};
/// Longest key file.
const MAX_BYTES: u64 = 4096;

/// Whose word a baseline is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Signer {
    /// Of the makers of the image.
    Release,
    /// Of this machine's operator.
    SelfSigned,
}

/// Whose word counts for this agent.
pub(crate) fn signer() -> Signer {
    if RELEASE_KEY.is_some() { Signer::Release } else { Signer::SelfSigned }
}

/// The key a baseline is verified with.
///
/// # Errors
/// If there is none that can be trusted.
pub(crate) fn verification_key(places: &Places) -> anyhow::Result<VerificationKey> {
    if let Some(key) = RELEASE_KEY {
        return VerificationKey::from_bytes(&key).context("the key built into this agent is none");
    }
    let path = places.verification_key();
    let bytes = secure_file::read(&path, Readers::All, MAX_BYTES)
        .context("the key that verifies the baseline: `selena-agent baseline` makes it")?;
    VerificationKey::from_pem(&String::from_utf8_lossy(&bytes)).with_context(|| path.display().to_string())
}

/// The key that signs; made, durably, if there is none.
///
/// # Errors
/// If it cannot be read or made, or is not the one this agent believes.
pub(crate) fn signing_key(places: &Places) -> anyhow::Result<SigningKey> {
    let path = &places.signing_key;
    let key = match secure_file::read(path, Readers::Group, MAX_BYTES) {
        Ok(bytes) => {
            let text = Zeroizing::new(String::from_utf8(bytes).ok().unwrap_or_default());
            SigningKey::from_pem(&text).with_context(|| path.display().to_string())?
        }
        Err(SecureFileError::Missing(_)) if RELEASE_KEY.is_none() => {
            make(path).with_context(|| format!("cannot make the signing key {}", path.display()))?
        }
        Err(error) => return Err(error).context("this baseline has to be signed with --signing-key"),
    };
    publish(places, &key)?;
    Ok(key)
}

fn make(path: &Path) -> io::Result<SigningKey> {
    if let Some(directory) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    }
    let mut random = Zeroizing::new([0; 32]);
    File::open("/dev/urandom")?.read_exact(random.as_mut_slice())?;
    let key = SigningKey::from_random(&random);
    if durable::create_once(path, key.to_pem().as_bytes(), 0o600)? {
        return Ok(key);
    }
    // Somebody was faster; that key counts.
    let text = Zeroizing::new(fs::read_to_string(path)?);
    SigningKey::from_pem(&text).map_err(io::Error::other)
}

/// The public half, which is all the watching agent reads.
fn publish(places: &Places, key: &SigningKey) -> anyhow::Result<()> {
    let public = key.verification_key();
    if RELEASE_KEY.is_some() {
        ensure!(
            verification_key(places)? == public,
            "this agent believes the key of its release alone, and --signing-key is another one"
        );
        return Ok(());
    }
    let path = places.verification_key();
    let there = secure_file::read(&path, Readers::All, MAX_BYTES).unwrap_or_default();
    if there != public.to_pem().as_bytes() {
        durable::replace(&path, public.to_pem().as_bytes(), 0o644)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

const fn from_hex(text: &str) -> [u8; 32] {
    let digits = text.as_bytes();
    assert!(digits.len() == 64, "SELENA_MANIFEST_KEY is the public Ed25519 key of releases in 64 hex digits");
    let mut bytes = [0; 32];
    let mut at = 0;
    while at < 32 {
        bytes[at] = digit(digits[2 * at]) << 4 | digit(digits[2 * at + 1]);
        at += 1;
    }
    bytes
}

const fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => panic!("SELENA_MANIFEST_KEY has only the digits 0-9 and a-f"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_key_is_read_by_the_compiler() {
        const KEY: [u8; 32] = from_hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff");
        assert_eq!((KEY[0], KEY[10], KEY[31]), (0, 10, 255));
    }
}
