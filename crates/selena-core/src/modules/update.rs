//! Installing a version over another one: either the new one runs, or the old one does, with its old data.

use std::{fs, sync::Arc};

use selena_types::{ModuleState, RuntimeMode};

use super::{
    Installed, ModuleRecord, Modules, about,
    install::installed,
    recover::{NO_DATA, restore_previous},
    rights,
    slot::{Live, Slot},
    staging::{Staged, blocking, move_durably, remove_all},
};
use crate::ApiError;

impl Modules {
    /// Updates a module to a staged package that was tried; one that asks for more rights waits for a person.
    pub(super) async fn update_locked(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        live: &mut Live,
        staged: Staged,
    ) -> Result<Installed, ApiError> {
        // A later upload replaces one that waits.
        self.discard_waiting(slot, live).await;
        let record = slot.record();
        let Some(adds) = rights::added(&record.granted, &staged.manifest) else {
            return self.switch_to(slot, live, &staged).await;
        };
        let version = staged.manifest.version.clone();
        self.show(
            &record.name,
            ModuleState::AwaitingConsent,
            "a person has to grant what the new version asks for",
            100,
        );
        slot.set_waiting_port(staged.manifest.port);
        live.waiting = Some(self.set_waiting(staged).await?);
        let status = ModuleState::AwaitingConsent;
        Ok(Installed { name: record.name, status, port: record.port, adds: Some(adds), version })
    }

    /// Puts a staged version in the place of the one that is there. The module's lock is held.
    pub(super) async fn switch_to(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        live: &mut Live,
        staged: &Staged,
    ) -> Result<Installed, ApiError> {
        let old = slot.record();
        let was_running = live.active.is_some() || live.retry.is_some();
        let outcome = match self.halt(live).await {
            Ok(()) => match self.set_aside(&old).await {
                Ok(()) => self.place_update(slot, live, staged, &old, was_running).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        match &outcome {
            Ok(_) => {
                self.forget_changed_tokens(&old, &slot.record()).await;
                self.drop_previous(staged).await;
            }
            Err(error) => self.go_back(slot, live, old, was_running, error).await,
        }
        outcome
    }

    async fn halt(&self, live: &mut Live) -> Result<(), ApiError> {
        if let Some(retry) = live.retry.take() {
            retry.cancel();
        }
        match live.active.take() {
            Some(active) => self.end(&active).await.map_err(|error| ApiError::sandbox(&active.run.name, error)),
            None => Ok(()),
        }
    }

    /// Copies the old version's data, and moves its package aside: the package last, since it says that all is there.
    async fn set_aside(&self, old: &ModuleRecord) -> Result<(), ApiError> {
        let (package, image, previous) =
            (self.package_dir(&old.name), self.data_image(&old.name), self.previous_dir(&old.name));
        let (data, name) = (self.parts.config.data_dir.clone(), old.name.clone());
        blocking(move || {
            // What an update before could not put back is still the only copy of the old version.
            restore_previous(&data, &name)?;
            remove_all(&previous)?;
            fs::create_dir_all(&previous)?;
            if image.exists() {
                fs::copy(&image, previous.join("data.ext4"))?;
                fs::File::open(previous.join("data.ext4"))?.sync_all()?;
            } else {
                fs::write(previous.join(NO_DATA), "")?;
            }
            move_durably(&package, &previous.join("package"))
        })
        .await
    }

    async fn place_update(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        live: &mut Live,
        staged: &Staged,
        old: &ModuleRecord,
        was_running: bool,
    ) -> Result<Installed, ApiError> {
        let manifest = &staged.manifest;
        let new = ModuleRecord {
            version: manifest.version.clone(),
            runtime_mode: manifest.runtime_mode,
            manifest: staged.manifest_text.clone(),
            has_main_py: staged.has_main_py,
            port: manifest.port,
            report: staged.report.clone(),
            granted: rights::asked(manifest),
            crashes: Vec::new(),
            error: None,
            ..old.clone()
        };
        self.place(staged).await?;
        let always_on = new.runtime_mode == RuntimeMode::AlwaysOn;
        if !(was_running || (new.wanted && always_on)) || !self.is_enabled(&new.name) {
            // What did not run for an error of the old version may run now.
            let stale = matches!(new.state, ModuleState::Error | ModuleState::Running);
            let new = ModuleRecord { state: if stale { ModuleState::Ready } else { new.state }, ..new };
            self.save(slot, new.clone(), vec![("module.updated", about(&new, None))]).await?;
            return Ok(installed(&new, None));
        }
        self.show(&new.name, ModuleState::Validating, "the new version is started", 85);
        let (active, up) = self.bring_up(&new).await?;
        let events = vec![("module.updated", about(&up, None)), ("module.started", about(&up, None))];
        self.keep(slot, live, active, up.clone(), events).await?;
        Ok(installed(&up, None))
    }

    async fn drop_previous(&self, staged: &Staged) {
        let name = &staged.manifest.name;
        let previous = self.previous_dir(name);
        if let Err(error) = blocking(move || remove_all(&previous)).await {
            tracing::warn!(module = %name, error = &error as &dyn std::error::Error, "the version before was not removed");
        }
        if let Err(error) = self.parts.sandbox.prune_images(name, &staged.manifest.version).await {
            tracing::warn!(module = %name, error = &error as &dyn std::error::Error, "old images were not removed");
        }
    }

    /// Puts the old version and its data back, and starts it if it ran. What fails here is tried again at the next
    /// update or start of the hub; the reason of the update's failure is what the caller is told.
    async fn go_back(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        live: &mut Live,
        old: ModuleRecord,
        was_running: bool,
        why: &ApiError,
    ) {
        let (data, previous, name) =
            (self.parts.config.data_dir.clone(), self.previous_dir(&old.name), old.name.clone());
        let reason = format!("the update failed and the version before is back: {why}");
        tracing::warn!(module = %name, reason, "update undone");
        let restored = blocking(move || {
            restore_previous(&data, &name)?;
            remove_all(&previous)
        });
        let outcome = match restored.await {
            Ok(()) => {
                let state = if was_running { ModuleState::Ready } else { old.state };
                let back = ModuleRecord { state, ..old.clone() };
                self.store(slot, back, vec![("module.error", about(&old, Some(&reason)))]).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            tracing::error!(module = %old.name, error = &error as &dyn std::error::Error, "the version before is not back yet");
            return;
        }
        if was_running && let Err(error) = self.start_quietly(slot, live).await {
            self.after_failed_start(slot, live, &error).await;
        }
    }
}
