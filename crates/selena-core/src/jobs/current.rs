//! The job that a task works for, so that what waits deep inside of it can be stopped.

use std::sync::Arc;

use super::job::{JobState, Shared};
use crate::ApiError;

tokio::task_local! {
    /// None while a job undoes what it began.
    static CURRENT: Option<Arc<Shared>>;
}

fn current() -> Option<Arc<Shared>> {
    CURRENT.try_with(Option::clone).ok().flatten()
}

/// Does a job's work.
pub(super) async fn within<T>(job: Arc<Shared>, work: impl Future<Output = T>) -> T {
    CURRENT.scope(Some(job), work).await
}

/// Waits for a lock or a place, unless the job is stopped meanwhile: then the wait is dropped, so it must not be one for
/// work that has begun.
pub(crate) async fn until_stopped<T>(wait: impl Future<Output = T>) -> Result<T, ApiError> {
    let Some(job) = current() else { return Ok(wait.await) };
    job.set_state(JobState::Waiting);
    let outcome = tokio::select! {
        reason = job.stopped() => Err(reason),
        value = wait => Ok(value),
    };
    job.set_state(JobState::Running);
    outcome
}

/// Resolves when the job is to stop, with the reason; never without a job.
pub(crate) async fn stopped() -> ApiError {
    match current() {
        Some(job) => job.stopped().await,
        None => std::future::pending().await,
    }
}

/// Whether the job may go on.
pub(crate) fn check() -> Result<(), ApiError> {
    current().map_or(Ok(()), |job| job.check())
}

/// From here on the job is not stopped any more; an error if it was already.
pub(crate) fn commit_point() -> Result<(), ApiError> {
    current().map_or(Ok(()), |job| job.commit())
}

/// Says how far the job is.
pub(crate) fn report(percent: u8, message: &str) {
    if let Some(job) = current() {
        job.report(percent, message);
    }
}

/// Undoes what a job began; nothing stops that.
pub(crate) async fn undo<T>(work: impl Future<Output = T>) -> T {
    if let Some(job) = current() {
        job.set_state(JobState::GoingBack);
    }
    CURRENT.scope(None, work).await
}
