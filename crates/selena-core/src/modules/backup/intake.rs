//! Taking in a backup as a stream: to check it, or to restore it.

use std::sync::Arc;

use bytes::Bytes;
use selena_backup::{ArchiveReader, age::Key};
use tokio::{runtime::Handle, sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    super::Modules,
    Restored,
    job::{BackupTask, Job},
    pipe::{PIECES, PipeReader},
    stage::{Stage, Staged},
};
use crate::ApiError;

/// What a backup is taken in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntakeMode {
    /// To look all of it through.
    Check,
    /// To restore it.
    Restore {
        /// Whether it may take the place of what is there.
        replace: bool,
    },
}

/// A backup that is taken in. Its pieces are sent in their order; the sender is dropped after the last one.
/// The outcome may come before: then no more is wanted.
#[derive(Debug)]
pub struct Intake {
    /// Where the pieces go.
    pub pieces: mpsc::Sender<Bytes>,
    /// How it ends.
    pub outcome: JoinHandle<Result<Restored, ApiError>>,
    /// Ends it without any change: the backup does not come whole.
    pub cancel: CancellationToken,
}

impl Modules {
    /// Begins to take in a backup.
    ///
    /// # Errors
    /// 409 `backup_in_progress`. The outcome: 422 `backup_key` as soon as the header came, `backup_invalid`,
    /// `backup_newer`, `backup_architecture`; 409 `backup_replace` if something is there and may not be replaced.
    pub async fn take_in(self: &Arc<Self>, key: Key, mode: IntakeMode, who: &str) -> Result<Intake, ApiError> {
        let task = if mode == IntakeMode::Check { BackupTask::Check } else { BackupTask::Restore };
        let job = self.backup_job(task, who)?;
        let event = if mode == IntakeMode::Check { "backup_check" } else { "backup_restore" };
        self.parts.api.record(event, who, "begun");
        let cancel = job.cancel_token();
        let (pieces, arriving) = mpsc::channel(PIECES);
        let (modules, who) = (self.clone(), who.to_owned());
        let outcome = self.tasks.spawn(async move {
            let from = PipeReader::new(arriving, job.cancel_token(), Handle::current());
            let (outcome, job) = modules.work_through(from, key, mode, &who, job).await;
            if let Err(error) = &outcome {
                tracing::warn!(
                    error = error as &dyn std::error::Error,
                    code = error.code(),
                    "a backup was not taken in"
                );
            }
            job.end(outcome.as_ref().map(|restored| match restored.status {
                "GOOD" => "the backup is good",
                "RESTARTING" => "the hub starts again with what was restored",
                _ => "the backup is restored",
            }));
            outcome
        });
        Ok(Intake { pieces, outcome, cancel })
    }

    async fn work_through(
        self: &Arc<Self>,
        from: PipeReader,
        key: Key,
        mode: IntakeMode,
        who: &str,
        job: Job,
    ) -> (Result<Restored, ApiError>, Job) {
        let place = match self.staging_place(None).await {
            Ok(place) => place,
            Err(error) => return (Err(error), job),
        };
        let stage = Stage::new(self.clone(), place, mode, job, Handle::current());
        let staged = tokio::task::spawn_blocking(move || read(from, &key, stage)).await;
        let (staged, job) = staged.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        let outcome = match job.outcome(staged) {
            Ok(staged) if mode == IntakeMode::Check => Ok(Restored { status: "GOOD", about: staged.about() }),
            Ok(staged) => match job.commit() {
                Ok(()) => self.restore(staged, who).await,
                Err(error) => job.outcome(Err(error)),
            },
            Err(error) => Err(error),
        };
        (outcome, job)
    }
}

/// Reads the whole backup into its stage.
fn read(from: PipeReader, key: &Key, mut stage: Stage) -> (Result<Staged, ApiError>, Job) {
    let staged = ArchiveReader::open(from, key).map_err(ApiError::from).and_then(|archive| archive.read(&mut stage));
    stage.finish(staged)
}
