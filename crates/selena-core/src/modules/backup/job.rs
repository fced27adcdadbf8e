//! One backup, check or restore at a time, with its progress and its cancel.

use std::sync::{Arc, Mutex};

use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::super::Modules;
use crate::{
    ApiError,
    jobs::{self, JobKind},
};

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupTask {
    /// A backup is made.
    Backup,
    /// One is looked through, and nothing is changed.
    Check,
    /// One is restored.
    Restore,
}

impl BackupTask {
    fn kind(self) -> JobKind {
        match self {
            Self::Backup => JobKind::Backup,
            Self::Check => JobKind::BackupCheck,
            Self::Restore => JobKind::Restore,
        }
    }
}

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum BackupStatus {
    /// It goes on.
    Running,
    /// It went well.
    Done,
    /// It failed, and nothing was changed.
    Failed,
    /// Somebody ended it, and nothing was changed.
    Cancelled,
}

/// One line of `GET /backup/status/stream`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackupProgress {
    /// What is done.
    pub task: BackupTask,
    /// Where it stands.
    pub status: BackupStatus,
    /// What happens now, or why it ended, for people.
    pub message: String,
    /// 0 to 100, by modules.
    pub progress: u8,
}

impl BackupProgress {
    /// Whether the stream ends after it.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.status != BackupStatus::Running
    }
}

/// What goes on.
#[derive(Debug)]
pub(in super::super) struct Backups {
    current: Mutex<Option<CancellationToken>>,
    progress: watch::Sender<Option<BackupProgress>>,
}

impl Default for Backups {
    fn default() -> Self {
        Self { current: Mutex::default(), progress: watch::Sender::new(None) }
    }
}

/// A job that goes on; the next one may begin when it is dropped.
#[derive(Debug)]
pub(super) struct Job {
    backups: Arc<Backups>,
    task: BackupTask,
    cancel: CancellationToken,
    /// The same in the list of all jobs.
    listed: Arc<jobs::Job>,
}

impl Backups {
    /// Begins it, for whoever `who` is, unless another one goes on.
    fn begin(self: &Arc<Self>, task: BackupTask, modules: &Modules, who: &str) -> Result<Job, ApiError> {
        let mut current = self.current.lock().expect("nothing panics while it holds the job");
        if current.is_some() {
            let detail = "a backup or restore goes on already: wait for it, or cancel it (DELETE /backup)".to_owned();
            return Err(ApiError::Conflict { code: "backup_in_progress", detail });
        }
        let cancel = modules.shutdown.child_token();
        *current = Some(cancel.clone());
        let listed = Arc::new(modules.jobs.begin(task.kind(), None, who));
        let (watched, ended) = (listed.clone(), cancel.clone());
        modules.tasks.spawn(async move {
            if watched.until_stopped(ended.cancelled()).await.is_err() {
                ended.cancel();
            }
        });
        let job = Job { backups: self.clone(), task, cancel, listed };
        job.set(BackupStatus::Running, "it begins".to_owned(), 0);
        Ok(job)
    }

    fn cancel(&self) -> bool {
        let current = self.current.lock().expect("nothing panics while it holds the job");
        current.as_ref().inspect(|cancel| cancel.cancel()).is_some()
    }
}

impl Job {
    pub(super) fn cancel_token(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Tells how far it is.
    pub(super) fn tell(&self, message: impl Into<String>, percent: usize) {
        self.set(BackupStatus::Running, message.into(), u8::try_from(percent.min(100)).unwrap_or(100));
    }

    /// Tells something, as far as it was told to be before.
    pub(super) fn note(&self, message: String) {
        let progress = self.backups.progress.borrow().as_ref().map_or(0, |told| told.progress);
        self.set(BackupStatus::Running, message, progress);
    }

    /// Refuses to go on if it was cancelled.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        if self.cancel.is_cancelled() { Err(cancelled()) } else { Ok(()) }
    }

    /// The outcome, of a job that may have been broken by its cancel.
    pub(super) fn outcome<T>(&self, outcome: Result<T, ApiError>) -> Result<T, ApiError> {
        outcome.map_err(|error| if self.cancel.is_cancelled() { cancelled() } else { error })
    }

    /// From now on it is not cancelled any more.
    pub(super) fn commit(&self) -> Result<(), ApiError> {
        self.check()?;
        self.listed.commit()
    }

    /// Tells how it ended, and lets the next one begin.
    pub(super) fn end(self, outcome: Result<&str, &ApiError>) {
        let (status, message) = match outcome {
            Ok(message) => (BackupStatus::Done, message.to_owned()),
            Err(ApiError::Conflict { code: CANCELLED, detail }) => (BackupStatus::Cancelled, detail.clone()),
            Err(error) => (BackupStatus::Failed, error.to_string()),
        };
        self.set(status, message, 100);
        let stopped = ApiError::JobStopped { code: "job_cancelled", detail: "it was cancelled".to_owned() };
        self.listed.end(match status {
            BackupStatus::Cancelled => Some(&stopped),
            _ => outcome.err(),
        });
    }

    fn set(&self, status: BackupStatus, message: String, progress: u8) {
        self.listed.report(progress, &message);
        self.backups.progress.send_replace(Some(BackupProgress { task: self.task, status, message, progress }));
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        *self.backups.current.lock().expect("nothing panics while it holds the job") = None;
        // Ends what waits for a cancel.
        self.cancel.cancel();
    }
}

const CANCELLED: &str = "backup_cancelled";

fn cancelled() -> ApiError {
    ApiError::Conflict { code: CANCELLED, detail: "it was cancelled; nothing was changed".to_owned() }
}

impl Modules {
    /// Begins a backup, check or restore.
    pub(super) fn backup_job(&self, task: BackupTask, who: &str) -> Result<Job, ApiError> {
        self.backups.begin(task, self, who)
    }

    /// Follows the backup or restore that goes on, or shows how the last one ended.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] if there was none since the hub started.
    pub fn follow_backup(&self) -> Result<watch::Receiver<Option<BackupProgress>>, ApiError> {
        let receiver = self.backups.progress.subscribe();
        if receiver.borrow().is_none() {
            return Err(ApiError::NotFound("backup or restore since the hub started"));
        }
        Ok(receiver)
    }

    /// Ends the backup or restore that goes on. One that is restored to its end already is not undone.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] if none goes on.
    pub fn cancel_backup(&self, who: &str) -> Result<(), ApiError> {
        if !self.backups.cancel() {
            return Err(ApiError::NotFound("backup or restore that goes on"));
        }
        self.parts.api.record("backup_cancel", who, "");
        Ok(())
    }
}
