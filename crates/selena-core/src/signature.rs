//! HMAC signatures of webhooks (protocol, section 6).

use hmac::{Hmac, KeyInit, Mac};
use selena_types::Secret;
use sha2::Sha256;

/// `sha256=<hex>` of HMAC-SHA256 with the secret's text as key over the raw body.
#[must_use]
pub(crate) fn sign(secret: &Secret, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes keys of every length");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_hmac_sha256_of_the_raw_body() {
        // RFC 4231, test case 2.
        let signature = sign(&Secret::new("Jefe".into()), b"what do ya want for nothing?");
        assert_eq!(signature, "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
