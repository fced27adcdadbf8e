//! Copies of the store, for backups: the running one is copied, and one that a stranger may have made is opened.

use std::{fmt, path::Path, sync::Arc};

use super::Store;

/// The database's name in its directory.
pub const DATABASE_FILE: &str = "selena.db";

/// Why a copy was not made or opened.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// It is no database of a hub, or a damaged one.
    #[error("its database is not usable: {0}")]
    Refused(String),
    /// A newer hub made it.
    #[error("its database is of a newer hub (schema {found}, this one knows {known}): update the hub first")]
    Newer {
        /// The schema's number in the file.
        found: usize,
        /// The newest this hub knows.
        known: usize,
    },
    /// No disk space is left.
    #[error("the disk is full")]
    DiskFull,
    /// The database failed.
    #[error("{attempted} failed")]
    Failed {
        /// What was attempted.
        attempted: &'static str,
        /// The database's own word.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Copies of the store, each in a directory of its own. All methods block.
pub trait StoreCopies: fmt::Debug + Send + Sync + 'static {
    /// Copies the running store, as it is at one moment, into a directory that is there. Writers go on meanwhile.
    ///
    /// # Errors
    /// [`CopyError`], as with every method here.
    fn copy_into(&self, dir: &Path) -> Result<(), CopyError>;

    /// Refuses a copy that is damaged, of a newer hub, or whose schema is not exactly that of a hub: what is more in it
    /// could act when it is opened.
    fn check(&self, dir: &Path) -> Result<(), CopyError>;

    /// Opens a copy, brought up to date; makes an empty one where there is none.
    fn open(&self, dir: &Path) -> Result<Arc<dyn Store>, CopyError>;

    /// Makes a copy that nobody has open any more one durable file, and checks that it is sound (series D, D13).
    fn finish(&self, dir: &Path) -> Result<(), CopyError>;
}
