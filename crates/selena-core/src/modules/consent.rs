//! What only a person grants (protocol, section 2, "Consent").

use std::sync::Arc;

use selena_types::{ModuleName, ModuleState};
use serde_json::{Value, json};

use super::{
    ModuleRecord, Modules, Progress,
    claims::check_against,
    rights,
    slot::{Live, Slot},
    staging::Staged,
};
use crate::{ApiError, jobs::JobKind};

impl Modules {
    /// What a module waits for: `{"name","status","version","adds"}`, and who made that version and all it may do then,
    /// `{"publisher","permissions"}`: some permissions need no person, and a person sees them too.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] if there is no such module; 409 `not_awaiting_consent` if it waits for nothing.
    pub async fn awaited_consent(&self, name: &ModuleName) -> Result<Value, ApiError> {
        let slot = self.slot(name)?;
        let live = slot.live.lock().await;
        self.awaited(&slot, &live)
    }

    fn awaited(&self, slot: &Slot, live: &Live) -> Result<Value, ApiError> {
        let record = slot.record();
        let nothing = || ApiError::Conflict {
            code: "not_awaiting_consent",
            detail: format!("`{}` does not wait for consent", record.name),
        };
        let (manifest, signed_by, adds) = match &live.waiting {
            Some(update) => {
                let adds = rights::added(&record.granted, &update.manifest);
                (update.manifest.clone(), update.signed_by.as_ref(), adds)
            }
            None if record.state == ModuleState::AwaitingConsent => {
                let manifest = self.manifest(&record)?;
                let adds = rights::needed_at_first(&manifest);
                (manifest, record.signed_by.as_ref(), adds)
            }
            None => return Err(nothing()),
        };
        let adds = adds.ok_or_else(nothing)?;
        Ok(json!({
            "name": record.name, "status": ModuleState::AwaitingConsent, "version": manifest.version, "adds": adds,
            "publisher": self.publisher(signed_by), "permissions": manifest.permissions,
        }))
    }

    /// Grants exactly what was shown, and starts the module or its update. `shown`: the version and the whole of `adds`
    /// as they were told, and the publisher if whoever asks was told that.
    ///
    /// # Errors
    /// 409 `consent_changed` if it is not what the module asks for now, or not all of that: a client that knows only a
    /// part of `adds` did not show the rest to anybody. Also why it did not start.
    pub async fn consent(self: &Arc<Self>, name: &ModuleName, shown: Value, who: &str) -> Result<Value, ApiError> {
        let slot = self.slot(name)?;
        let (modules, job, who) = (self.clone(), self.job(JobKind::Consent, name, who), who.to_owned());
        self.finish(job, async move {
            let mut live = modules.exclusive(&slot).await?;
            let awaited = modules.awaited(&slot, &live)?;
            let other_publisher = shown.get("publisher").is_some_and(|publisher| *publisher != awaited["publisher"]);
            if shown["version"] != awaited["version"] || shown["adds"] != awaited["adds"] || other_publisher {
                let detail = "this is not what the module asks for now: ask for it, show all of it to the person, and \
                              send the whole `adds` back as it is"
                    .to_owned();
                return Err(ApiError::Conflict { code: "consent_changed", detail });
            }
            let record = slot.record();
            let named = live.waiting.as_ref().map(|update| update.manifest.devices.clone());
            modules.check_devices(&record.name, &named.unwrap_or_else(|| record.devices()), [])?;
            let granted = format!("{} {} {}", record.name, awaited["version"], awaited["adds"]);
            modules.parts.api.record("consent_given", &who, &granted);
            match live.waiting.take() {
                Some(update) => modules.consent_to_update(&slot, &mut live, update).await?,
                None => {
                    modules.check_still_counts(record.signed_by.as_ref(), record.module_type)?;
                    let granted = rights::asked(&modules.manifest(&record)?);
                    let ready = ModuleRecord { state: ModuleState::Ready, granted, ..record };
                    modules.store(&slot, ready, Vec::new()).await?;
                    // As after an install that needs nobody: what runs on demand or by a schedule is ready.
                    if modules.should_run(&slot.record()) {
                        match modules.start_locked(&slot, &mut live, true).await {
                            // It is granted, and starts by itself when what it needs is there.
                            Err(ApiError::Conflict { code: "dependency_not_ready", .. }) => {}
                            started => started?,
                        }
                    }
                }
            }
            let record = slot.record();
            Ok(json!({ "name": record.name, "status": record.state, "port": record.port }))
        })
        .await
    }

    async fn consent_to_update(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        live: &mut Live,
        update: Staged,
    ) -> Result<(), ApiError> {
        let signer = update.signed_by.as_ref();
        // Much may have changed since it was uploaded: what runs, who is believed, what is installed beside it.
        let still_good = self
            .check_still_counts(signer, update.manifest.module_type)
            .and_then(|()| self.check_publisher(Some(&slot.record()), signer))
            .and_then(|()| check_against(Some(&slot.record()), &update))
            .and_then(|()| self.check_dependencies(&update.manifest));
        let outcome = match still_good.and_then(|()| self.reserve_room(&update, Some(slot))) {
            Ok(_room) => self.switch_to(slot, live, &update).await,
            Err(error) => Err(error),
        };
        // The engine or the disk failed, and not the update: it goes on waiting.
        let is_bad =
            matches!(outcome, Err(ApiError::Unhealthy { .. } | ApiError::Container { code: "module_image_error", .. }));
        let waits = outcome.is_err() && !is_bad && update.package_dir().exists();
        live.waiting = Some(update);
        if !waits {
            self.discard_waiting(slot, live).await;
        }
        outcome.map(|_| ())
    }

    /// Drops a first install or an update that waits for consent.
    ///
    /// # Errors
    /// As [`Modules::awaited_consent`] and [`Modules::remove`].
    pub async fn refuse_consent(self: &Arc<Self>, name: &ModuleName, who: &str) -> Result<(), ApiError> {
        let slot = self.slot(name)?;
        let (modules, job, who) = (self.clone(), self.job(JobKind::Consent, name, who), who.to_owned());
        self.finish(job, async move {
            let mut live = modules.exclusive(&slot).await?;
            modules.awaited(&slot, &live)?;
            let record = slot.record();
            modules.parts.api.record("consent_refused", &who, record.name.as_str());
            if live.waiting.is_none() {
                return modules.remove_locked(&slot, &mut live).await;
            }
            modules.discard_waiting(&slot, &mut live).await;
            modules.progress.set(&record.name, Progress::of(&record));
            if let Err(error) = modules.prune_images(&record).await {
                tracing::warn!(module = %record.name, error = &error as &dyn std::error::Error, "its image was not removed; tried again later");
                modules.tidy_later(&record.name);
            }
            Ok(())
        })
        .await
    }
}
