//! Installing a package (protocol, section 2).

use std::{fs::File, sync::Arc};

use jiff::Timestamp;
use selena_types::{Manifest, ModuleName, ModulePort, ModuleState, ModuleType, Runtime, RuntimeMode, Transport};
use serde_json::Value;

use super::{
    ModuleRecord, Modules, Progress, TrialReport, Upload, about,
    claims::{Claim, check_against},
    image::IMAGE_FILE,
    launch::secret_context,
    rights,
    slot::{Live, Slot},
    staging::{Staged, blocking, remove_all},
};
use crate::{ApiError, token};

/// How an install ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Installed {
    /// The module.
    pub name: ModuleName,
    /// `RUNNING`, `READY` or `AWAITING_CONSENT`.
    pub status: ModuleState,
    /// Its port.
    pub port: Option<ModulePort>,
    /// What a person has to grant, if it waits for that.
    pub adds: Option<Value>,
    /// Its version.
    pub version: semver::Version,
    /// What its trial saw.
    pub report: Option<TrialReport>,
}

/// An install that goes on by itself; dropping it does not end it.
#[derive(Debug)]
pub struct Installing {
    /// The module's name.
    pub name: ModuleName,
    outcome: tokio::task::JoinHandle<Result<Installed, ApiError>>,
}

impl Installing {
    /// Waits for the end.
    ///
    /// # Errors
    /// Why it was not installed.
    pub async fn outcome(self) -> Result<Installed, ApiError> {
        self.outcome.await.unwrap_or_else(|panic| Err(ApiError::internal(panic)))
    }
}

impl Modules {
    /// Checks an uploaded package, and begins to install it. `watched`: somebody waits for the outcome, and records it.
    ///
    /// # Errors
    /// What is wrong with the package, or with it on this hub: nothing was changed then.
    pub async fn install(self: &Arc<Self>, upload: Upload, who: &str, watched: bool) -> Result<Installing, ApiError> {
        let staged = self.check(upload).await?;
        let (claim, existing) = self.claim(&staged)?;
        let name = claim.name.clone();
        for warning in &staged.warnings {
            tracing::warn!(module = %name, %warning, "the package has something that has no effect here");
        }
        self.parts.api.record("module_install", who, &format!("{name} {}", staged.manifest.version));
        self.show(&name, ModuleState::Validating, "the package is checked; it is tried next", 20);
        let (modules, who) = (self.clone(), who.to_owned());
        let outcome = self.tasks.spawn(async move {
            let outcome = Box::pin(modules.install_claimed(&claim, existing, staged)).await;
            if let Err(error) = &outcome {
                let name = &claim.name;
                tracing::warn!(module = %name, error = error as &dyn std::error::Error, code = error.code(), "not installed");
                if !watched {
                    modules.parts.api.refused(error, &who, &format!("install of {name}"));
                }
                modules.show(name, ModuleState::Error, &error.to_string(), 100);
            }
            outcome
        });
        Ok(Installing { name, outcome })
    }

    /// Follows what happens to a module.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] if nothing is known of that name.
    pub fn follow(&self, name: &ModuleName) -> Result<tokio::sync::watch::Receiver<Progress>, ApiError> {
        if let Some(receiver) = self.progress.follow(name) {
            return Ok(receiver);
        }
        let record = self.record(name)?;
        self.progress.set(name, Progress::of(&record));
        self.progress.follow(name).ok_or(ApiError::NotFound("module"))
    }

    pub(super) fn show(&self, name: &ModuleName, status: ModuleState, message: &str, percent: u8) {
        self.progress.set(name, Progress { status, message: message.to_owned(), progress: percent });
    }

