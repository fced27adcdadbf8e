//! Encrypted streams in the format age-encryption.org/v1 (C2SP `age.md`), with the recipients that a backup needs:
//! a public key (X25519) or a passphrase (scrypt).
//!
//! The format's own crate brings a second generation of every cipher that the hub has, which `deny.toml` refuses; this
//! is the format alone, over the same crates that seal the hub's other secrets. Its vectors are in `tests/testkit`.

mod header;
mod kdf;
mod keys;
mod payload;
mod scrypt;
mod stanza;
mod x25519;

pub use header::Header;
pub use keys::{Identity, Key, KeyError, Lock, Recipient};
pub use payload::{Decrypting, Encrypting};

/// Why an encrypted stream was not read or written. No text holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum AgeError {
    /// It is something else.
    #[error("this is no file in the format age-encryption.org/v1")]
    NotAge,
    /// Its header breaks the format.
    #[error("the header of the encrypted file is damaged: {0}")]
    Header(&'static str),
    /// Its header was changed after it was written.
    #[error("the header of the encrypted file was changed")]
    HeaderChanged,
    /// The key is another one's.
    #[error("{0}")]
    WrongKey(&'static str),
    /// Trying the passphrase would take more than a hub gives.
    #[error("the passphrase would take 2^{0} rounds of scrypt to try, and at most 2^{max} are taken", max = scrypt::MOST_LOG_N)]
    WorkFactor(u8),
    /// Its content was changed, or is not whole.
    #[error("the content of the encrypted file is {0}")]
    Payload(&'static str),
    /// No random numbers could be had.
    #[error("the operating system gave no random numbers")]
    NoRandomness,
    /// Reading or writing failed.
    #[error("reading or writing the encrypted file failed")]
    Io(#[from] std::io::Error),
}

/// Fills with random bytes.
fn random<const N: usize>() -> Result<[u8; N], AgeError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| AgeError::NoRandomness)?;
    Ok(bytes)
}
