//! Sealing secrets that lie in the database.

use std::fmt;

/// Why a sealed value was not opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// It was changed, moved, or sealed with another key.
    #[error("a sealed secret does not open: it was changed, moved, or sealed with another key")]
    Corrupt,
    /// No random numbers could be had.
    #[error("the operating system gave no random numbers")]
    NoRandomness,
}

/// Seals and opens small secrets; `context` says what the secret is and must be the same for both.
pub trait Sealer: fmt::Debug + Send + Sync + 'static {
    /// Seals a secret.
    ///
    /// # Errors
    /// [`SealError::NoRandomness`].
    fn seal(&self, context: &str, secret: &[u8]) -> Result<Vec<u8>, SealError>;

    /// Opens a sealed secret.
    ///
    /// # Errors
    /// [`SealError::Corrupt`].
    fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError>;
}
