//! Installing a package (protocol, section 2).

use std::{collections::HashSet, fs::File, sync::Arc};

use jiff::Timestamp;
use selena_types::{
    Manifest, ModuleName, ModulePort, ModuleState, ModuleType, Permission, Runtime, RuntimeMode, Transport,
};
use serde_json::{Value, json};

use super::{
    ModuleRecord, Modules, Progress, TrialReport, Upload, about,
    launch::secret_context,
    progress,
    slot::{Live, Slot},
    staging::{Staged, blocking, remove_all},
};
use crate::{ApiError, token};

/// First user id of modules; each module has one of its own.
const FIRST_UID: u32 = 400_000;

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

/// A name that is being installed; freed when dropped.
#[derive(Debug)]
struct Claim {
    modules: Arc<Modules>,
    name: ModuleName,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut installing = self.modules.installing.lock().expect("nothing panics while it holds the names");
        installing.remove(&self.name);
    }
}

impl Modules {
    /// Checks an uploaded package, and begins to install it.
    ///
    /// # Errors
    /// What is wrong with the package, or with it on this hub: nothing was changed then.
    pub async fn install(self: &Arc<Self>, upload: Upload, who: &str) -> Result<Installing, ApiError> {
        let staged = self.check(upload).await?;
        let name = staged.manifest.name.clone();
        let claim = self.claim(&name)?;
        let existing = self.slot(&name).ok();
        self.check_against_installed(&staged.manifest, existing.as_deref())?;
        for warning in &staged.warnings {
            tracing::warn!(module = %name, %warning, "the manifest has something the hub does not know");
        }
        self.parts.api.record("module_install", who, &format!("{name} {}", staged.manifest.version));
        self.show(&name, ModuleState::Validating, "the package is checked; it is tried next", 20);
        let modules = self.clone();
        let outcome = self.tasks.spawn(async move {
            let _claim = claim;
            let outcome = match existing {
                Some(slot) => modules.update(&slot, staged).await,
                None => modules.install_new(staged).await,
            };
            if let Err(error) = &outcome {
                let name = &_claim.name;
                tracing::warn!(module = %name, error = error as &dyn std::error::Error, code = error.code(), "not installed");
                modules.parts.api.refused(error, name.as_str(), &format!("install failed: {}", error.code()));
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
        self.progress.set(name, progress::Progress { status, message: message.to_owned(), progress: percent });
    }

    /// Steps 1 and 2: unpack, and validate the manifest.
    async fn check(self: &Arc<Self>, upload: Upload) -> Result<Staged, ApiError> {
        let modules = self.clone();
        let (upload, unpacked) = blocking(move || {
            let zip = File::open(upload.zip_path())?;
            let unpacked = modules.parts.packages.unpack(&zip, &upload.package_dir());
            remove_all(&upload.zip_path())?;
            Ok((upload, unpacked))
        })
        .await?;
        let unpacked = unpacked?;
        let core = &self.parts.api.info().version;
        let parsed = Manifest::parse(&unpacked.manifest, core, &self.parts.config.limits)?;
        let manifest_text = String::from_utf8_lossy(&unpacked.manifest).into_owned();
        let has_main_py = unpacked.files.iter().any(|file| file == "main.py");
        let staged =
            Staged { upload, manifest: parsed.manifest, manifest_text, has_main_py, warnings: parsed.warnings };
        supported(&staged.manifest, staged.has_main_py, &unpacked.files)?;
        Ok(staged)
    }

    fn claim(self: &Arc<Self>, name: &ModuleName) -> Result<Claim, ApiError> {
        let mut installing = self.installing.lock().expect("nothing panics while it holds the names");
        if !installing.insert(name.clone()) {
            let detail = format!("`{name}` is being installed already: wait for it to end");
            return Err(ApiError::Conflict { code: "install_in_progress", detail });
        }
        Ok(Claim { modules: self.clone(), name: name.clone() })
    }

    fn check_against_installed(&self, manifest: &Manifest, existing: Option<&Slot>) -> Result<(), ApiError> {
        let conflict = |code, detail| Err(ApiError::Conflict { code, detail });
        if let Some(slot) = existing {
            let record = slot.record();
            if record.module_type != manifest.module_type {
                let detail = format!("`{}` is installed as {}; remove it first", record.name, record.module_type);
                return conflict("manifest_conflict", detail);
            }
            if record.version >= manifest.version {
                let detail = format!("version {} is installed: an update needs a higher one", record.version);
                return conflict("manifest_version", detail);
            }
        }
        let records = self.records();
        let taken = records
            .iter()
            .find(|other| other.port.is_some() && other.port == manifest.port && other.name != manifest.name);
        if let Some(other) = taken {
            return conflict("port_taken", format!("module `{}` has this port already", other.name));
        }
        if let Some((name, needed)) = manifest.dependencies.iter().find(|(name, needed)| {
            !records.iter().any(|record| record.name == **name && needed.matches(&record.version))
        }) {
            let detail = format!("it needs module `{name}` {needed}: install that first");
            return Err(ApiError::Unprocessable { code: "manifest_dependency".to_owned(), detail });
        }
        Ok(())
    }

    async fn install_new(self: &Arc<Self>, staged: Staged) -> Result<Installed, ApiError> {
        let name = staged.manifest.name.clone();
        let uid = self.free_uid();
        self.show(&name, ModuleState::Validating, "the package runs once in a throw-away container", 40);
        let report = self.try_out(&staged, uid).await?;
        let record = self.new_record(&staged, uid, report)?;
        self.show(&name, ModuleState::Validating, "the package is put in its place", 70);
        let slot = Arc::new(Slot::new(record.clone()));
        let mut live = slot.live.lock().await;
        self.insert_slot(&slot)?;
        let outcome = self.place_and_start(&slot, &mut live, &staged, record).await;
        if outcome.is_err() {
            live.removed = true;
            self.forget_install(&name).await;
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
        self.save(slot, record.clone(), None).await?;
        self.place(staged).await?;
        if let Some(adds) = super::consent::needed(&staged.manifest) {
            let waiting = ModuleRecord { state: ModuleState::AwaitingConsent, ..record };
            self.save(slot, waiting.clone(), Some(("module.installed", about(&waiting, None)))).await?;
            return Ok(installed(&waiting, Some(adds)));
        }
        if record.runtime_mode != RuntimeMode::AlwaysOn || !self.is_enabled(&record.name) {
            let ready = ModuleRecord { state: ModuleState::Ready, ..record };
            self.save(slot, ready.clone(), Some(("module.installed", about(&ready, None)))).await?;
            return Ok(installed(&ready, None));
        }
        self.show(&record.name, ModuleState::Validating, "the module is started", 85);
        let (active, up) = self.bring_up(&record).await?;
        self.save(slot, up.clone(), Some(("module.installed", about(&up, None)))).await?;
        self.supervise(slot, live, active).await?;
        self.parts.api.announce("module.started", about(&up, None)).await?;
        Ok(installed(&up, None))
    }

    fn insert_slot(&self, slot: &Arc<Slot>) -> Result<(), ApiError> {
        let record = slot.record();
        let mut slots = self.slots.lock().expect("nothing panics while it holds the slots");
        if slots.values().any(|other| record.port.is_some() && other.record().port == record.port) {
            let detail = "another module took this port meanwhile".to_owned();
            return Err(ApiError::Conflict { code: "port_taken", detail });
        }
        slots.insert(record.name.clone(), slot.clone());
        Ok(())
    }

    /// Undoes a first install that failed after its trial.
    async fn forget_install(&self, name: &ModuleName) {
        self.slots.lock().expect("nothing panics while it holds the slots").remove(name);
        if let Err(error) = self.erase(name).await {
            tracing::error!(module = %name, error = &error as &dyn std::error::Error, "a failed install was not undone; it is at the next start");
        }
    }

    fn new_record(&self, staged: &Staged, uid: u32, report: TrialReport) -> Result<ModuleRecord, ApiError> {
        let manifest = &staged.manifest;
        let mut record = ModuleRecord {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            module_type: manifest.module_type,
            runtime_mode: manifest.runtime_mode,
            manifest: staged.manifest_text.clone(),
            has_main_py: staged.has_main_py,
            state: ModuleState::Validating,
            error: None,
            port: manifest.port,
            uid,
            wanted: true,
            webhook_secret: Vec::new(),
            token: None,
            installed_at: Timestamp::now(),
            started_at: None,
            report: Some(report),
            crashes: Vec::new(),
        };
        let secret = token::new_webhook_secret()?;
        let sealed = self.parts.sealer.seal(&secret_context(&record), secret.expose().as_bytes());
        record.webhook_secret = sealed.map_err(ApiError::internal)?;
        Ok(record)
    }

    fn free_uid(&self) -> u32 {
        let taken: HashSet<u32> = self.records().iter().map(|record| record.uid).collect();
        (FIRST_UID..).find(|uid| !taken.contains(uid)).expect("there are fewer modules than numbers")
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
    }
}

/// Refuses what this core cannot run, and an entry point that is not in the package.
fn supported(manifest: &Manifest, has_main_py: bool, files: &[String]) -> Result<(), ApiError> {
    let refuse = |code: &str, detail: String| Err(ApiError::Unprocessable { code: code.to_owned(), detail });
    if manifest.module_type == ModuleType::System {
        let detail = "type SYSTEM is for parts of the hub itself: it needs the hub vendor's signature".to_owned();
        return refuse("manifest_signature", detail);
    }
    if manifest.transport == Transport::Ipc {
        return refuse("manifest_incompatible", "this core does not speak the native wire yet: use http".to_owned());
    }
    let runtime = manifest.runtime_with(has_main_py);
    if runtime == Runtime::Oci {
        return refuse(
            "manifest_incompatible",
            "this core does not run oci images yet: use static or python3".to_owned(),
        );
    }
    match manifest.entry_point_with(runtime) {
        Some(entry_point) if !files.contains(&entry_point) => {
            refuse("manifest_invalid", format!("the package has no file `{entry_point}`: name it as `entry_point`"))
        }
        _ => Ok(()),
    }
}

/// Used by consent: what a package asks for that only a person grants.
pub(super) fn asks(manifest: &Manifest) -> Value {
    let permissions: Vec<_> =
        manifest.permissions.iter().copied().filter(|permission: &Permission| permission.needs_consent()).collect();
    let egress: Vec<_> = manifest
        .egress
        .iter()
        .map(|rule| json!({ "host": rule.host, "port": rule.port, "protocol": rule.protocol }))
        .collect();
    let oauth_hosts: Vec<_> = manifest.oauth.values().flat_map(|provider| provider.api_hosts.clone()).collect();
    json!({ "permissions": permissions, "egress": egress, "devices": manifest.devices, "oauth_hosts": oauth_hosts })
}
