//! Installing a version over another one: either the new one runs, or the old one does, with its old data.

use std::{fs, sync::Arc};

use selena_types::{ModuleState, RuntimeMode};

use super::{
    Installed, ModuleRecord, Modules, about,
    install::installed,
    slot::{Live, Slot},
    staging::{Staged, blocking, move_durably, remove_all},
};
use crate::ApiError;

impl Modules {
    /// Updates a module to a staged package.
    pub(super) async fn update(self: &Arc<Self>, slot: &Arc<Slot>, staged: Staged) -> Result<Installed, ApiError> {
        let old = slot.record();
        self.refuse_new_rights(&old, &staged)?;
        self.show(&old.name, ModuleState::Validating, "the new version runs once in a throw-away container", 40);
        let report = self.try_out(&staged, old.uid).await?;
        let mut live = slot.live.lock().await;
        if live.removed {
            return Err(ApiError::NotFound("module"));
        }
        let was_running = live.active.is_some() || live.retry.is_some();
        let new = ModuleRecord {
            version: staged.manifest.version.clone(),
            runtime_mode: staged.manifest.runtime_mode,
            manifest: staged.manifest_text.clone(),
            has_main_py: staged.has_main_py,
            port: staged.manifest.port,
            report: Some(report),
            crashes: Vec::new(),
            error: None,
            ..old.clone()
        };
        self.halt(&mut live).await;
        self.set_aside(&old).await?;
        let outcome = self.switch(slot, &mut live, &staged, new, was_running).await;
        match &outcome {
            Ok(_) => self.drop_previous(&staged).await,
            Err(error) => self.go_back(slot, &mut live, old, was_running, error).await?,
        }
        outcome
    }

    /// Every added permission is granted only by a person; until that can be asked for, such an update is refused.
    fn refuse_new_rights(&self, old: &ModuleRecord, staged: &Staged) -> Result<(), ApiError> {
        let held = self.manifest(old)?;
        let new = &staged.manifest;
        let grows = new.permissions.iter().any(|permission| !held.has(*permission))
            || new.egress.iter().any(|rule| !held.egress.contains(rule))
            || new.devices.iter().any(|device| !held.devices.contains(device));
        if grows {
            let detail = "the new version asks for more rights: remove the module and install it anew".to_owned();
            return Err(ApiError::Conflict { code: "consent_needed", detail });
        }
        Ok(())
    }

    async fn halt(&self, live: &mut Live) {
        if let Some(retry) = live.retry.take() {
            retry.cancel();
        }
        if let Some(active) = live.active.take() {
            self.end(&active).await;
        }
    }

    /// Moves the old package aside and copies its data.
    async fn set_aside(&self, old: &ModuleRecord) -> Result<(), ApiError> {
        let (package, data, previous) =
            (self.package_dir(&old.name), self.data_image(&old.name), self.previous_dir(&old.name));
        blocking(move || {
            remove_all(&previous)?;
            fs::create_dir_all(&previous)?;
            if data.exists() {
                fs::copy(&data, previous.join("data.ext4"))?;
                fs::File::open(previous.join("data.ext4"))?.sync_all()?;
            }
            move_durably(&package, &previous.join("package"))
        })
        .await
    }

    async fn switch(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        live: &mut Live,
        staged: &Staged,
        new: ModuleRecord,
        was_running: bool,
    ) -> Result<Installed, ApiError> {
        self.place(staged).await?;
        let starts = was_running || (new.wanted && new.runtime_mode == RuntimeMode::AlwaysOn);
        if !starts {
            self.save(slot, new.clone(), Some(("module.updated", about(&new, None)))).await?;
            return Ok(installed(&new, None));
        }
        self.show(&new.name, ModuleState::Validating, "the new version is started", 85);
        let (active, up) = self.bring_up(&new).await?;
        self.save(slot, up.clone(), Some(("module.updated", about(&up, None)))).await?;
        self.supervise(slot, live, active).await?;
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

    /// Puts the old version and its data back, and starts it if it ran.
    async fn go_back(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        live: &mut Live,
        old: ModuleRecord,
        was_running: bool,
        why: &ApiError,
    ) -> Result<(), ApiError> {
        let (package, data, previous) =
            (self.package_dir(&old.name), self.data_image(&old.name), self.previous_dir(&old.name));
        blocking(move || {
            remove_all(&package)?;
            move_durably(&previous.join("package"), &package)?;
            if previous.join("data.ext4").exists() {
                move_durably(&previous.join("data.ext4"), &data)?;
            }
            remove_all(&previous)
        })
        .await?;
        let reason = format!("the update failed and the version before is back: {why}");
        tracing::warn!(module = %old.name, reason, "update undone");
        self.save(slot, old.clone(), Some(("module.error", about(&old, Some(&reason))))).await?;
        if was_running {
            self.start_locked(slot, live, false).await?;
        }
        Ok(())
    }
}
