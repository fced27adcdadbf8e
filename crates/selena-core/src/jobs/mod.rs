//! Long pieces of work: each has somebody who asked for it, a deadline, a progress, and a cancel.
//!
//! A job is what one request or one decision of the hub begins, and it is in memory only: what a transaction has to
//! undo after the hub's own end stands in the store. It is stopped where it waits, never in the middle of a step, and
//! then fails like any other; from its commit point on it goes to its end. What knows nothing of jobs works without.

mod current;
mod job;
mod list;

pub use job::{Job, JobState, JobView};
pub use list::{JobId, Jobs};

pub(crate) use current::{check, commit_point, report, stopped, undo, until_stopped};

use std::time::Duration;

use serde::Serialize;

/// What a job does. Kinds are only added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// A package arrives, and becomes a new module.
    Install,
    /// A package arrives, and takes the place of another version.
    Update,
    /// What a person granted is done.
    Consent,
    /// The version before comes back.
    Rollback,
    /// A module goes.
    Remove,
    /// A module starts.
    Start,
    /// A module stops.
    Stop,
    /// A module stops and starts.
    Restart,
    /// A module starts because its schedule says so.
    ScheduledRun,
    /// A backup is made.
    Backup,
    /// A backup is looked through.
    BackupCheck,
    /// A backup is restored.
    Restore,
}

impl JobKind {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Update => "update",
            Self::Consent => "consent",
            Self::Rollback => "rollback",
            Self::Remove => "remove",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::ScheduledRun => "scheduled_run",
            Self::Backup => "backup",
            Self::BackupCheck => "backup_check",
            Self::Restore => "restore",
        }
    }

    /// How long it may take: more than the limits of all its steps together, an upload (10 minutes) and the import of the
    /// largest image (10 minutes) among them.
    const fn limit(self) -> Duration {
        match self {
            Self::Install | Self::Update => Duration::from_mins(30),
            Self::Consent | Self::Rollback | Self::Start | Self::Restart | Self::ScheduledRun => {
                Duration::from_mins(15)
            }
            Self::Remove | Self::Stop => Duration::from_mins(5),
            // They go to or come from another machine, as fast as its network is.
            Self::Backup | Self::BackupCheck | Self::Restore => Duration::from_hours(12),
        }
    }
}
