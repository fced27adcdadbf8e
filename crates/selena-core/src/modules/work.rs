//! What is done to modules as jobs (see [`crate::jobs`]), so that none of it holds up another module's.

use std::{sync::Arc, time::Duration};

use selena_types::ModuleName;
use tokio::{sync::MutexGuard, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Modules,
    slot::{Live, Slot},
};
use crate::{
    ApiError,
    jobs::{self, Job, JobId, JobKind, JobView, Jobs},
};

/// How long a start keeps its place among those that are under way. One that takes longer hangs, or waits for something:
/// it goes on, and holds up nobody.
const PLACE_LIMIT: Duration = Duration::from_secs(5);
/// Who asked for what the hub does by itself.
pub(super) const CORE: &str = "core";

impl Modules {
    /// The jobs that are under way, and those that ended lately.
    #[must_use]
    pub fn jobs(&self) -> &Arc<Jobs> {
        &self.jobs
    }

    /// Cancels a job: it stops at its next step, and what it began is undone.
    ///
    /// # Errors
    /// As [`Jobs::cancel`].
    pub fn cancel_job(&self, id: JobId, who: &str) -> Result<JobView, ApiError> {
        let job = self.jobs.cancel(id, who)?;
        let module = job.module.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
        let what = format!("job {id}: {}{module}, begun by {}", job.kind.as_str(), job.owner);
        self.parts.api.record("job_cancelled", who, &what);
        Ok(job)
    }

    /// A job about a module.
    pub(super) fn job(&self, kind: JobKind, name: &ModuleName, owner: &str) -> Job {
        self.jobs.begin(kind, Some(name), owner)
    }

    /// Runs a job to its end, also if the client that asked for it is gone.
    pub(super) fn finish<T: Send + 'static>(
        &self,
        job: Job,
        work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
    ) -> impl Future<Output = Result<T, ApiError>> {
        let done = self.tasks.spawn(job.run(work));
        async move { done.await.unwrap_or_else(|panic| Err(ApiError::internal(panic))) }
    }

    /// Waits until nothing else is done to a module; a job that is stopped waits no longer.
    pub(super) async fn exclusive<'a>(&self, slot: &'a Slot) -> Result<MutexGuard<'a, Live>, ApiError> {
        jobs::until_stopped(slot.live.lock()).await
    }

    /// Waits for a place among the starts that are under way. Given up when it is dropped, and after [`PLACE_LIMIT`].
    pub(super) async fn place_to_start(&self) -> Result<DropGuard, ApiError> {
        let permit = jobs::until_stopped(self.starts.clone().acquire_owned()).await?.map_err(ApiError::internal)?;
        let over = CancellationToken::new();
        let ended = over.clone();
        self.tasks.spawn(async move {
            let _how = timeout(PLACE_LIMIT, ended.cancelled()).await;
            drop(permit);
        });
        Ok(over.drop_guard())
    }
}
