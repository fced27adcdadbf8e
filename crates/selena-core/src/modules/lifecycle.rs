//! Start, stop and restart, as people and commands ask for them.

use std::{sync::Arc, time::Duration};

use selena_types::{ModuleName, ModuleState, ModuleType};
use tokio::task::JoinSet;

use super::{
    ModuleRecord, Modules, about,
    slot::{Live, Slot},
};
use crate::{
    ApiError,
    jobs::{self, JobKind},
    ports::ContainerPurpose,
};

/// Most of a log that is answered, in bytes.
const MAX_LOG_BYTES: usize = 1024 * 1024;

impl Modules {
    /// Starts a module, also one that is quarantined.
    ///
    /// # Errors
    /// [`ApiError::NotFound`], or why it does not run.
    pub async fn start(self: &Arc<Self>, name: &ModuleName, who: &str) -> Result<ModuleState, ApiError> {
        let slot = self.slot(name)?;
        self.parts.api.record("module_start", who, name.as_str());
        let (modules, job) = (self.clone(), self.job(JobKind::Start, name, who));
        self.finish(job, async move {
            modules.start_needs(&slot.record().name).await;
            let mut live = modules.exclusive(&slot).await?;
            modules.start_locked(&slot, &mut live, true).await?;
            Ok(slot.record().state)
        })
        .await
    }

    /// Stops a module; it stays stopped until it is started.
    ///
    /// # Errors
    /// [`ApiError::NotFound`], or 403 for a `SYSTEM` module.
    pub async fn stop(self: &Arc<Self>, name: &ModuleName, who: &str) -> Result<ModuleState, ApiError> {
        let slot = self.slot(name)?;
        refuse_system(&slot, "stopped")?;
        self.parts.api.record("module_stop", who, name.as_str());
        let (modules, job) = (self.clone(), self.job(JobKind::Stop, name, who));
        self.finish(job, async move {
            modules.hold_dependents(&slot.record().name, "stopped").await?;
            let mut live = modules.exclusive(&slot).await?;
            jobs::commit_point()?;
            modules.stop_locked(&slot, &mut live).await?;
            // One that was started again meanwhile stops too.
            modules.hold_dependents(&slot.record().name, "stopped").await?;
            Ok(slot.record().state)
        })
        .await
    }

    /// Stops and starts a module.
    ///
    /// # Errors
    /// [`ApiError::NotFound`], or why it does not run.
    pub async fn restart(self: &Arc<Self>, name: &ModuleName, who: &str) -> Result<ModuleState, ApiError> {
        let slot = self.slot(name)?;
        self.parts.api.record("module_restart", who, name.as_str());
        let (modules, job) = (self.clone(), self.job(JobKind::Restart, name, who));
        self.finish(job, async move {
            modules.start_needs(&slot.record().name).await;
            let mut live = modules.exclusive(&slot).await?;
            modules.may_start(&slot, &live)?;
            // What could not start again is not ended for it.
            if let Some(why) = modules.waits_for(&slot.record()) {
                return Err(ApiError::Conflict { code: "dependency_not_ready", detail: why });
            }
            if let Some(active) = live.active.take() {
                modules.end_or_later(&active).await;
            }
            modules.start_locked(&slot, &mut live, true).await?;
            Ok(slot.record().state)
        })
        .await
    }

    /// What a module printed, at most the last MiB.
    ///
    /// # Errors
    /// [`ApiError::NotFound`], or the engine's.
    pub async fn logs(&self, name: &ModuleName) -> Result<String, ApiError> {
        self.slot(name)?;
        let logs = self.parts.sandbox.logs(name, ContainerPurpose::Module, MAX_LOG_BYTES).await;
        logs.map_err(|error| ApiError::sandbox(name, error))
    }

    /// Refuses to start what is not there, what a person has not granted, and what the operator switched off.
    fn may_start(&self, slot: &Slot, live: &Live) -> Result<(), ApiError> {
        let record = slot.record();
        let conflict = |code, detail| Err(ApiError::Conflict { code, detail });
        match record.state {
            _ if live.removed => Err(ApiError::NotFound("module")),
            _ if self.shutdown.is_cancelled() => Err(ApiError::Unavailable("a start while the hub ends")),
            ModuleState::Validating | ModuleState::Removed => Err(ApiError::NotFound("module")),
            ModuleState::AwaitingConsent => {
                conflict("awaiting_consent", format!("`{}` waits for a person's consent", record.name))
            }
            _ if !self.is_enabled(&record.name) => conflict(
                "module_disabled",
                format!("`enabled_modules` of the settings does not list `{}`", record.name),
            ),
            _ => Ok(()),
        }
    }

