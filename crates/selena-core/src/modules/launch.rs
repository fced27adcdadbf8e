//! Starting a container with its token, its environment and its listener; and ending a run.

use std::{fmt::Write as _, io, os::fd::OwnedFd, sync::Arc, time::Duration};

use jiff::Timestamp;
use selena_types::{EgressRule, Manifest, ModuleState, RuntimeMode, Secret};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    ModuleRecord, Modules, about,
    host_devices::DeviceHold,
    rights,
    slot::{Active, Served, Slot},
    staging::blocking,
};
use crate::{
    Api, ApiError,
    egress::EgressGate,
    identity::{ModuleRun, NewRun, Origin, SyscallWatch},
    jobs,
    ports::{Command, ContainerPurpose, ContainerSpec, DeviceGrant, SandboxError},
    token,
};

/// How long a module may take to answer `GET /health` with 200 after its start (protocol, section 2, step 8).
pub(super) const HEALTH_DEADLINE: Duration = Duration::from_secs(30);
/// How long a module has to end by itself when it is stopped.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(5);

/// Where a module that was granted egress finds the way outside (protocol, section 1).
const EGRESS_PROXY: &str = "http://127.0.0.1:7071";

/// What a run is started from.
pub(super) struct Launch<'a> {
    /// The API it talks to: the hub's, or a trial's.
    pub(super) api: &'a Arc<Api>,
    pub(super) manifest: &'a Manifest,
    pub(super) spec: ContainerSpec,
    pub(super) webhook_secret: Secret,
    /// The module's settings; none in a trial, whose output whoever uploads it reads.
    pub(super) settings: serde_json::Map<String, serde_json::Value>,
    /// The devices it is given.
    pub(super) devices: DeviceHold,
    /// The places outside that it may reach, which a person granted; a trial may reach none.
    pub(super) egress: Vec<EgressRule>,
}

impl Modules {
    /// What a module's container is made of.
    pub(super) fn spec(
        &self,
        record: &ModuleRecord,
        manifest: &Manifest,
        command: Command,
        devices: &DeviceHold,
        egress: &[EgressRule],
    ) -> ContainerSpec {
        ContainerSpec {
            purpose: ContainerPurpose::Module,
            module: record.name.clone(),
            version: record.version.clone(),
            port: record.port,
            uid: record.uid,
            command,
            package_dir: self.package_dir(&record.name),
            data_image: self.data_image(&record.name),
            resources: manifest.resources.clone(),
            devices: devices.grants().to_vec(),
            egress: !egress.is_empty(),
        }
    }

