//! Start, stop and restart, as people and commands ask for them.

use std::sync::Arc;

use selena_types::{ModuleName, ModuleState, ModuleType};

use super::{
    ModuleRecord, Modules, about,
    slot::{Live, Slot},
};
use crate::{ApiError, ports::ContainerPurpose};

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
        let modules = self.clone();
        self.finish(async move {
            let mut live = slot.live.lock().await;
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
        let modules = self.clone();
        self.finish(async move {
            let mut live = slot.live.lock().await;
            modules.stop_locked(&slot, &mut live).await?;
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
        let modules = self.clone();
        self.finish(async move {
            let mut live = slot.live.lock().await;
            if let Some(active) = live.active.take() {
                modules.end(&active).await;
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

    /// Runs work to its end, also if the client that asked for it is gone.
    pub(super) async fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.tasks.spawn(work).await.unwrap_or_else(|panic| Err(ApiError::internal(panic)))
    }

    /// Starts a module whose lock is held. `by_person` also lifts a quarantine.
    pub(super) async fn start_locked(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        live: &mut Live,
        by_person: bool,
    ) -> Result<(), ApiError> {
        if live.removed {
            return Err(ApiError::NotFound("module"));
        }
        if live.active.is_some() {
            return Ok(());
        }
        if let Some(retry) = live.retry.take() {
            retry.cancel();
        }
        let mut record = slot.record();
        if by_person {
            record = ModuleRecord { wanted: true, crashes: Vec::new(), ..record };
            slot.set_record(record.clone());
        }
        let _permit = self.starts.acquire().await.map_err(ApiError::internal)?;
        match self.bring_up(&record).await {
            Ok((active, up)) => {
                self.save(slot, up.clone(), Some(("module.started", about(&up, None)))).await?;
                self.supervise(slot, live, active).await
            }
            Err(error) => {
                self.save_failed_start(slot, &error).await?;
                Err(error)
            }
        }
    }

    async fn stop_locked(&self, slot: &Slot, live: &mut Live) -> Result<(), ApiError> {
        if live.removed {
            return Err(ApiError::NotFound("module"));
        }
        if let Some(retry) = live.retry.take() {
            retry.cancel();
        }
        if let Some(active) = live.active.take() {
            self.end(&active).await;
        }
        let record = ModuleRecord { state: ModuleState::Stopped, error: None, wanted: false, ..slot.record() };
        let event = ("module.stopped", about(&record, None));
        self.save(slot, record, Some(event)).await
    }

    /// Ends all runs, for the hub's own end; what is stored stays as it is.
    pub async fn shut_down(&self) {
        self.shutdown.cancel();
        let mut ends = tokio::task::JoinSet::new();
        for slot in self.all_slots() {
            if let Some(active) = slot.live.lock().await.active.take() {
                self.detach(&active, &self.parts.api);
                let (sandbox, run) = (self.parts.sandbox.clone(), active.run.run.clone());
                ends.spawn(async move { sandbox.stop(&run, super::launch::STOP_GRACE).await });
            }
        }
        while let Some(outcome) = ends.join_next().await {
            if let Ok(Err(error)) = outcome {
                tracing::warn!(error = &error as &dyn std::error::Error, "a container was not stopped");
            }
        }
        self.tasks.close();
    }
}

pub(super) fn refuse_system(slot: &Slot, what: &str) -> Result<(), ApiError> {
    if slot.record().module_type == ModuleType::System {
        let detail = format!("a SYSTEM module is a part of the hub and cannot be {what}");
        return Err(ApiError::Forbidden { code: "system_module", detail });
    }
    Ok(())
}