    /// Starts a module whose lock is held. `on_request` also lifts a quarantine.
    pub(super) async fn start_locked(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        live: &mut Live,
        on_request: bool,
    ) -> Result<(), ApiError> {
        self.may_start(slot, live)?;
        let record = slot.record();
        let by_itself = record.wanted && !matches!(record.state, ModuleState::Stopped | ModuleState::Quarantined);
        if live.active.is_some() || !(on_request || by_itself) {
            return Ok(());
        }
        if let Some(retry) = live.retry.take() {
            retry.cancel();
        }
        if on_request {
            live.start_reason = None;
            slot.set_record(ModuleRecord { wanted: true, crashes: Vec::new(), ..slot.record() });
        }
        if let Some(why) = self.waits_for(&slot.record()) {
            self.save_waiting(slot, why.clone()).await?;
            return Err(ApiError::Conflict { code: "dependency_not_ready", detail: why });
        }
        let started = self.start_quietly(slot, live).await;
        match &started {
            Ok(()) => {}
            Err(error @ ApiError::JobStopped { code: "job_cancelled", .. }) => {
                self.save_cancelled_start(slot, error).await
            }
            Err(error) => self.save_failed_start(slot, error).await,
        }
        started
    }

    /// Starts a module; a failure is not stored.
    pub(super) async fn start_quietly(self: &Arc<Self>, slot: &Arc<Slot>, live: &mut Live) -> Result<(), ApiError> {
        let (active, up) = self.bring_up(&slot.record()).await?;
        let reason = live.start_reason.take();
        let events = vec![("module.started", about(&up, reason.as_deref()))];
        self.keep(slot, live, active, up, events).await
    }

    async fn stop_locked(&self, slot: &Slot, live: &mut Live) -> Result<(), ApiError> {
        let record = slot.record();
        if live.removed || matches!(record.state, ModuleState::Validating | ModuleState::Removed) {
            return Err(ApiError::NotFound("module"));
        }
        if record.state == ModuleState::AwaitingConsent {
            let detail = format!("`{}` was never started: it waits for a person's consent", record.name);
            return Err(ApiError::Conflict { code: "awaiting_consent", detail });
        }
        if let Some(retry) = live.retry.take() {
            retry.cancel();
        }
        if let Some(active) = live.active.take() {
            self.end_or_later(&active).await;
        }
        let record = ModuleRecord { state: ModuleState::Stopped, error: None, wanted: false, ..record };
        let event = ("module.stopped", about(&record, None));
        self.save(slot, record, vec![event]).await
    }

    /// Ends all runs, for the hub's own end; what is stored stays as it is. Takes at most `limit`.
    pub async fn shut_down(&self, limit: Duration) {
        self.shutdown.cancel();
        let levels = self.stop_order();
        // One that takes its time must not cost those it needs theirs.
        let each = limit / u32::try_from(levels.len().max(1)).unwrap_or(u32::MAX);
        for level in levels {
            if tokio::time::timeout(each, self.stop_together(level)).await.is_err() {
                tracing::warn!("modules did not stop in time; they are replaced at the next start");
            }
        }
    }
}

impl Modules {
    async fn stop_together(&self, slots: Vec<Arc<Slot>>) {
        let mut ends = JoinSet::new();
        for slot in slots {
            let (api, sandbox, calls) = (self.parts.api.clone(), self.parts.sandbox.clone(), self.parts.calls.clone());
            ends.spawn(async move {
                // One that is being started or installed has its lock taken: its container is replaced at the next start.
                let Some(active) = slot.live.try_lock().ok().and_then(|mut live| live.active.take()) else {
                    return Ok(());
                };
                active.detach(&api, &*calls);
                sandbox.stop(&active.run.run, super::launch::STOP_GRACE).await
            });
        }
        while let Some(outcome) = ends.join_next().await {
            if let Ok(Err(error)) = outcome {
                tracing::warn!(error = &error as &dyn std::error::Error, "a container was not stopped");
            }
        }
    }
}

pub(super) fn refuse_system(slot: &Slot, what: &str) -> Result<(), ApiError> {
    if slot.record().module_type == ModuleType::System {
        let detail = format!("a SYSTEM module is a part of the hub and cannot be {what}");
        return Err(ApiError::Forbidden { code: "system_module", detail });
    }
    Ok(())
}
