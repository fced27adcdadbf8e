//! One backup, check or restore at a time, with its progress and its cancel.

use std::sync::{Arc, Mutex};

use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::super::Modules;
use crate::ApiError;

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
pub(in super::super) struct Jobs {
    current: Mutex<Option<CancellationToken>>,
    progress: watch::Sender<Option<BackupProgress>>,
}

impl Default for Jobs {
    fn default() -> Self {
        Self { current: Mutex::default(), progress: watch::Sender::new(None) }
    }
}

/// A job that goes on; the next one may begin when it is dropped.
#[derive(Debug)]
pub(super) struct Job {
    jobs: Arc<Jobs>,
    task: BackupTask,
    cancel: CancellationToken,
}

impl Jobs {
    pub(super) fn begin(self: &Arc<Self>, task: BackupTask, shutdown: &CancellationToken) -> Result<Job, ApiError> {
        let mut current = self.current.lock().expect("nothing panics while it holds the job");
        if current.is_some() {
            let detail = "a backup or restore goes on already: wait for it, or cancel it (DELETE /backup)".to_owned();
            return Err(ApiError::Conflict { code: "backup_in_progress", detail });
        }
        let cancel = shutdown.child_token();
        *current = Some(cancel.clone());
        let job = Job { jobs: self.clone(), task, cancel };
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
        let progress = self.jobs.progress.borrow().as_ref().map_or(0, |told| told.progress);
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

    /// Tells how it ended, and lets the next one begin.
    pub(super) fn end(self, outcome: Result<&str, &ApiError>) {
        let (status, message) = match outcome {
            Ok(message) => (BackupStatus::Done, message.to_owned()),
            Err(ApiError::Conflict { code: CANCELLED, detail }) => (BackupStatus::Cancelled, detail.clone()),
            Err(error) => (BackupStatus::Failed, error.to_string()),
        };
        self.set(status, message, 100);
    }

    fn set(&self, status: BackupStatus, message: String, progress: u8) {
        self.jobs.progress.send_replace(Some(BackupProgress { task: self.task, status, message, progress }));
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        *self.jobs.current.lock().expect("nothing panics while it holds the job") = None;
    }
}

const CANCELLED: &str = "backup_cancelled";

fn cancelled() -> ApiError {
    ApiError::Conflict { code: CANCELLED, detail: "it was cancelled; nothing was changed".to_owned() }
}

impl Modules {
    /// Follows the backup or restore that goes on, or shows how the last one ended.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] if there was none since the hub started.
    pub fn follow_backup(&self) -> Result<watch::Receiver<Option<BackupProgress>>, ApiError> {
        let receiver = self.jobs.progress.subscribe();
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
        if !self.jobs.cancel() {
            return Err(ApiError::NotFound("backup or restore that goes on"));
        }
        self.parts.api.record("backup_cancel", who, "");
        Ok(())
    }
}
