//! Secrets of modules in files of their own (protocol, section 7, "Vault").

use std::{fmt, io, path::PathBuf};

use selena_types::{ModuleName, Secret};

use super::SealError;

/// Why a secret's file was not read or written. No text holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// It was damaged, cut, moved or renamed: that secret is lost, others are not (S01, S02, S03).
    #[error("the secret of `{module}` for `{provider}` does not open, {why}; the module has to log in again")]
    Corrupt {
        /// The module.
        module: ModuleName,
        /// The provider.
        provider: String,
        /// What is wrong with the file.
        why: &'static str,
    },
    /// It is sealed with a key that this hub does not have (S04).
    #[error(
        "the secret of `{module}` for `{provider}` is sealed with a key that is not here; the module has to log in again"
    )]
    Locked {
        /// The module.
        module: ModuleName,
        /// The provider.
        provider: String,
    },
    /// Somebody else may have read or placed it (S05).
    #[error("the file {} is refused: {reason}", file.display())]
    Refused {
        /// The file.
        file: PathBuf,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// It is larger than a secret may be.
    #[error("the secret is too large to be kept")]
    TooLarge,
    /// No disk space is left; what was there before is there still.
    #[error("the disk is full: the secret was not kept")]
    DiskFull,
    /// It could not be sealed.
    #[error("the secret could not be sealed")]
    Seal(#[source] SealError),
    /// The file system failed.
    #[error("{attempted} {} failed", file.display())]
    Io {
        /// What was attempted.
        attempted: &'static str,
        /// With which file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A secret as its file holds it.
#[derive(Debug)]
pub struct StoredSecret {
    /// The version counter the file is bound to. Whoever asked knows the least it may be (S09).
    pub counter: u64,
    /// The secret.
    pub secret: Secret,
}

/// What is known of the versions of one secret, also of one that is gone. Both are 0 where there never was one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VaultCounters {
    /// The highest version that was given to a file, whether or not it was written.
    pub reserved: u64,
    /// The lowest version that is accepted.
    pub floor: u64,
}

/// Secrets in files, one for each module and provider. All methods block.
pub trait Vault: fmt::Debug + Send + Sync + 'static {
    /// Reads a secret; `None` if there is none.
    ///
    /// # Errors
    /// [`VaultError`], as with every method here.
    fn read(&self, module: &ModuleName, provider: &str) -> Result<Option<StoredSecret>, VaultError>;
    /// Writes a secret, durably: the one before or this one is there at every moment (W04).
    fn write(&self, module: &ModuleName, provider: &str, counter: u64, secret: &Secret) -> Result<(), VaultError>;
    /// Deletes a secret, if it is there.
    fn delete(&self, module: &ModuleName, provider: &str) -> Result<(), VaultError>;
    /// Deletes all secrets of a module.
    fn delete_module(&self, module: &ModuleName) -> Result<(), VaultError>;
    /// Where there are files: module and provider, in order.
    fn places(&self) -> Result<Vec<(ModuleName, String)>, VaultError>;
    /// Whether a change of the sealing key was begun and not ended.
    fn is_changing_keys(&self) -> bool;
    /// Makes a new key the one that seals; the one before still opens (W05).
    fn begin_key_change(&self) -> Result<(), VaultError>;
    /// Seals every file with the newest key and drops the one before. What else was sealed must be sealed again before.
    /// If this fails, the key before is kept, and this can be tried again.
    fn end_key_change(&self) -> Result<(), VaultError>;
}