    /// Steps 1 and 2: unpack, and validate the manifest.
    async fn check(self: &Arc<Self>, mut upload: Upload) -> Result<Staged, ApiError> {
        let modules = self.clone();
        let (upload, unpacked) = blocking(move || {
            let zip = File::open(upload.zip_path())?;
            let unpacked = modules.parts.packages.unpack(&zip, &upload.package_dir());
            remove_all(&upload.zip_path())?;
            upload.arrival = None;
            Ok((upload, unpacked))
        })
        .await?;
        let unpacked = unpacked?;
        let core = &self.parts.api.info().version;
        let parsed = Manifest::parse(&unpacked.manifest, core, &self.parts.config.limits)?;
        let manifest_text = String::from_utf8_lossy(&unpacked.manifest).into_owned();
        let signed_by = self.signer(&unpacked, parsed.manifest.module_type)?;
        let has_main_py = unpacked.files.contains_key("main.py");
        supported(&parsed.manifest, has_main_py, |file| unpacked.files.contains_key(file))?;
        let (manifest, mut warnings) = (parsed.manifest, parsed.warnings);
        if manifest.runtime_with(has_main_py) == Runtime::Oci {
            warnings.extend(self.check_image(&upload).await?);
        }
        Ok(Staged { upload, manifest, manifest_text, has_main_py, signed_by, warnings, report: None })
    }

    async fn install_claimed(
        self: &Arc<Self>,
        claim: &Claim,
        existing: Option<Arc<Slot>>,
        mut staged: Staged,
    ) -> Result<Installed, ApiError> {
        self.show(&claim.name, ModuleState::Validating, "the package runs once in a throw-away container", 40);
        let tried = self.try_out(&staged, claim.uid).await;
        if tried.is_err() {
            self.clean_after_trial(&claim.name, existing.as_deref()).await;
        }
        staged.report = Some(tried?);
        self.parts.api.integrity().check_normal()?;
        self.check_still_counts(staged.signed_by.as_ref(), staged.manifest.module_type)?;
        let Some(slot) = existing else { return self.install_new(staged, claim.uid).await };
        let mut live = slot.live.lock().await;
        // Decided by what it is now: while the package was tried, a person may have consented or removed it.
        let record = slot.record();
        if live.removed {
            drop(live);
            return self.install_new(staged, claim.uid).await;
        }
        self.check_publisher(Some(&record), staged.signed_by.as_ref())?;
        check_against(Some(&record), &staged.manifest)?;
        self.check_dependencies(&staged.manifest)?;
        if record.state == ModuleState::AwaitingConsent && live.active.is_none() {
            // It was never granted anything, so the later upload replaces it.
            self.erase(&slot, &mut live).await?;
            drop(live);
            return self.install_new(staged, claim.uid).await;
        }
        self.update_locked(&slot, &mut live, staged).await
    }

    /// Removes what a failed trial left with the engine.
    async fn clean_after_trial(&self, name: &ModuleName, existing: Option<&Slot>) {
        let cleaned = match existing {
            Some(slot) => {
                // Held, so that an image that is being made for another version does not go.
                let _live = slot.live.lock().await;
                self.parts.sandbox.prune_images(name, &slot.record().version).await
            }
            None => self.parts.sandbox.purge(name).await,
        };
        if let Err(error) = cleaned {
            tracing::warn!(module = %name, error = &error as &dyn std::error::Error, "a trial left something behind; tried again later");
            self.untidy.lock().expect("nothing panics while it holds the names").insert(name.clone());
        }
    }

    async fn install_new(self: &Arc<Self>, staged: Staged, uid: u32) -> Result<Installed, ApiError> {
        let name = staged.manifest.name.clone();
        let record = self.new_record(&staged, uid)?;
        self.show(&name, ModuleState::Validating, "the package is put in its place", 70);
        let slot = Arc::new(Slot::new(record.clone()));
        let mut live = slot.live.lock().await;
        self.slots.lock().expect("nothing panics while it holds the slots").insert(name.clone(), slot.clone());
        let outcome = self.place_and_start(&slot, &mut live, &staged, record).await;
        if outcome.is_err()
            && let Err(error) = self.erase(&slot, &mut live).await
        {
            // The slot stays and says so: it is tried again until it is done.
            tracing::error!(module = %name, error = &error as &dyn std::error::Error, "a failed install was not undone yet");
        }
        outcome
    }