    /// Starts a container and serves its listener. Gives the run and the hash of its token.
    pub(super) async fn launch(&self, launch: Launch<'_>) -> Result<(Active, selena_types::TokenHash), ApiError> {
        // The one way to a container, for modules and trials alike.
        self.parts.api.integrity().check_normal()?;
        let name = launch.manifest.name.clone();
        let token = token::new_token()?;
        let hash = token::hash(token.expose());
        let boot = environment(&launch, &token);
        let watch = (launch.spec.purpose == ContainerPurpose::Trial).then(SyscallWatch::new).transpose()?;
        jobs::check()?;
        let started = self.start_container(launch.spec).await?;
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
        let run = ModuleRun::new(new, launch.api.identity().limits());
        let run = Arc::new(if let Some(watch) = watch { run.watched(watch) } else { run });
        launch.api.identity().set_current(&name, hash.clone());
        let listeners = (started.listener, started.egress_listener);
        match self.serve(listeners, launch.api, &run, launch.egress) {
            Ok(served) => {
                let supervision = CancellationToken::new();
                let (devices, last_call) = (launch.devices, Instant::now());
                Ok((Active { run, served, exit, supervision, devices, last_call }, hash))
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

    /// Serves a run's listeners; its way outside first, since the module runs as soon as the hub answers.
    fn serve(
        &self,
        (listener, egress_listener): (OwnedFd, Option<OwnedFd>),
        api: &Arc<Api>,
        run: &Arc<ModuleRun>,
        rules: Vec<EgressRule>,
    ) -> io::Result<Served> {
        let gate = || EgressGate::new(api.clone(), run.clone(), rules, self.parts.dial.clone());
        let listeners = &self.parts.listeners;
        let egress = egress_listener.map(|listener| listeners.serve_egress(listener, gate())).transpose()?;
        let hub = listeners.serve(listener, api.clone(), Origin::Module(run.clone()))?;
        Ok(Served { hub, egress })
    }

    /// Starts a module and waits until it is healthy. Gives its record as it then is, which is not stored yet.
    pub(super) async fn bring_up(&self, record: &ModuleRecord) -> Result<(Active, ModuleRecord), ApiError> {
        let _place = self.place_to_start().await?;
        let manifest = self.manifest(record)?;
        self.check_package(record).await?;
        let sealed = self.parts.sealer.open(&secret_context(record), &record.webhook_secret);
        let secret = sealed.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let webhook_secret = Secret::new(secret.ok_or_else(|| ApiError::Container {
            name: record.name.clone(),
            code: "secret_corrupt",
            detail: "its webhook secret does not open; remove the module and install it again".to_owned(),
        })?);
        let command = self.container_command(&manifest, record.has_main_py, &self.package_dir(&record.name)).await?;
        let devices = self.take_devices(record);
        let egress = rights::granted_egress(&record.granted, &manifest);
        let spec = self.spec(record, &manifest, command, &devices, &egress);
        let settings = self.settings_of(&record.name).await?;
        let launch =
            Launch { api: &self.parts.api, manifest: &manifest, spec, webhook_secret, settings, devices, egress };
        let (active, token) = self.launch(launch).await?;
        let deadline = Instant::now() + HEALTH_DEADLINE;
        let ends_by_itself = manifest.runtime_mode == RuntimeMode::Scheduled;
        // A stick that is swapped now must not stay in the container until it is healthy.
        let healthy = tokio::select! {
            healthy = self.until_healthy(&active, &manifest, deadline, ends_by_itself) => healthy,
            lost = self.lost_device(record, &active.devices) => Err(device_changed(record, &lost)),
        };
        if let Err(error) = healthy {
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
        let (shelf, stored) = (self.shelf(&record.name), record.manifest.clone());
        let previous = record.previous.as_ref().map(|previous| previous.manifest.clone());
        let is_stored = blocking(move || {
            if !shelf.holds(&stored) {
                shelf.put_back(previous.as_deref())?;
            }
            Ok(shelf.holds(&stored))
        });
        if is_stored.await? {
            return Ok(());
        }
        let detail = "its files are not those of the stored version: install it again".to_owned();
        Err(ApiError::Container { name: record.name.clone(), code: "package_mismatch", detail })
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

    /// Stores that a person cancelled a start: it stays stopped until somebody starts it.
    pub(super) async fn save_cancelled_start(&self, slot: &Slot, error: &ApiError) {
        let (state, reason) = (ModuleState::Stopped, Some(error.to_string()));
        let record = ModuleRecord { state, error: reason.clone(), wanted: false, ..slot.record() };
        let event = ("module.stopped", about(&record, reason.as_deref()));
        let outcome = self.save(slot, record, vec![event]).await;
        self.log_unsaved(slot, outcome);
    }

    /// Stores that a start failed, and why; the event is told once for each reason.
    pub(super) async fn save_failed_start(&self, slot: &Slot, error: &ApiError) {
        let reason = error.to_string();
        let before = slot.record();
        let waits = matches!(error, ApiError::EngineDown(_) | ApiError::Unavailable(_) | ApiError::SafeMode);
        let state = if waits { ModuleState::Ready } else { ModuleState::Error };
        let is_new = before.state != state || before.error.as_deref() != Some(&reason);
        let record = ModuleRecord { state, error: Some(reason.clone()), ..before };
        let events = if is_new && !waits { vec![("module.error", about(&record, Some(&reason)))] } else { Vec::new() };
        let outcome = self.save(slot, record, events).await;
        self.log_unsaved(slot, outcome);
    }
}

fn device_changed(record: &ModuleRecord, lost: &DeviceGrant) -> ApiError {
    ApiError::sandbox(&record.name, SandboxError::DeviceChanged(lost.path.clone()))
}

/// What a sealed webhook secret is bound to: a secret moved to another module's row does not open.
pub(super) fn secret_context(record: &ModuleRecord) -> String {
    format!("webhook-secret/{}", record.name)
}

/// The environment of `GET /boot` (protocol, section 2): `KEY=VALUE`, each ended by NUL.
/// The module's settings come as `MODULE_CONFIG_<KEY>` (section 12): texts as they are, other values as JSON.
fn environment(launch: &Launch<'_>, token: &Secret) -> Secret {
    const CORE_URL: &str = "http://localhost:7070/api/v1";
    let Launch { manifest, webhook_secret, settings, .. } = launch;
    let port = manifest.port.map(|port| port.to_string()).unwrap_or_default();
    let mut text = String::new();
    let proxy = launch.spec.egress.then_some(EGRESS_PROXY);
    // Both spellings: libraries of the field read the one or the other.
    let proxy = ["HTTPS_PROXY", "https_proxy"].map(|key| proxy.map(|url| (key, url)));
    let variables = [
        ("SELENA_MODULE_TOKEN", token.expose()),
        ("SELENA_WEBHOOK_SECRET", webhook_secret.expose()),
        ("SELENA_CORE_URL", CORE_URL),
        ("SELENA_MODULE_NAME", manifest.name.as_str()),
        ("SELENA_MODULE_PORT", &port),
        ("SELENA_INSTALL_PATH", launch.spec.command.install_path()),
        ("MODULE_TOKEN", token.expose()),
        ("SELENA_CORE_API", CORE_URL),
    ];
    for (key, value) in variables.into_iter().chain(proxy.into_iter().flatten()) {
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
