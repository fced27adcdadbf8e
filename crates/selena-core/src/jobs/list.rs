//! All jobs: those that are under way, and the last that ended.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard},
};

use selena_types::ModuleName;
use serde::Serialize;

use super::{
    JobKind,
    job::{Job, JobView, Shared},
};
use crate::ApiError;

/// How many that ended are shown.
const MAX_ENDED: usize = 32;

/// A job's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct JobId(u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// The jobs of the hub.
#[derive(Debug, Default)]
pub struct Jobs(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    last: u64,
    under_way: BTreeMap<JobId, Arc<Shared>>,
    ended: VecDeque<JobView>,
}

impl Jobs {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nothing panics while it holds the jobs")
    }

    /// Begins a job. `owner`: who asked for it.
    #[must_use = "a job that is dropped has ended"]
    pub fn begin(self: &Arc<Self>, kind: JobKind, module: Option<&ModuleName>, owner: &str) -> Job {
        let mut inner = self.lock();
        inner.last += 1;
        let id = JobId(inner.last);
        let shared = Arc::new(Shared::new(self, id, kind, module, owner));
        inner.under_way.insert(id, Arc::clone(&shared));
        Job(shared)
    }

    /// Those that are under way, the oldest first, and then those that ended, the newest first.
    #[must_use]
    pub fn list(&self) -> Vec<JobView> {
        let inner = self.lock();
        let under_way = inner.under_way.values().map(|shared| shared.view());
        under_way.chain(inner.ended.iter().rev().cloned()).collect()
    }

    /// Asks a job to stop; it fails then, and what it began is undone.
    ///
    /// # Errors
    /// [`ApiError::NotFound`]; 409 `job_not_cancellable` if it has ended, or is past its commit point.
    pub fn cancel(&self, id: JobId, who: &str) -> Result<JobView, ApiError> {
        let inner = self.lock();
        match inner.under_way.get(&id) {
            Some(shared) => shared.cancel(who),
            None if inner.ended.iter().any(|job| job.id == id) => {
                Err(ApiError::Conflict { code: "job_not_cancellable", detail: format!("job {id} has ended") })
            }
            None => Err(ApiError::NotFound("job")),
        }
    }

    /// A job ended.
    pub(super) fn ended(&self, view: JobView) {
        let mut inner = self.lock();
        inner.under_way.remove(&view.id);
        if inner.ended.len() >= MAX_ENDED {
            inner.ended.pop_front();
        }
        inner.ended.push_back(view);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::{JobState, check, commit_point, undo, until_stopped};

    fn states(jobs: &Jobs) -> Vec<JobState> {
        jobs.list().iter().map(|job| job.state).collect()
    }

    fn code(error: &ApiError) -> &str {
        error.code()
    }

    #[tokio::test]
    async fn a_cancelled_job_stops_where_it_waits_and_undoes_what_it_began() {
        let jobs = Arc::new(Jobs::default());
        let job = jobs.begin(JobKind::Install, None, "ann");
        let id = job.view().id;
        let watched = jobs.clone();
        let work = async {
            watched.cancel(id, "bob").expect("it runs");
            let stopped = until_stopped(std::future::pending::<()>()).await.expect_err("it is stopped");
            undo(async {
                check().expect("what undoes it is not stopped");
                assert_eq!(watched.list()[0].state, JobState::GoingBack);
            })
            .await;
            Err::<(), _>(stopped)
        };
        let error = job.run(work).await.expect_err("it was cancelled");
        assert_eq!((code(&error), error.to_string().contains("bob")), ("job_cancelled", true));
        assert_eq!(states(&jobs), [JobState::Cancelled]);
        assert_eq!(code(&jobs.cancel(id, "bob").expect_err("it has ended")), "job_not_cancellable");
        assert_eq!(code(&jobs.cancel(JobId(99), "bob").expect_err("nobody began it")), "not_found");
    }

    #[tokio::test]
    async fn past_its_commit_point_a_job_cannot_be_cancelled_and_before_it_not_committed() {
        let jobs = Arc::new(Jobs::default());
        let (first, second) = (jobs.begin(JobKind::Start, None, "ann"), jobs.begin(JobKind::Start, None, "ann"));
        let (one, two) = (first.view().id, second.view().id);
        let outcome = first.run(async {
            commit_point()?;
            assert_eq!(code(&jobs.cancel(one, "bob").expect_err("it commits")), "job_not_cancellable");
            Ok(())
        });
        outcome.await.expect("it went to its end");
        let outcome = second.run(async {
            jobs.cancel(two, "bob").expect("it runs");
            commit_point()
        });
        assert_eq!(code(&outcome.await.expect_err("it was faster")), "job_cancelled");
        assert_eq!(states(&jobs), [JobState::Cancelled, JobState::Done]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_ends_at_its_deadline() {
        let jobs = Arc::new(Jobs::default());
        let job = jobs.begin(JobKind::Stop, None, "ann");
        let error = job.run(async { until_stopped(std::future::pending::<()>()).await }).await.expect_err("too long");
        assert_eq!(code(&error), "job_deadline");
        assert_eq!(states(&jobs), [JobState::Failed]);
    }

    #[tokio::test]
    async fn what_is_given_up_has_ended_and_few_of_those_are_kept() {
        let jobs = Arc::new(Jobs::default());
        for _ in 0..=MAX_ENDED {
            drop(jobs.begin(JobKind::Install, None, "ann"));
        }
        let all = jobs.list();
        assert_eq!((all.len(), all[0].state), (MAX_ENDED, JobState::Failed));
        assert_eq!((all[0].id, all[MAX_ENDED - 1].id), (JobId(33), JobId(2)), "the newest first");
    }
}
