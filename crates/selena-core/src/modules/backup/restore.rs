//! Putting what was staged into its place.

use std::sync::Arc;

use selena_backup::Scope;
use selena_types::{ModuleName, ModuleState};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        Modules,
        slot::{Live, Slot},
        staging::{blocking, move_durably},
    },
    Restored,
    redo::{hub_plan, module_plan},
    stage::Staged,
};
use crate::{ApiError, ModuleRecord};

impl Modules {
    /// Cancelled when the hub has to start anew, with what was restored.
    #[must_use]
    pub fn restart_wanted(&self) -> CancellationToken {
        self.restart.clone()
    }

    pub(super) async fn restore(self: &Arc<Self>, staged: Staged, who: &str) -> Result<Restored, ApiError> {
        self.parts.api.integrity().check_normal()?;
        match staged.index.scope.clone() {
            Scope::Hub => self.restore_hub(staged, who).await,
            Scope::Module(name) => self.restore_module(&name, staged, who).await,
        }
    }

    /// From the rename on it is what the next start of the hub finds, whenever that is.
    async fn restore_hub(&self, staged: Staged, who: &str) -> Result<Restored, ApiError> {
        let (from, plan) = (staged.place.dir().to_owned(), hub_plan(&self.parts.config.data_dir));
        self.parts.api.record("backup_restore", who, "hub: it starts again with what was restored");
        self.parts.api.flush_audit();
        if plan.exists() {
            let detail = "the hub starts again with another backup that was restored just now".to_owned();
            return Err(ApiError::Conflict { code: "backup_in_progress", detail });
        }
        blocking(move || move_durably(&from, &plan)).await?;
        Ok(Restored { status: "RESTARTING", about: staged.about() })
    }

    async fn restore_module(
        self: &Arc<Self>,
        name: &ModuleName,
        mut staged: Staged,
        who: &str,
    ) -> Result<Restored, ApiError> {
        let record = staged.records.remove(name).ok_or(ApiError::NotFound("module"))?;
        self.parts.api.record("backup_restore", who, &format!("{name} {}", record.version));
        let slot = self.slot(name).unwrap_or_else(|_| Arc::new(Slot::new(record.clone())));
        let mut live = slot.live.lock().await;
        if live.removed {
            let detail = format!("`{name}` was removed meanwhile: restore it again");
            return Err(ApiError::Conflict { code: "removal_in_progress", detail });
        }
        self.make_way(&slot, &mut live, &record).await?;
        let (from, plan) = (staged.place.dir().to_owned(), module_plan(&self.parts.config.data_dir, name));
        if plan.exists() {
            // One before was planned and not done to its end: it is done, and then this one.
            self.finish_module_restore(name).await?;
        }
        blocking(move || move_durably(&from, &plan)).await?;
        if let Err(error) = self.finish_planned(name).await {
            // It is decided, and not done: nothing of it is started before the next start of the hub has finished it.
            let why = format!("its restore is finished when the hub starts next: {error}");
            let waits = ModuleRecord { state: ModuleState::Error, error: Some(why), wanted: false, ..slot.record() };
            slot.set_record(waits);
            return Err(error);
        }
        slot.set_record(record.clone());
        self.slots.lock().expect("nothing panics while it holds the slots").insert(name.clone(), slot.clone());
        if let Some(why) = self.start_restored(&slot, &mut live, &record).await {
            staged.notes.entry(name.clone()).or_default().push(why);
        }
        Ok(Restored { status: "RESTORED", about: staged.about() })
    }

    async fn finish_planned(&self, name: &ModuleName) -> Result<(), ApiError> {
        self.finish_module_restore(name).await?;
        match self.parts.api.oauth() {
            Some(oauth) => oauth.look_again(name).await,
            None => Ok(()),
        }
    }

    /// Ends what runs of the module. Nothing of it is changed yet: a start brings it back.
    async fn make_way(&self, slot: &Slot, live: &mut Live, record: &ModuleRecord) -> Result<(), ApiError> {
        if let Some(retry) = live.retry.take() {
            retry.cancel();
        }
        if let Some(active) = live.active.take() {
            self.end(&active).await.map_err(|error| ApiError::sandbox(&record.name, error))?;
        }
        let image = self.data_image(&record.name);
        let released = self.parts.sandbox.release_data(&record.name, &image).await;
        released.map_err(|error| ApiError::sandbox(&record.name, error))?;
        self.discard_waiting(slot, live).await;
        self.parts.api.identity().revoke(&record.name);
        // Also its images: those of the same version may be of other files.
        self.parts.sandbox.purge(&record.name).await.map_err(|error| ApiError::sandbox(&record.name, error))
    }

    /// Starts it, if it is to run; why it does not, if it does not.
    async fn start_restored(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        live: &mut Live,
        record: &ModuleRecord,
    ) -> Option<String> {
        let outcome = if !self.should_run(record) {
            self.save(slot, record.clone(), Vec::new()).await
        } else if let Some(why) = self.waits_for(record) {
            self.save_waiting(slot, why.clone())
                .await
                .and(Err(ApiError::Conflict { code: "dependency_not_ready", detail: why }))
        } else {
            live.start_reason = Some("it was restored from a backup".to_owned());
            self.start_quietly(slot, live).await
        };
        let error = outcome.err()?;
        self.after_failed_start(slot, live, &error).await;
        Some(format!("it does not run yet: {error}"))
    }
}
