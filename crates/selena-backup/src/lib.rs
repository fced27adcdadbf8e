//! The file of a backup: a plain tar in an encrypted envelope of the format age-encryption.org/v1, both streams.
//!
//! Entry points: [`ArchiveWriter`], [`ArchiveReader`], and [`age`] for the envelope alone. The README of this crate
//! describes the format for other programs. Nothing here knows what a hub does with the parts, and no part is ever
//! unpacked here: a reader is given their bytes, in an order that is known, under names that are known.

#![warn(missing_docs)]

pub mod age;
mod archive;
mod index;
mod part;
mod read;
mod secrets;

pub use archive::ArchiveWriter;
pub use index::{Index, IndexedModule, Scope, VolumeSize};
pub use part::Part;
pub use read::{ArchiveReader, PartVisitor};
pub use secrets::{KeptSecrets, KeptToken};
pub use semver::Version;

/// Newest form of the archive that is read, and the one that is written.
pub const FORMAT: u32 = 1;

/// Why a backup was not read or written. No text holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The envelope.
    #[error(transparent)]
    Age(#[from] age::AgeError),
    /// What is in the envelope is no archive of a hub.
    #[error("this is no backup of a hub: {0}")]
    Malformed(String),
    /// A newer hub made it.
    #[error("the backup has the form {0}, and this hub reads {FORMAT}: update the hub first")]
    Newer(u32),
    /// Reading or writing failed.
    #[error("reading or writing the backup failed")]
    Io(#[source] std::io::Error),
}

impl From<std::io::Error> for BackupError {
    fn from(error: std::io::Error) -> Self {
        let is_age = error.get_ref().is_some_and(|inner| inner.is::<age::AgeError>());
        if !is_age {
            return Self::Io(error);
        }
        match error.into_inner().map(|inner| inner.downcast::<age::AgeError>()) {
            Some(Ok(inner)) => Self::Age(*inner),
            _ => Self::Malformed("it cannot be read".to_owned()),
        }
    }
}
