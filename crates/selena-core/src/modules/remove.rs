//! Removing a module so that nothing of it is left (protocol, section 2).

use std::sync::Arc;

use selena_types::{ModuleName, ModuleState};

use super::{
    ModuleRecord, Modules, Progress, about,
    lifecycle::refuse_system,
    staging::{blocking, remove_all},
};
use crate::{ApiError, transact::write};

impl Modules {
    /// Removes a module: its containers, images, files, data and token. Its devices stay, without an owner.
    ///
    /// # Errors
    /// [`ApiError::NotFound`], 403 for a `SYSTEM` module, or what could not be removed; then it can be tried again.
    pub async fn remove(self: &Arc<Self>, name: &ModuleName, who: &str) -> Result<(), ApiError> {
        let slot = self.slot(name)?;
        refuse_system(&slot, "removed")?;
        self.parts.api.record("module_remove", who, name.as_str());
        let (modules, name) = (self.clone(), name.clone());
        self.finish(async move {
            let mut live = slot.live.lock().await;
            if live.removed {
                return Err(ApiError::NotFound("module"));
            }
            if let Some(retry) = live.retry.take() {
                retry.cancel();
            }
            if let Some(active) = live.active.take() {
                modules.end(&active).await;
            }
            let going = ModuleRecord { state: ModuleState::Removed, wanted: false, ..slot.record() };
            modules.save(&slot, going.clone(), None).await?;
            modules.erase(&name).await?;
            modules.parts.api.announce("module.removed", about(&going, None)).await?;
            live.removed = true;
            modules.slots.lock().expect("nothing panics while it holds the slots").remove(&name);
            modules.progress.set(&name, Progress::of(&going));
            Ok(())
        })
        .await
    }

    /// Erases all there is of a module, and its row last, so that a cut leaves a row that says what is still to do.
    pub(super) async fn erase(&self, name: &ModuleName) -> Result<(), ApiError> {
        self.parts.api.identity().revoke(name);
        self.parts.sandbox.purge(name).await.map_err(|error| ApiError::sandbox(name, error))?;
        let paths = [self.package_dir(name), self.data_image(name), self.previous_dir(name)];
        blocking(move || paths.iter().try_for_each(|path| remove_all(path))).await?;
        let name = name.clone();
        write(self.parts.api.store(), move |tx| {
            tx.orphan_devices(&name)?;
            Ok(tx.delete_module(&name)?)
        })
        .await
    }

    /// Finishes removals and undoes first installs that a power cut interrupted.
    pub(super) async fn finish_interrupted(&self) {
        for slot in self.all_slots() {
            let record = slot.record();
            if !matches!(record.state, ModuleState::Removed | ModuleState::Validating) {
                continue;
            }
            let Ok(mut live) = slot.live.try_lock() else { continue };
            match self.erase(&record.name).await {
                Ok(()) => {
                    live.removed = true;
                    self.slots.lock().expect("nothing panics while it holds the slots").remove(&record.name);
                    tracing::info!(module = %record.name, "an interrupted install or removal was finished");
                }
                Err(error) => {
                    tracing::warn!(module = %record.name, error = &error as &dyn std::error::Error, "tried again later");
                }
            }
        }
    }
}
