//! Removing a module so that nothing of it is left (protocol, section 2).

use std::sync::Arc;

use selena_types::{ModuleName, ModuleState};

use super::{
    ModuleRecord, Modules, Progress, about,
    lifecycle::refuse_system,
    slot::{Live, Slot},
    staging::{blocking, remove_all},
};
use crate::{
    ApiError,
    jobs::{self, JobKind},
    transact::write,
};

impl Modules {
    /// Removes a module: its containers, images, files, data and token. Its devices stay, without an owner.
    ///
    /// # Errors
    /// [`ApiError::NotFound`], 403 for a `SYSTEM` module, or what could not be removed; then it is tried again by itself.
    pub async fn remove(self: &Arc<Self>, name: &ModuleName, who: &str) -> Result<(), ApiError> {
        let slot = self.slot(name)?;
        refuse_system(&slot, "removed")?;
        self.parts.api.record("module_remove", who, name.as_str());
        let (modules, job) = (self.clone(), self.job(JobKind::Remove, name, who));
        self.finish(job, async move {
            modules.hold_dependents(&slot.record().name, "removed").await?;
            let mut live = modules.exclusive(&slot).await?;
            modules.remove_locked(&slot, &mut live).await?;
            drop(live);
            // One that was started again meanwhile stops too.
            modules.hold_dependents(&slot.record().name, "removed").await
        })
        .await
    }

    pub(super) async fn remove_locked(&self, slot: &Slot, live: &mut Live) -> Result<(), ApiError> {
        if live.removed {
            return Err(ApiError::NotFound("module"));
        }
        jobs::commit_point()?;
        if let Some(retry) = live.retry.take() {
            retry.cancel();
        }
        if let Some(active) = live.active.take() {
            self.end_or_later(&active).await;
        }
        let going = ModuleRecord { state: ModuleState::Removed, wanted: false, ..slot.record() };
        match self.store(slot, going.clone(), Vec::new()).await {
            // On a full disk nothing can be written before something was deleted.
            Err(ApiError::DiskFull) => slot.set_record(going),
            stored => stored?,
        }
        self.erase(slot, live).await
    }

    /// Erases all there is of a module, and its row last, so that a cut leaves a row that says what is still to do.
    /// A first install that failed takes its devices with it; a removal leaves them without an owner.
    pub(super) async fn erase(&self, slot: &Slot, live: &mut Live) -> Result<(), ApiError> {
        let record = slot.record();
        let name = record.name.clone();
        let is_removal = record.state == ModuleState::Removed;
        if !is_removal {
            // Seen only if what follows fails: then it is tried again.
            slot.set_record(ModuleRecord { wanted: false, ..record.clone() });
        }
        self.discard_waiting(slot, live).await;
        self.parts.api.identity().revoke(&name);
        self.parts.sandbox.purge(&name).await.map_err(|error| ApiError::sandbox(&name, error))?;
        let mut paths = vec![self.package_dir(&name), self.data_image(&name), self.pending_dir(&name)];
        paths.extend(self.shelf(&name).leftovers());
        blocking(move || paths.iter().try_for_each(|path| remove_all(path))).await?;
        // After the files, which make room on a full disk; before the row, so that it is tried again.
        self.forget_tokens(&record).await?;
        let gone = ModuleRecord { state: ModuleState::Removed, ..record };
        let payload = about(&gone, None);
        let module = name.clone();
        write(self.parts.api.store(), move |tx| {
            if is_removal {
                tx.orphan_devices(&module)?;
                crate::api::append(tx, "module.removed", "core", payload)?;
            } else {
                tx.delete_devices(&module)?;
            }
            Ok(tx.delete_module(&module)?)
        })
        .await?;
        live.removed = true;
        if self.is_claimed(&name) {
            // A trial of it runs at this moment, and the image it runs from could lose no more than its name.
            self.tidy_later(&name);
        }
        self.slots.lock().expect("nothing panics while it holds the slots").remove(&name);
        self.parts.api.subscriptions().forget_module(&name);
        self.parts.api.intents().forget(&name);
        self.device_holds.look_again();
        if is_removal {
            self.progress.set(&name, Progress::of(&gone));
        }
        Ok(())
    }
}
