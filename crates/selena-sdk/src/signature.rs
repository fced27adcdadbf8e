//! Whether a webhook comes from the hub (protocol, section 6).

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Key of the hub's webhook signatures: the secret's text, not the bytes its digits stand for.
#[derive(Clone)]
pub struct WebhookSecret(Hmac<Sha256>);

impl WebhookSecret {
    /// From the text of `SELENA_WEBHOOK_SECRET`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Hmac::new_from_slice(text.as_bytes()).expect("HMAC takes keys of any length"))
    }

    /// Whether `header`, the text of `X-Selena-Signature`, signs exactly `body`: HMAC-SHA256 over the raw bytes,
    /// compared in constant time.
    #[must_use]
    pub fn verify(&self, body: &[u8], header: Option<&str>) -> bool {
        let digits = header.and_then(|header| header.strip_prefix("sha256="));
        let Some(Ok(tag)) = digits.map(hex::decode) else { return false };
        self.0.clone().chain_update(body).verify_slice(&tag).is_ok()
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test case 2 of RFC 4231.
    const GOOD: &str = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    const BODY: &[u8] = b"what do ya want for nothing?";

    fn check(secret: &str, body: &[u8], header: Option<&str>, signed: bool) {
        assert_eq!(WebhookSecret::new(secret).verify(body, header), signed, "{header:?}");
    }

    #[test]
    fn accepts_the_hubs_signature() {
        check("Jefe", BODY, Some(GOOD), true);
    }

    #[test]
    fn refuses_all_others() {
        check("jefe", BODY, Some(GOOD), false);
        check("Jefe", b"What do ya want for nothing?", Some(GOOD), false);
        check("Jefe", BODY, None, false);
        check("Jefe", BODY, Some(""), false);
        check("Jefe", BODY, Some("sha256="), false);
        check("Jefe", BODY, Some(&GOOD[..GOOD.len() - 2]), false);
        check("Jefe", BODY, Some(&GOOD["sha256=".len()..]), false);
        check("Jefe", BODY, Some(&GOOD.replace("sha256", "sha512")), false);
        check("Jefe", BODY, Some(&format!("{GOOD}00")), false);
    }
}
