//! Backup and restore of one module or the whole hub, as streams in the format of `selena-backup`.
//!
//! Making one: the database is copied while it is in use; then each module's files are laid ready, one module after the
//! other. One that runs is stopped for that, so that its data is what its author means to be started from, and started
//! again before a byte of it is sent: how long that took is told.
//!
//! Restoring is a transaction. All is staged and checked first; a rename makes it the hub's plan ([`redo`]), and what is
//! planned is done now or by the next start. Of the device's identity nothing is in a backup: platform key, agent's
//! secret and the hub's own keys stay where they are, or there would be two of one hub.

mod create;
mod intake;
mod job;
mod pipe;
mod redo;
mod restore;
mod secrets;
mod spool;
mod stage;
mod staged_database;
mod verify;

use std::sync::Arc;

use selena_backup::BackupError;
use serde_json::{Value, json};

use crate::{
    ApiError,
    ports::{CopyError, DataVolumes, StoreCopies, Vault, VolumeError},
};

pub use create::{BackupRequest, BackupStream};
pub use intake::{Intake, IntakeMode};
pub use job::{BackupProgress, BackupStatus, BackupTask};
pub use redo::finish_hub_restore;
pub use selena_backup::age::{Identity, Key, KeyError, Lock, Recipient};

pub(super) use job::Backups;

/// Architecture of this program, as a backup names it.
const ARCHITECTURE: &str = std::env::consts::ARCH;

/// What backups work with.
#[derive(Clone, Debug)]
pub struct BackupParts {
    /// The database.
    pub copies: Arc<dyn StoreCopies>,
    /// The data of modules.
    pub volumes: Arc<dyn DataVolumes>,
    /// The tokens of modules.
    pub vault: Arc<dyn Vault>,
}

/// How a restore or check ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Restored {
    /// `GOOD` after a check, `RESTORED`, or `RESTARTING`: the hub starts anew with what was restored.
    pub status: &'static str,
    /// What the backup says of itself, with notes to each module.
    pub about: Value,
}

impl Restored {
    /// The answer.
    #[must_use]
    pub fn details(&self) -> Value {
        let mut details = self.about.clone();
        details["status"] = json!(self.status);
        details
    }

    /// Whether the hub has to start anew.
    #[must_use]
    pub fn restarts(&self) -> bool {
        self.status == "RESTARTING"
    }
}

fn refuse(code: &str, detail: impl Into<String>) -> ApiError {
    ApiError::Unprocessable { code: code.to_owned(), detail: detail.into() }
}

fn invalid(detail: impl Into<String>) -> ApiError {
    refuse("backup_invalid", detail)
}

impl From<BackupError> for ApiError {
    fn from(error: BackupError) -> Self {
        use selena_backup::age::AgeError;
        match error {
            BackupError::Age(AgeError::WrongKey(_)) => refuse("backup_key", error.to_string()),
            BackupError::Newer(_) => refuse("backup_newer", error.to_string()),
            BackupError::Age(AgeError::NoRandomness) => Self::internal(error),
            BackupError::Age(AgeError::Io(source)) | BackupError::Io(source) => disk(source),
            BackupError::Age(_) | BackupError::Malformed(_) => invalid(error.to_string()),
        }
    }
}

/// An error of the file system, or of a stream that passes through it.
fn disk(error: std::io::Error) -> ApiError {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ApiError::DiskFull,
        std::io::ErrorKind::InvalidData => BackupError::from(error).into_data_error(),
        _ => ApiError::internal(error),
    }
}

/// What an error of the content says.
trait DataError {
    fn into_data_error(self) -> ApiError;
}

impl DataError for BackupError {
    fn into_data_error(self) -> ApiError {
        match self {
            // Not the envelope's, so not told here: it would turn in circles.
            Self::Io(source) => invalid(source.to_string()),
            other => other.into(),
        }
    }
}

impl From<CopyError> for ApiError {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Refused(_) => invalid(error.to_string()),
            CopyError::Newer { .. } => refuse("backup_newer", error.to_string()),
            CopyError::DiskFull => Self::DiskFull,
            CopyError::Failed { .. } => Self::internal(error),
        }
    }
}

impl From<VolumeError> for ApiError {
    fn from(error: VolumeError) -> Self {
        use crate::ports::SandboxError;
        match error {
            VolumeError::Refused(_) | VolumeError::TooLarge { .. } => invalid(error.to_string()),
            VolumeError::Sandbox(SandboxError::DiskFull { .. }) => Self::DiskFull,
            VolumeError::Sandbox(other) => Self::internal(other),
        }
    }
}
