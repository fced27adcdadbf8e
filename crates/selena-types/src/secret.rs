//! Secrets: never shown, never cloned by accident, wiped when dropped.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// A secret text. `Debug` shows nothing of it, and it cannot be cloned or serialised.
#[derive(Debug)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes a secret text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// The text, for the one place that has to send or check it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// SHA-256 of a token, hex: all the hub keeps of a token (protocol, section 2, step 4).
#[derive(Clone, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub struct TokenHash(pub String);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l03_debug_shows_nothing_of_a_secret() {
        let shown = format!("{:?} {:?}", Secret::new("canary".into()), TokenHash("canary".into()));
        assert!(!shown.contains("canary"), "{shown}");
        assert!(shown.to_lowercase().contains("redacted"), "{shown}");
    }
}
