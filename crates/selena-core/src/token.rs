//! Tokens and secrets of modules: made here, and compared here.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use selena_types::{Secret, TokenHash};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The operating system gave no random numbers: nothing that needs a secret can go on.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random numbers")]
pub struct NoRandomness;

fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// A new token: 48 random bytes, base64url, 64 characters (protocol, section 2, step 4).
///
/// # Errors
/// [`NoRandomness`].
pub fn new_token() -> Result<Secret, NoRandomness> {
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(random::<48>()?)))
}

/// A new webhook secret: 32 random bytes, hex, 64 characters (protocol, section 2, step 5).
///
/// # Errors
/// [`NoRandomness`].
pub(crate) fn new_webhook_secret() -> Result<Secret, NoRandomness> {
    Ok(Secret::new(hex::encode(random::<32>()?)))
}

/// SHA-256 of a token, hex.
#[must_use]
pub(crate) fn hash(token: &str) -> TokenHash {
    TokenHash(hex::encode(Sha256::digest(token.as_bytes())))
}

/// Whether two hashes are equal, in a time that does not depend on where they differ.
#[must_use]
pub(crate) fn same(a: &TokenHash, b: &TokenHash) -> bool {
    a.0.as_bytes().ct_eq(b.0.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_the_form_of_the_protocol() {
        let (token, secret) = (new_token().expect("random"), new_webhook_secret().expect("random"));
        assert_eq!(token.expose().len(), 64);
        assert!(token.expose().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        assert_eq!(secret.expose().len(), 64);
        assert!(secret.expose().bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()));
        assert_ne!(token.expose(), new_token().expect("random").expose());
    }

    #[test]
    fn k04_one_changed_character_anywhere_is_another_token() {
        let token = new_token().expect("random");
        let right = hash(token.expose());
        assert!(same(&right, &hash(token.expose())));
        for position in 0..64 {
            let mut bytes = token.expose().as_bytes().to_vec();
            bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(bytes).expect("ASCII");
            assert!(!same(&right, &hash(&other)), "position {position}");
        }
    }
}
