//! Signatures of webhooks (protocol, section 6).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What `X-Selena-Signature` has to be.
#[must_use]
pub fn of(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length is good");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}
