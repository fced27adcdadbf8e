//! Starting a container with its token, its environment and its listener; and ending a run.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use jiff::Timestamp;
use selena_types::{Manifest, ModuleState, RuntimeMode, Secret};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    ModuleRecord, Modules, about,
    recover::restore_previous,
    slot::{Active, Slot},
    staging::blocking,
};
use crate::{
    Api, ApiError,
    identity::{ModuleRun, NewRun, Origin},
    ports::{Command, ContainerPurpose, ContainerSpec, SandboxError},
    token,
};

/// How long a module may take to answer `GET /health` with 200 after its start (protocol, section 2, step 8).
pub(super) const HEALTH_DEADLINE: Duration = Duration::from_secs(30);
/// How long a module has to end by itself when it is stopped.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(5);

/// What a run is started from.
pub(super) struct Launch<'a> {
    /// The API it talks to: the hub's, or a trial's.
    pub(super) api: &'a Arc<Api>,
    pub(super) manifest: &'a Manifest,
    pub(super) spec: ContainerSpec,
    pub(super) webhook_secret: Secret,
    /// The module's settings; none in a trial, whose output whoever uploads it reads.
    pub(super) settings: serde_json::Map<String, serde_json::Value>,
}

impl Modules {
    /// What a module's container is made of.
    pub(super) fn spec(&self, record: &ModuleRecord, manifest: &Manifest) -> ContainerSpec {
        let runtime = manifest.runtime_with(record.has_main_py);
        ContainerSpec {
            purpose: ContainerPurpose::Module,
            module: record.name.clone(),
            version: record.version.clone(),
            port: record.port,
            uid: record.uid,
            command: Command { runtime, entry_point: manifest.entry_point_with(runtime).unwrap_or_default() },
            package_dir: self.package_dir(&record.name),
            data_image: self.data_image(&record.name),
            resources: manifest.resources.clone(),
        }
    }

    /// Starts a container and serves its listener. Gives the run and the hash of its token.
    pub(super) async fn launch(&self, launch: Launch<'_>) -> Result<(Active, selena_types::TokenHash), ApiError> {
        let name = launch.manifest.name.clone();
        let token = token::new_token()?;
        let hash = token::hash(token.expose());
        let boot = environment(launch.manifest, &token, &launch.webhook_secret, &launch.settings);
        let started = self.parts.sandbox.start(launch.spec).await.map_err(|error| ApiError::sandbox(&name, error))?;
        let exit = self.exits.watch(&started.run);
        let new = NewRun {
            name: name.clone(),
            module_type: launch.manifest.module_type,
            port: launch.manifest.port,
            permissions: launch.manifest.permissions.clone(),
            events: launch.manifest.events.clone(),
            oauth: launch.manifest.oauth.clone(),
            run: started.run.clone(),
            webhook_secret: launch.webhook_secret,
            token: hash.clone(),
            boot,
        };
        let run = Arc::new(ModuleRun::new(new, launch.api.identity().limits()));
        launch.api.identity().set_current(&name, hash.clone());
        let origin = Origin::Module(run.clone());
        match self.parts.listeners.serve(started.listener, launch.api.clone(), origin) {
            Ok(served) => {
                let supervision = CancellationToken::new();
                Ok((Active { run, served, exit, supervision, last_call: Instant::now() }, hash))
            }
            Err(error) => {
                self.exits.forget(&started.run);
                if let Err(left) = self.parts.sandbox.remove(&started.run).await {
                    tracing::warn!(
                        error = &left as &dyn std::error::Error,
                        "a container that is not served is left over"
                    );
                }
                Err(ApiError::internal(error))
            }
        }
    }

    /// Starts a module and waits until it is healthy. Gives its record as it then is, which is not stored yet.
    pub(super) async fn bring_up(&self, record: &ModuleRecord) -> Result<(Active, ModuleRecord), ApiError> {
        let _permit = self.starts.acquire().await.map_err(ApiError::internal)?;
        let manifest = self.manifest(record)?;
        self.check_package(record).await?;
        let sealed = self.parts.sealer.open(&secret_context(record), &record.webhook_secret);
        let secret = sealed.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let webhook_secret = Secret::new(secret.ok_or_else(|| ApiError::Container {
            name: record.name.clone(),
            code: "secret_corrupt",
            detail: "its webhook secret does not open; remove the module and install it again".to_owned(),
        })?);
        let spec = self.spec(record, &manifest);
        let settings = self.settings_of(&record.name).await?;
        let launch = Launch { api: &self.parts.api, manifest: &manifest, spec, webhook_secret, settings };
        let (active, token) = self.launch(launch).await?;
        let deadline = Instant::now() + HEALTH_DEADLINE;
        let ends_by_itself = manifest.runtime_mode == RuntimeMode::Scheduled;
        if let Err(error) = self.until_healthy(&active, &manifest, deadline, ends_by_itself).await {
            self.end_or_later(&active).await;
            return Err(error);
        }
        let up = ModuleRecord {
            state: ModuleState::Running,
            error: None,
            token: Some(token),
            started_at: Some(Timestamp::now()),
            ..record.clone()
        };
        Ok((active, up))
    }

