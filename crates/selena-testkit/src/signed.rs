//! Signatures of webhooks that a test sends itself (protocol, section 6).

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The text of `X-Selena-Signature`.
pub(crate) fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// SHA-256 in hex.
pub(crate) fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}
