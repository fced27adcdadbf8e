//! Installing a version over another one, and going back to the one before: either the new one runs, or the old one
//! does, with its old data (protocol, section 2, "Update").
//!
//! A new version is on probation for its first minute: see [`super::probation`].

use std::{io, sync::Arc};

use jiff::Timestamp;
use selena_types::{Manifest, ModuleName, ModuleState, RuntimeMode};
use tokio::runtime::Handle;

use super::{
    Installed, LastUpdate, ModuleRecord, Modules, PreviousVersion, about,
    aside::Shelf,
    install::installed,
    rights,
    signer::with_signer,
    slot::{Live, Slot},
    staging::{Staged, blocking},
};
use crate::{
    ApiError,
    jobs::{self, JobKind},
    ports::SandboxError,
};

/// What takes the place of what runs.
#[derive(Debug)]
struct Newcomer<'a> {
    /// As it will be stored.
    record: ModuleRecord,
    manifest: Manifest,
    /// Its files; `None`: those of the version before.
    staged: Option<&'a Staged>,
    /// Why it comes, for its event.
    reason: Option<String>,
}

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
        let (version, report) = (staged.manifest.version.clone(), staged.report.clone());
        let signed_by = staged.signed_by.clone();
        let message = with_signer("a person has to grant what the new version asks for", signed_by.as_ref());
        self.show(&record.name, ModuleState::AwaitingConsent, &message, 100);
        let (port, devices) = (staged.manifest.port, staged.manifest.devices.clone());
        live.waiting = Some(self.set_waiting(staged).await?);
        slot.set_waiting_port(port);
        slot.set_waiting_devices(devices);
        let status = ModuleState::AwaitingConsent;
        Ok(Installed { name: record.name, status, port: record.port, adds: Some(adds), version, report, signed_by })
    }

    /// Puts a staged version in the place of the one that is there. The module's lock is held.
    pub(super) async fn switch_to(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        live: &mut Live,
        staged: &Staged,
    ) -> Result<Installed, ApiError> {
        let (old, manifest) = (slot.record(), &staged.manifest);
        let record = ModuleRecord {
            version: manifest.version.clone(),
            runtime_mode: manifest.runtime_mode,
            manifest: staged.manifest_text.clone(),
            has_main_py: staged.has_main_py,
            signed_by: staged.signed_by.clone(),
            port: manifest.port,
            report: staged.report.clone(),
            granted: rights::asked(manifest),
            crashes: Vec::new(),
            error: None,
            previous: Some(PreviousVersion::of(&old)),
            on_probation: true,
            last_update: Some(LastUpdate::new(&old.version, &manifest.version, None)),
            ..old.clone()
        };
        let is_downgrade = manifest.version.cmp_precedence(&old.version).is_lt();
        let reason = is_downgrade.then(|| format!("a person allowed the lower version, after {}", old.version));
        let newcomer = Newcomer { record, manifest: manifest.clone(), staged: Some(staged), reason };
        self.switch(slot, live, old, newcomer).await
    }

    /// Goes back to the version before, with its data as it was when it was replaced; that one is then the version
    /// before.
    ///
    /// # Errors
    /// [`ApiError::NotFound`]; 409 `no_previous_version`, `port_taken` or `install_in_progress`; 422
    /// `manifest_dependency`; or why it did not start: then what ran runs on.
    pub async fn roll_back(self: &Arc<Self>, name: &ModuleName, who: &str) -> Result<Installed, ApiError> {
        let slot = self.slot(name)?;
        self.parts.api.record("module_rollback", who, name.as_str());
        let (modules, reason) = (self.clone(), format!("rolled back by {who}"));
        self.finish(self.job(JobKind::Rollback, name, who), async move {
            let mut live = modules.exclusive(&slot).await?;
            let old = slot.record();
            modules.roll_back_locked(&slot, &mut live, old, reason, false).await
        })
        .await
    }

    /// `by_itself`: nobody asked for it, and an upload under way does not stop it.
    pub(super) async fn roll_back_locked(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        live: &mut Live,
        old: ModuleRecord,
        reason: String,
        by_itself: bool,
    ) -> Result<Installed, ApiError> {
        let newcomer = self.previous_of(&old, live, reason)?;
        let _claim = self.claim_again(&newcomer.record, by_itself)?;
        let back = self.switch(slot, live, old, newcomer).await?;
        // What waits for a person was compared with the version that went.
        self.discard_waiting(slot, live).await;
        Ok(back)
    }

    /// The version before, if it is there and fits the hub as it is now.
    fn previous_of(&self, old: &ModuleRecord, live: &Live, reason: String) -> Result<Newcomer<'static>, ApiError> {
        let conflict = |code, detail: String| Err(ApiError::Conflict { code, detail });
        if live.removed || matches!(old.state, ModuleState::Validating | ModuleState::Removed) {
            return Err(ApiError::NotFound("module"));
        }
        let there = |previous: &&PreviousVersion| self.shelf(&old.name).has_previous(&previous.manifest);
        let Some(previous) = old.previous.as_ref().filter(there) else {
            return conflict(
                "no_previous_version",
                format!("there is no version before {} of `{}`", old.version, old.name),
            );
        };
        let last_update = LastUpdate::new(&old.version, &previous.version, Some(reason.clone()));
        let record = ModuleRecord {
            previous: Some(PreviousVersion::of(old)),
            on_probation: false,
            last_update: Some(last_update),
            crashes: Vec::new(),
            error: None,
            ..previous.clone().restored(old.clone())
        };
        let manifest = self.manifest(&record)?;
        self.check_still_counts(record.signed_by.as_ref(), record.module_type)?;
        self.check_dependencies(&manifest)?;
        Ok(Newcomer { record, manifest, staged: None, reason: Some(reason) })
    }

    /// Puts a version in the place of the one that is there; on failure the old one is back, and runs if it did.
    async fn switch(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        live: &mut Live,
        old: ModuleRecord,
        newcomer: Newcomer<'_>,
    ) -> Result<Installed, ApiError> {
        self.parts.api.integrity().check_normal()?;
        jobs::check()?;
        let was_running = live.active.is_some() || live.retry.is_some();
        let runs = was_running || (old.wanted && newcomer.record.runtime_mode == RuntimeMode::AlwaysOn);
        let outcome = match self.lay_aside(live, &old).await {
            Ok(()) => Box::pin(self.place_newcomer(slot, live, newcomer, runs)).await,
            Err(error) => Err(error),
        };
        match &outcome {
            Ok(_) => {
                // A version on probation may still go, and then the tokens are needed.
                if !slot.record().on_probation {
                    self.forget_changed_tokens(&old, &slot.record()).await;
                }
                self.keep_previous(&slot.record()).await;
            }
            Err(error) => jobs::undo(Box::pin(self.go_back(slot, live, old, was_running, error))).await,
        }
        outcome
    }

    async fn lay_aside(&self, live: &mut Live, old: &ModuleRecord) -> Result<(), ApiError> {
        if let Some(retry) = live.retry.take() {
            retry.cancel();
        }
        if let Some(active) = live.active.take() {
            self.end(&active).await.map_err(|error| ApiError::sandbox(&active.run.name, error))?;
        }
        // As long as they are mounted anywhere, what the module wrote last is not in the image that is copied.
        let released = self.parts.sandbox.release_data(&old.name, &self.data_image(&old.name)).await;
        released.map_err(|error| ApiError::sandbox(&old.name, error))?;
        self.recover_shelf(old).await?;
        let shelf = self.shelf(&old.name);
        let (sandbox, name, runtime) = (self.parts.sandbox.clone(), old.name.clone(), Handle::current());
        blocking(move || {
            shelf.set_aside(|from, to| runtime.block_on(sandbox.copy_data(&name, from, to)).map_err(copy_failed))
        })
        .await
    }

    async fn place_newcomer(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        live: &mut Live,
        newcomer: Newcomer<'_>,
        runs: bool,
    ) -> Result<Installed, ApiError> {
        let Newcomer { record: new, manifest, staged, reason } = newcomer;
        match staged {
            Some(staged) => self.place(staged).await?,
            None => {
                let shelf = self.shelf(&new.name);
                blocking(move || shelf.take_previous()).await?;
            }
        }
        let waits = self.waits_for(&new);
        if !runs || !self.is_enabled(&manifest.name) || waits.is_some() {
            // What did not run for an error of the old version may run now.
            let stale = matches!(new.state, ModuleState::Error | ModuleState::Running | ModuleState::Quarantined);
            let state = if stale || waits.is_some() { ModuleState::Ready } else { new.state };
            let new = ModuleRecord { state, error: waits, ..new };
            jobs::commit_point()?;
            self.save(slot, new.clone(), vec![("module.updated", about(&new, reason.as_deref()))]).await?;
            return Ok(installed(&new, None));
        }
        self.show(&new.name, ModuleState::Validating, "the new version is started", 85);
        let (active, up) = self.bring_up(&new).await?;
        let events = vec![("module.updated", about(&up, reason.as_deref())), ("module.started", about(&up, None))];
        self.keep(slot, live, active, up.clone(), events).await?;
        Ok(installed(&up, None))
    }

    /// What ran until now is kept for a rollback; what cannot be kept is said, and costs nobody the update.
    async fn keep_previous(&self, record: &ModuleRecord) {
        let shelf = self.shelf(&record.name);
        if let Err(error) = blocking(move || shelf.keep_as_previous()).await {
            tracing::warn!(module = %record.name, error = &error as &dyn std::error::Error, "the version before was not kept");
        }
        self.drop_images(record).await;
    }

    /// Removes the images of versions that neither run nor can come back: one may have some hundred MiB.
    async fn drop_images(&self, record: &ModuleRecord) {
        if let Err(error) = self.prune_images(record).await {
            tracing::warn!(module = %record.name, error = &error as &dyn std::error::Error, "old images were not removed; tried again later");
            self.tidy_later(&record.name);
        }
    }

    /// Puts the old version and its data back, and starts it if it ran. What fails here is tried again at the next
    /// update or start of the hub; the reason of the update's failure is what the caller is told, and is kept.
    async fn go_back(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        live: &mut Live,
        old: ModuleRecord,
        was_running: bool,
        why: &ApiError,
    ) {
        let reason = format!("the update failed and the version before is back: {why}");
        tracing::warn!(module = %old.name, reason, "update undone");
        if let Err(error) = self.recover_shelf(&old).await {
            tracing::error!(module = %old.name, error = &error as &dyn std::error::Error, "the version before is not back yet");
            self.tidy_later(&old.name);
            return;
        }
        let state = if was_running { ModuleState::Ready } else { old.state };
        let last_update = Some(LastUpdate::new(&old.version, &old.version, Some(reason.clone())));
        let back = ModuleRecord { state, last_update, ..old.clone() };
        let stored = self.store(slot, back.clone(), vec![("module.error", about(&old, Some(&reason)))]).await;
        if stored.is_err() {
            // It runs on also if nothing can be stored now: a full disk is no reason to stop it.
            slot.set_record(back);
        }
        self.log_unsaved(slot, stored);
        self.drop_images(&old).await;
        if was_running && let Err(error) = self.start_quietly(slot, live).await {
            self.after_failed_start(slot, live, &error).await;
        }
    }

    /// Finishes what an update or rollback before left undone: what is stored is what lies there afterwards.
    async fn recover_shelf(&self, record: &ModuleRecord) -> Result<(), ApiError> {
        let (shelf, stored) = (self.shelf(&record.name), record.manifest.clone());
        let previous = record.previous.as_ref().map(|previous| previous.manifest.clone());
        blocking(move || shelf.recover(&stored, previous.as_deref())).await
    }

    pub(super) fn shelf(&self, name: &ModuleName) -> Shelf {
        Shelf::new(&self.parts.config.data_dir, name)
    }
}

impl LastUpdate {
    fn new(from: &semver::Version, to: &semver::Version, reason: Option<String>) -> Self {
        Self { from: from.clone(), to: to.clone(), at: Timestamp::now(), reason }
    }
}

/// As the file system's own error, so that a full disk is told as one.
fn copy_failed(error: SandboxError) -> io::Error {
    match error {
        SandboxError::DiskFull { .. } => io::ErrorKind::StorageFull.into(),
        other => io::Error::other(other),
    }
}
