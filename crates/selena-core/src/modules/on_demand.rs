//! Modules that run only while they are called (protocol, section 4).

use std::{sync::Arc, time::Duration};

use selena_types::{ModuleName, ModuleState, RuntimeMode};
use tokio::time::Instant;

use super::{
    ModuleRecord, Modules, about,
    slot::{Active, Slot},
    work::CORE,
};
use crate::{ApiError, identity::ModuleRun, jobs::JobKind};

/// How long a module runs on without a call.
const IDLE: Duration = Duration::from_secs(5 * 60);

impl Modules {
    /// The run a call goes to; a module that runs on demand is started for it.
    ///
    /// # Errors
    /// [`ApiError::NotFound`]; 409 `not_running`; why it did not start.
    pub(super) async fn run_for_call(self: &Arc<Self>, name: &ModuleName) -> Result<Arc<ModuleRun>, ApiError> {
        let slot = self.slot(name)?;
        let modules = self.clone();
        let called = self.tasks.spawn(async move {
            let mut live = slot.live.lock().await;
            let record = slot.record();
            let waits = matches!(record.state, ModuleState::Ready | ModuleState::Error | ModuleState::Running);
            let may_start = record.runtime_mode == RuntimeMode::OnDemand && record.wanted && waits;
            // What waits for its back-off or its verdict is not started by calls.
            let free = live.active.is_none() && live.retry.is_none();
            if free && may_start && modules.is_enabled(&record.name) {
                let job = modules.job(JobKind::Start, &record.name, CORE);
                let started = job.run(modules.start_locked(&slot, &mut live, false)).await;
                if let Err(error @ ApiError::Unhealthy { .. }) = &started {
                    modules.judge_later(&slot, &mut live, &error.to_string()).await;
                }
                started?;
            }
            let Some(active) = &mut live.active else {
                let detail = format!("`{}` does not run: it is {}", record.name, record.state);
                return Err(ApiError::Conflict { code: "not_running", detail });
            };
            active.last_call = Instant::now();
            Ok(active.run.clone())
        });
        called.await.unwrap_or_else(|panic| Err(ApiError::internal(panic)))
    }

    /// Notes that a module was just called.
    pub(super) fn touch(&self, name: &ModuleName) {
        if let Ok(slot) = self.slot(name)
            && let Ok(mut live) = slot.live.try_lock()
            && let Some(active) = &mut live.active
        {
            active.last_call = Instant::now();
        }
    }

    /// Stops the modules that were not called for five minutes, each in a task of its own.
    pub(super) fn stop_idle(self: &Arc<Self>) {
        for slot in self.all_slots() {
            let idle = slot.record().runtime_mode == RuntimeMode::OnDemand
                && slot.live.try_lock().is_ok_and(|live| live.active.as_ref().is_some_and(is_idle));
            if idle {
                let modules = self.clone();
                self.tasks.spawn(async move {
                    let outcome = modules.stop_idle_one(&slot).await;
                    modules.log_unsaved(&slot, outcome);
                });
            }
        }
    }

    async fn stop_idle_one(self: &Arc<Self>, slot: &Arc<Slot>) -> Result<(), ApiError> {
        let mut live = slot.live.lock().await;
        let Some(active) = live.active.take_if(|active| is_idle(active)) else { return Ok(()) };
        self.end_or_later(&active).await;
        let record = ModuleRecord { state: ModuleState::Ready, error: None, ..slot.record() };
        let event = ("module.stopped", about(&record, Some("nobody called it for 5 minutes")));
        self.save(slot, record, vec![event]).await
    }
}

fn is_idle(active: &Active) -> bool {
    active.last_call.elapsed() >= IDLE
}
