//! One job.

use std::sync::{Arc, Mutex, MutexGuard, Weak};

use jiff::{SignedDuration, Timestamp};
use selena_types::ModuleName;
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{JobId, JobKind, Jobs, current};
use crate::ApiError;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It waits for another job of the same module, or for a place.
    Waiting,
    /// It works, and can be cancelled.
    Running,
    /// It was cancelled, or its time is over; it stops at its next step.
    Cancelling,
    /// It undoes what it began.
    GoingBack,
    /// It is past its commit point: it goes to its end.
    Committing,
    /// It is done.
    Done,
    /// It failed.
    Failed,
    /// It was cancelled, and what it began is undone.
    Cancelled,
}

/// A job as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobView {
    /// Counts up from 1 since the start of the hub.
    pub id: JobId,
    /// What it does.
    pub kind: JobKind,
    /// To which module; none as long as a package arrives.
    pub module: Option<ModuleName>,
    /// Who asked for it; `core` for the hub itself.
    pub owner: String,
    /// When it began.
    pub since: Timestamp,
    /// When it is stopped, if it has not come to its commit point by then.
    pub deadline: Timestamp,
    /// 0 to 100, as far as it is known.
    pub progress: u8,
    /// What it does now, or why it failed.
    pub message: String,
    /// Where it stands.
    pub state: JobState,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// A job that was begun. When this is dropped it has ended.
#[derive(Debug)]
pub struct Job(pub(super) Arc<Shared>);

/// What the list and the work share of a job.
#[derive(Debug)]
pub(super) struct Shared {
    jobs: Weak<Jobs>,
    view: Mutex<JobView>,
    deadline: Instant,
    cancel: CancellationToken,
    /// Who cancelled it.
    canceller: Mutex<Option<String>>,
}

