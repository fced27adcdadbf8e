//! The first minute of a new version: if it fails then, the version before comes back by itself (protocol, section 2,
//! "Update").
//!
//! What ends a module may be told of before its cause is: the agent stops containers before it reports a violation, and
//! an engine that is stopped ends them before it is gone. So a failure is judged only after a pause.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use selena_types::ModuleState;
use tokio_util::sync::CancellationToken;

use super::{
    ModuleRecord, Modules,
    slot::{Active, Live, Slot},
    work::CORE,
};
use crate::{ApiError, jobs::JobKind};

/// How long a new version has to run before an update counts as done.
const PROBATION: Duration = Duration::from_secs(60);
/// How long a failure waits for its verdict.
const VERDICT_PAUSE: Duration = Duration::from_secs(10);

/// Whose fault the failure of a version on probation is.
enum Verdict {
    /// Its own.
    Version,
    /// A device of it is not there: it is treated as any other crash.
    Device,
    /// The engine's, or that of the hub's end: it waits.
    Surroundings(&'static str),
}

impl Modules {
    /// Ends the probation of a run that lasts.
    pub(super) fn watch_probation(self: &Arc<Self>, slot: &Arc<Slot>, active: &Active) {
        if !slot.record().on_probation {
            return;
        }
        let (modules, slot) = (self.clone(), slot.clone());
        let (run, ended) = (active.run.run.clone(), active.supervision.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = ended.cancelled() => return,
                () = tokio::time::sleep(PROBATION) => {}
            }
            let live = slot.live.lock().await;
            if live.active.as_ref().is_some_and(|active| active.run.run == run) {
                modules.end_probation(&slot).await;
            }
        });
    }

    /// The update is done; only now the tokens that it made useless are given up.
    pub(super) async fn end_probation(&self, slot: &Slot) {
        let record = slot.record();
        if !record.on_probation {
            return;
        }
        tracing::info!(module = %record.name, version = %record.version, "the update is done");
        let done = ModuleRecord { on_probation: false, ..record };
        let outcome = self.store(slot, done.clone(), Vec::new()).await;
        if outcome.is_err() {
            // Also if it cannot be stored now: a crash in a month must not bring old data back.
            slot.set_record(done);
        } else if let Some(previous) = done.previous.clone() {
            self.forget_changed_tokens(&previous.restored(done.clone()), &done).await;
        }
        self.log_unsaved(slot, outcome);
    }

    /// Leaves what becomes of a version on probation that failed to a later verdict; `false` if it is on none.
    pub(super) async fn judge_later(self: &Arc<Self>, slot: &Arc<Slot>, live: &mut Live, why: &str) -> bool {
        let record = slot.record();
        if !record.on_probation || record.previous.is_none() {
            return false;
        }
        let error = format!("{why}; whether the new version is to blame is seen in {} s", VERDICT_PAUSE.as_secs());
        let waiting = ModuleRecord { state: ModuleState::Error, error: Some(error), ..record };
        let outcome = self.save(slot, waiting, Vec::new()).await;
        self.log_unsaved(slot, outcome);
        let cancel = CancellationToken::new();
        live.retry = Some(cancel.clone());
        let (modules, slot, why) = (self.clone(), slot.clone(), why.to_owned());
        self.tasks.spawn(async move {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = modules.shutdown.cancelled() => return,
                () = tokio::time::sleep(VERDICT_PAUSE) => {}
            }
            let mut live = slot.live.lock().await;
            if !cancel.is_cancelled() {
                live.retry = None;
                modules.judge(&slot, &mut live, &why).await;
            }
        });
        true
    }

    /// In a box: the version before may fail too, and be judged.
    fn judge<'a>(self: &'a Arc<Self>, slot: &'a Arc<Slot>, live: &'a mut Live, why: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(self.judge_now(slot, live, why))
    }

    async fn judge_now(self: &Arc<Self>, slot: &Arc<Slot>, live: &mut Live, why: &str) {
        let record = slot.record();
        let outcome = if self.parts.api.integrity().safe_mode().is_some() {
            self.save_held(slot).await
        } else {
            match self.verdict(&record).await {
                Verdict::Version if self.roll_back_failed(slot, live, why).await => Ok(()),
                Verdict::Version | Verdict::Device => self.count_crash(slot, live, why).await,
                Verdict::Surroundings(excuse) => {
                    let waiting = ModuleRecord { state: ModuleState::Ready, error: Some(excuse.to_owned()), ..record };
                    self.save(slot, waiting, Vec::new()).await
                }
            }
        };
        self.log_unsaved(slot, outcome);
    }

    async fn verdict(&self, record: &ModuleRecord) -> Verdict {
        if self.shutdown.is_cancelled() {
            return Verdict::Surroundings("the hub ends");
        }
        if self.parts.sandbox.list().await.is_err() {
            return Verdict::Surroundings("waits for the container engine");
        }
        if self.lacks_devices(record) { Verdict::Device } else { Verdict::Version }
    }

    /// Goes back; `false` if the way back failed too. What passes by itself does not use up the one way back.
    async fn roll_back_failed(self: &Arc<Self>, slot: &Arc<Slot>, live: &mut Live, why: &str) -> bool {
        let record = slot.record();
        let reason = format!("version {} failed within its first minute: {why}", record.version);
        tracing::warn!(module = %record.name, reason, "the version before comes back");
        // If the version before does not start either, what comes back from there is on no probation. Until then it is:
        // so port and devices of the version before stay its own.
        let old = ModuleRecord { on_probation: false, ..record.clone() };
        let job = self.job(JobKind::Rollback, &record.name, CORE);
        match job.run(self.roll_back_locked(slot, live, old, reason, true)).await {
            Ok(_) => true,
            Err(error) => {
                tracing::error!(module = %record.name, error = &error as &dyn std::error::Error, "the version before did not come back");
                let passes = matches!(
                    error,
                    ApiError::EngineDown(_) | ApiError::DiskFull | ApiError::SafeMode | ApiError::Unavailable(_)
                );
                slot.set_record(ModuleRecord { on_probation: passes, ..slot.record() });
                false
            }
        }
    }
}
