//! The trial: a package runs once in a throw-away container before it is installed (protocol, section 2, step 3).

use std::{path::Path, sync::Arc, time::Duration};

use selena_types::Manifest;
use tokio::time::Instant;

use super::{
    Modules, TrialReport,
    host_devices::DeviceHold,
    image::open_root,
    launch::Launch,
    slot::Active,
    staging::{Staged, blocking, remove_all},
};
use crate::{
    Api, ApiError,
    api::Development,
    jobs,
    ports::{Command, ContainerPurpose, ContainerSpec, RunId},
    token,
};

/// How long a trial may take from the start of its container.
const TRIAL_DEADLINE: Duration = Duration::from_secs(60);
/// How long the init may take to tell which system calls were denied.
const REPORT_PATIENCE: Duration = Duration::from_secs(2);
/// How much of what a failed trial printed is answered.
const MAX_OUTPUT_BYTES: usize = 64 * 1024;

impl Modules {
    /// Runs a staged package once. Whatever comes of it, its container is gone afterwards.
    ///
    /// # Errors
    /// [`ApiError::TrialFailed`], or why there could be no trial.
    pub(super) async fn try_out(&self, staged: &Staged, uid: u32) -> Result<TrialReport, ApiError> {
        let _trial = jobs::until_stopped(self.trials.acquire()).await?.map_err(ApiError::internal)?;
        let place = self.place_to_start().await?;
        let api = self.trial_api().await?;
        let begun = Instant::now();
        let active = match self.begin_trial(staged, uid, &api).await {
            Ok(active) => active,
            // It ended before the hub's listener was in its namespace: what it printed says why.
            Err(ApiError::Unhealthy { detail, .. }) => {
                let report = TrialReport::default().scored(&staged.manifest, staged.is_signed());
                return Err(self.failed_trial(staged, detail, report).await);
            }
            Err(error) => return Err(error),
        };
        // What it takes to hand a large image to the engine is not the package's fault.
        let deadline = Instant::now() + TRIAL_DEADLINE;
        let outcome = self.until_healthy(&active, &staged.manifest, deadline, false).await;
        let ready = outcome.is_ok().then(|| begun.elapsed());
        drop(place);
        let report = self.report(&active, &api, ready).await.scored(&staged.manifest, staged.is_signed());
        self.detach(&active, &api);
        let outcome = match outcome {
            Ok(()) => Ok(report),
            Err(stopped @ ApiError::JobStopped { .. }) => Err(stopped),
            Err(error) => Err(self.failed_trial(staged, error.to_string(), report).await),
        };
        self.remove_trial(&active.run.run).await;
        // What it wrote makes room for the data of the module itself.
        let data = staged.trial_data();
        if let Err(error) = blocking(move || remove_all(&data)).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a trial's data go with its package");
        }
        outcome
    }

    /// An API whose state is empty and of which nothing is kept.
    async fn trial_api(&self) -> Result<Arc<Api>, ApiError> {
        let (info, limits) = (self.parts.api.info().clone(), self.parts.api.identity().limits());
        let store = (self.parts.memory_store)()?;
        Ok(Arc::new(Api::new(info, store, self.parts.calls.clone(), Development::default(), limits).await?))
    }

    async fn begin_trial(&self, staged: &Staged, uid: u32, api: &Arc<Api>) -> Result<Active, ApiError> {
        let manifest = &staged.manifest;
        let mut command = self.container_command(manifest, staged.has_main_py, &staged.package_dir()).await?;
        if let Command::Image(image) = &mut command {
            image.root = Some(open_root(staged.upload.image_root()).await?);
        }
        let spec = trial_spec(manifest, command, uid, &staged.package_dir(), &staged.trial_data());
        let webhook_secret = token::new_webhook_secret()?;
        Ok(self
            .launch(Launch {
                api,
                manifest,
                spec,
                webhook_secret,
                settings: serde_json::Map::new(),
                devices: DeviceHold::default(),
                egress: Vec::new(),
            })
            .await?
            .0)
    }

    async fn failed_trial(&self, staged: &Staged, detail: String, report: TrialReport) -> ApiError {
        let name = &staged.manifest.name;
        let logs = self.parts.sandbox.logs(name, ContainerPurpose::Trial, MAX_OUTPUT_BYTES).await;
        let output = logs.unwrap_or_else(|error| format!("(no output: {})", crate::error::chain(&error)));
        ApiError::TrialFailed { detail, output, report: Box::new(report) }
    }

    async fn report(&self, active: &Active, api: &Api, ready: Option<Duration>) -> TrialReport {
        let denied_syscalls = match active.run.watch() {
            Some(watch) => watch.ask(REPORT_PATIENCE).await,
            None => None,
        };
        let usage = self.parts.sandbox.usage(&active.run.run).await.unwrap_or_default();
        let denied = api.audit_records(100).await.unwrap_or_default();
        TrialReport {
            time_to_ready_ms: ready.map(|ready| u64::try_from(ready.as_millis()).unwrap_or(u64::MAX)),
            peak_memory_bytes: usage.peak_memory_bytes,
            denied_calls: denied.into_iter().map(|record| format!("{}: {}", record.event, record.detail)).collect(),
            open_ports: usage.open_ports,
            peak_processes: usage.peak_processes,
            programs: usage.programs,
            denied_syscalls,
            ..TrialReport::default()
        }
    }

    async fn remove_trial(&self, run: &RunId) {
        if let Err(error) = self.parts.sandbox.remove(run).await {
            tracing::warn!(%run, error = &error as &dyn std::error::Error, "a trial's container was not removed; tried again later");
        }
    }
}

fn trial_spec(manifest: &Manifest, command: Command, uid: u32, package: &Path, data: &Path) -> ContainerSpec {
    ContainerSpec {
        purpose: ContainerPurpose::Trial,
        module: manifest.name.clone(),
        version: manifest.version.clone(),
        port: manifest.port,
        uid,
        command,
        package_dir: package.to_owned(),
        data_image: data.to_owned(),
        resources: manifest.resources.clone(),
        // A person has granted nothing yet.
        devices: Vec::new(),
        egress: false,
    }
}