impl Shared {
    pub(super) fn new(jobs: &Arc<Jobs>, id: JobId, kind: JobKind, module: Option<&ModuleName>, owner: &str) -> Self {
        let (limit, since) = (kind.limit(), Timestamp::now());
        let view = JobView {
            id,
            kind,
            module: module.cloned(),
            owner: owner.to_owned(),
            since,
            deadline: since.saturating_add(SignedDuration::try_from(limit).unwrap_or_default()).unwrap_or(since),
            progress: 0,
            message: String::new(),
            state: JobState::Running,
            ended: None,
        };
        Self {
            jobs: Arc::downgrade(jobs),
            view: Mutex::new(view),
            deadline: Instant::now() + limit,
            cancel: CancellationToken::new(),
            canceller: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, JobView> {
        self.view.lock().expect("nothing panics while it holds a job")
    }

    pub(super) fn view(&self) -> JobView {
        self.lock().clone()
    }

    /// Asks it to stop.
    pub(super) fn cancel(&self, who: &str) -> Result<JobView, ApiError> {
        let mut view = self.lock();
        let refuse = |detail: &str| {
            let detail = format!("job {} {detail}", view.id);
            Err(ApiError::Conflict { code: "job_not_cancellable", detail })
        };
        match view.state {
            JobState::Waiting | JobState::Running => {}
            JobState::Cancelling | JobState::GoingBack => return refuse("is being stopped already"),
            JobState::Committing => return refuse("is past the point up to which it can be undone; it ends soon"),
            JobState::Done | JobState::Failed | JobState::Cancelled => return refuse("has ended"),
        }
        view.state = JobState::Cancelling;
        *self.canceller.lock().expect("nothing panics while it holds a name") = Some(who.to_owned());
        self.cancel.cancel();
        Ok(view.clone())
    }

    /// Resolves when it is to stop, with the reason.
    pub(super) async fn stopped(&self) -> ApiError {
        tokio::select! {
            () = self.cancel.cancelled() => {}
            () = tokio::time::sleep_until(self.deadline) => {}
        }
        match self.check() {
            Err(reason) => reason,
            // The deadline came after the commit point.
            Ok(()) => std::future::pending().await,
        }
    }

    pub(super) fn check(&self) -> Result<(), ApiError> {
        let over = self.cancel.is_cancelled() || Instant::now() >= self.deadline;
        let committed = self.lock().state == JobState::Committing;
        if over && !committed { Err(self.reason()) } else { Ok(()) }
    }

    fn reason(&self) -> ApiError {
        let mut view = self.lock();
        let name = view.kind.as_str();
        match &*self.canceller.lock().expect("nothing panics while it holds a name") {
            Some(who) => {
                ApiError::JobStopped { code: "job_cancelled", detail: format!("the {name} was cancelled by {who}") }
            }
            None => {
                view.state = JobState::Cancelling;
                let minutes = view.kind.limit().as_secs() / 60;
                let detail = format!("the {name} was not done within {minutes} minutes, and was stopped");
                ApiError::JobStopped { code: "job_deadline", detail }
            }
        }
    }

    /// From now on it cannot be stopped; unless it was already.
    pub(super) fn commit(&self) -> Result<(), ApiError> {
        let mut view = self.lock();
        if matches!(view.state, JobState::Cancelling) {
            drop(view);
            return Err(self.reason());
        }
        view.state = JobState::Committing;
        Ok(())
    }

    pub(super) fn set_state(&self, state: JobState) {
        let mut view = self.lock();
        // One that is to stop does not go on as if it were not; only what undoes it and its end change that.
        let goes_on = matches!(state, JobState::Waiting | JobState::Running);
        if !goes_on || matches!(view.state, JobState::Waiting | JobState::Running) {
            view.state = state;
        }
    }

    pub(super) fn report(&self, percent: u8, message: &str) {
        let mut view = self.lock();
        view.progress = percent;
        message.clone_into(&mut view.message);
    }
}

impl Job {
    /// The job as people see it.
    #[must_use]
    pub fn view(&self) -> JobView {
        self.0.view()
    }

    /// Says what it is about, once that is known.
    pub fn about(&self, kind: JobKind, module: &ModuleName) {
        let mut view = self.0.lock();
        (view.kind, view.module) = (kind, Some(module.clone()));
    }

    /// Says how far it is.
    pub fn report(&self, percent: u8, message: &str) {
        self.0.report(percent, message);
    }

    /// Does work, unless the job is stopped before it comes to its end; then the work is dropped where it waits.
    ///
    /// # Errors
    /// Why the job was stopped: [`ApiError::JobStopped`].
    pub async fn until_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, ApiError> {
        tokio::select! {
            reason = self.0.stopped() => Err(reason),
            value = work => Ok(value),
        }
    }

    /// Does all of the job's work: what is called from there finds the job by itself.
    ///
    /// # Errors
    /// The work's.
    pub fn run<T>(self, work: impl Future<Output = Result<T, ApiError>>) -> impl Future<Output = Result<T, ApiError>> {
        // In a box: what a job does is large, and whoever waits for it would be too.
        let work = Box::pin(work);
        async move {
            let outcome = current::within(Arc::clone(&self.0), work).await;
            self.end(outcome.as_ref().err());
            outcome
        }
    }

    /// It failed before its work began.
    pub(crate) fn failed(&self, error: &ApiError) {
        self.end(Some(error));
    }

    /// From now on it cannot be stopped.
    ///
    /// # Errors
    /// [`ApiError::JobStopped`] if it was already.
    pub(crate) fn commit(&self) -> Result<(), ApiError> {
        self.0.commit()
    }

    /// It ended.
    pub(crate) fn end(&self, error: Option<&ApiError>) {
        let mut view = self.0.lock();
        match error {
            None => (view.state, view.progress) = (JobState::Done, 100),
            Some(error) => {
                let cancelled = matches!(error, ApiError::JobStopped { code: "job_cancelled", .. });
                view.state = if cancelled { JobState::Cancelled } else { JobState::Failed };
                view.message = error.to_string();
            }
        }
        view.ended = Some(Timestamp::now());
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let mut view = self.0.lock();
        if view.ended.is_none() {
            // Whoever asked for it is gone, or it broke; or it was one that only waited.
            let cancelled = self.0.cancel.is_cancelled();
            view.state = if cancelled { JobState::Cancelled } else { JobState::Failed };
            if view.message.is_empty() {
                "it was given up before it came to its end".clone_into(&mut view.message);
            }
            view.ended = Some(Timestamp::now());
        }
        let ended = view.clone();
        // The list is locked before its jobs, everywhere.
        drop(view);
        if let Some(jobs) = self.0.jobs.upgrade() {
            jobs.ended(ended);
        }
    }
}