    async fn place_and_start(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        live: &mut Live,
        staged: &Staged,
        record: ModuleRecord,
    ) -> Result<Installed, ApiError> {
        self.store(slot, record.clone(), Vec::new()).await?;
        self.place(staged).await?;
        if let Some(adds) = rights::needed_at_first(&staged.manifest) {
            let waiting = ModuleRecord { state: ModuleState::AwaitingConsent, ..record };
            self.save(slot, waiting.clone(), vec![("module.installed", about(&waiting, None))]).await?;
            return Ok(installed(&waiting, Some(adds)));
        }
        let record = ModuleRecord { granted: rights::asked(&staged.manifest), ..record };
        if record.runtime_mode != RuntimeMode::AlwaysOn || !self.is_enabled(&record.name) {
            let ready = ModuleRecord { state: ModuleState::Ready, ..record };
            self.save(slot, ready.clone(), vec![("module.installed", about(&ready, None))]).await?;
            return Ok(installed(&ready, None));
        }
        if let Some(why) = self.waits_for(&record) {
            let waiting = ModuleRecord { state: ModuleState::Ready, error: Some(why), ..record };
            self.save(slot, waiting.clone(), vec![("module.installed", about(&waiting, None))]).await?;
            return Ok(installed(&waiting, None));
        }
        self.show(&record.name, ModuleState::Validating, "the module is started", 85);
        let (active, up) = self.bring_up(&record).await?;
        let events = vec![("module.installed", about(&up, None)), ("module.started", about(&up, None))];
        self.keep(slot, live, active, up.clone(), events).await?;
        Ok(installed(&up, None))
    }

    fn new_record(&self, staged: &Staged, uid: u32) -> Result<ModuleRecord, ApiError> {
        let manifest = &staged.manifest;
        let mut record = ModuleRecord {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            module_type: manifest.module_type,
            runtime_mode: manifest.runtime_mode,
            manifest: staged.manifest_text.clone(),
            has_main_py: staged.has_main_py,
            signed_by: staged.signed_by.clone(),
            state: ModuleState::Validating,
            error: None,
            port: manifest.port,
            uid,
            wanted: true,
            webhook_secret: Vec::new(),
            token: None,
            granted: Value::Null,
            installed_at: Timestamp::now(),
            started_at: None,
            report: staged.report.clone(),
            crashes: Vec::new(),
            previous: None,
            on_probation: false,
            last_update: None,
        };
        let secret = token::new_webhook_secret()?;
        let sealed = self.parts.sealer.seal(&secret_context(&record), secret.expose().as_bytes());
        record.webhook_secret = sealed.map_err(ApiError::internal)?;
        Ok(record)
    }

    pub(super) fn is_enabled(&self, name: &ModuleName) -> bool {
        let enabled = &self.parts.config.enabled;
        enabled.is_empty() || enabled.contains(name)
    }
}

pub(super) fn installed(record: &ModuleRecord, adds: Option<Value>) -> Installed {
    Installed {
        name: record.name.clone(),
        status: record.state,
        port: record.port,
        adds,
        version: record.version.clone(),
        report: record.report.clone(),
    }
}

/// Refuses what this core cannot run, and an entry point that is not in the package.
fn supported(manifest: &Manifest, has_main_py: bool, has_file: impl Fn(&str) -> bool) -> Result<(), ApiError> {
    let refuse = |code: &str, detail: String| Err(ApiError::Unprocessable { code: code.to_owned(), detail });
    if manifest.module_type == ModuleType::System || manifest.transport == Transport::Ipc {
        return refuse(
            "manifest_incompatible",
            "this core does not speak the native wire yet: use http, and another type than SYSTEM".to_owned(),
        );
    }
    let runtime = manifest.runtime_with(has_main_py);
    if runtime == Runtime::Oci && !has_file(IMAGE_FILE) {
        return refuse("manifest_invalid", format!("the package has no file `{IMAGE_FILE}`, which runtime oci needs"));
    }
    match manifest.entry_point_with(runtime) {
        Some(entry_point) if !has_file(&entry_point) => {
            refuse("manifest_invalid", format!("the package has no file `{entry_point}`: name it as `entry_point`"))
        }
        _ => Ok(()),
    }
}