    /// Whether the package that lies there is the stored one: after an update that could not be undone it may not be.
    async fn check_package(&self, record: &ModuleRecord) -> Result<(), ApiError> {
        let (data, record) = (self.parts.config.data_dir.clone(), record.clone());
        let is_stored = blocking(move || {
            let manifest = data.join("modules").join(record.name.as_str()).join("manifest.json");
            let lies_there = || std::fs::read_to_string(&manifest).is_ok_and(|text| text == record.manifest);
            if !lies_there() {
                restore_previous(&data, &record.name)?;
            }
            Ok(if lies_there() { None } else { Some(record.name) })
        });
        match is_stored.await? {
            None => Ok(()),
            Some(name) => {
                let detail = "its files are not those of the stored version: install it again".to_owned();
                Err(ApiError::Container { name, code: "package_mismatch", detail })
            }
        }
    }

    /// Ends a run: its token, its subscriptions, its listener, its container.
    ///
    /// An error means that the container may still run, cut off from the hub.
    pub(super) async fn end(&self, active: &Active) -> Result<(), SandboxError> {
        self.detach(active, &self.parts.api);
        self.parts.sandbox.stop(&active.run.run, STOP_GRACE).await
    }

    /// Ends a run; a container that is not stopped now is removed when the hub next looks.
    pub(super) async fn end_or_later(&self, active: &Active) {
        if let Err(error) = self.end(active).await {
            let run = &active.run.run;
            tracing::warn!(%run, error = &error as &dyn std::error::Error, "a container was not stopped; tried again later");
        }
    }

    /// Ends what the hub holds of a run; the container is not touched.
    pub(super) fn detach(&self, active: &Active, api: &Api) {
        active.detach(api, &*self.parts.calls);
        self.exits.forget(&active.run.run);
    }

    /// Stores that a start failed, and why; the event is told once for each reason.
    pub(super) async fn save_failed_start(&self, slot: &Slot, error: &ApiError) {
        let reason = error.to_string();
        let before = slot.record();
        let waits = matches!(error, ApiError::EngineDown(_) | ApiError::Unavailable(_));
        let state = if waits { ModuleState::Ready } else { ModuleState::Error };
        let is_new = before.state != state || before.error.as_deref() != Some(&reason);
        let record = ModuleRecord { state, error: Some(reason.clone()), ..before };
        let events = if is_new && !waits { vec![("module.error", about(&record, Some(&reason)))] } else { Vec::new() };
        let outcome = self.save(slot, record, events).await;
        self.log_unsaved(slot, outcome);
    }
}

/// What a sealed webhook secret is bound to: a secret moved to another module's row does not open.
pub(super) fn secret_context(record: &ModuleRecord) -> String {
    format!("webhook-secret/{}", record.name)
}

/// The environment of `GET /boot` (protocol, section 2): `KEY=VALUE`, each ended by NUL.
/// The module's settings come as `MODULE_CONFIG_<KEY>` (section 12): texts as they are, other values as JSON.
fn environment(
    manifest: &Manifest,
    token: &Secret,
    webhook_secret: &Secret,
    settings: &serde_json::Map<String, serde_json::Value>,
) -> Secret {
    const CORE_URL: &str = "http://localhost:7070/api/v1";
    let port = manifest.port.map(|port| port.to_string()).unwrap_or_default();
    let mut text = String::new();
    for (key, value) in [
        ("SELENA_MODULE_TOKEN", token.expose()),
        ("SELENA_WEBHOOK_SECRET", webhook_secret.expose()),
        ("SELENA_CORE_URL", CORE_URL),
        ("SELENA_MODULE_NAME", manifest.name.as_str()),
        ("SELENA_MODULE_PORT", &port),
        ("SELENA_INSTALL_PATH", "/app"),
        ("MODULE_TOKEN", token.expose()),
        ("SELENA_CORE_API", CORE_URL),
    ] {
        write!(text, "{key}={value}\0").expect("a String takes all");
    }
    for (key, value) in settings.iter().filter(|(key, _)| is_variable(key)) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if !value.contains('\0') {
            write!(text, "MODULE_CONFIG_{}={value}\0", key.to_ascii_uppercase()).expect("a String takes all");
        }
    }
    Secret::new(text)
}

/// Whether a setting's key can be part of a variable's name.
fn is_variable(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
