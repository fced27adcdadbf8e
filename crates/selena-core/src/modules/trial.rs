//! The trial: a package runs once in a throw-away container before it is installed (protocol, section 2, step 3).

use std::{path::Path, sync::Arc, time::Duration};

use selena_types::Manifest;
use tokio::time::{Instant, timeout};

use super::{Modules, TrialReport, launch::Launch, slot::Active, staging::Staged};
use crate::{
    Api, ApiError,
    api::Development,
    ports::{Command, ContainerPurpose, ContainerSpec, RunId},
    token,
};

/// How long a trial may take in all.
const TRIAL_DEADLINE: Duration = Duration::from_secs(60);
/// How much of what a failed trial printed is answered.
const MAX_OUTPUT_BYTES: usize = 64 * 1024;

impl Modules {
    /// Runs a staged package once.
    ///
    /// # Errors
    /// [`ApiError::TrialFailed`], or why there could be no trial.
    pub(super) async fn try_out(&self, staged: &Staged, uid: u32) -> Result<TrialReport, ApiError> {
        let api = self.trial_api().await?;
        let begun = Instant::now();
        let attempt = timeout(TRIAL_DEADLINE, self.run_trial(staged, uid, &api)).await;
        let (run, outcome) = match attempt {
            Ok(Ok((active, outcome))) => {
                let ready = outcome.is_ok().then(|| begun.elapsed());
                let report = self.report(&active, &api, ready).await;
                self.detach(&active, &api);
                (active.run.run.clone(), outcome.map(|()| report.clone()).map_err(|error| (error, report)))
            }
            // It ended before the hub's listener was in its namespace: what it printed says why.
            Ok(Err(ApiError::Unhealthy { detail, .. })) => {
                let output = self.trial_output(&staged.manifest).await;
                return Err(ApiError::TrialFailed { detail, output, report: Box::default() });
            }
            Ok(Err(error)) => return Err(error),
            Err(_elapsed) => {
                let detail = format!("the trial took longer than {} s", TRIAL_DEADLINE.as_secs());
                return Err(ApiError::TrialFailed { detail, output: String::new(), report: Box::default() });
            }
        };
        let outcome = match outcome {
            Ok(report) => Ok(report),
            Err((error, report)) => {
                let output = self.trial_output(&staged.manifest).await;
                Err(ApiError::TrialFailed { detail: error.to_string(), output, report: Box::new(report) })
            }
        };
        self.remove_trial(&run).await;
        outcome
    }

    /// An API whose state is empty and of which nothing is kept.
    async fn trial_api(&self) -> Result<Arc<Api>, ApiError> {
        let (info, limits) = (self.parts.api.info().clone(), self.parts.api.identity().limits());
        let store = (self.parts.memory_store)()?;
        Ok(Arc::new(Api::new(info, store, self.parts.calls.clone(), Development::default(), limits).await?))
    }

    async fn run_trial(
        &self,
        staged: &Staged,
        uid: u32,
        api: &Arc<Api>,
    ) -> Result<(Active, Result<(), ApiError>), ApiError> {
        let manifest = &staged.manifest;
        let spec = trial_spec(manifest, staged.has_main_py, uid, &staged.package_dir(), &staged.trial_data());
        let webhook_secret = token::new_webhook_secret()?;
        let (active, _) = self.launch(Launch { api, manifest, spec, webhook_secret }).await?;
        let outcome = self.until_healthy(&active, manifest).await;
        Ok((active, outcome))
    }

    async fn report(&self, active: &Active, api: &Api, ready: Option<Duration>) -> TrialReport {
        let usage = self.parts.sandbox.usage(&active.run.run).await.unwrap_or_default();
        let denied = api.audit_records(100).await.unwrap_or_default();
        TrialReport {
            time_to_ready_ms: ready.map(|ready| u64::try_from(ready.as_millis()).unwrap_or(u64::MAX)),
            peak_memory_bytes: usage.peak_memory_bytes,
            denied_calls: denied.into_iter().map(|record| format!("{}: {}", record.event, record.detail)).collect(),
            open_ports: usage.open_ports,
        }
    }

    async fn trial_output(&self, manifest: &Manifest) -> String {
        let logs = self.parts.sandbox.logs(&manifest.name, ContainerPurpose::Trial, MAX_OUTPUT_BYTES).await;
        logs.unwrap_or_else(|error| format!("(no output: {})", crate::error::chain(&error)))
    }

    async fn remove_trial(&self, run: &RunId) {
        if let Err(error) = self.parts.sandbox.remove(run).await {
            tracing::warn!(%run, error = &error as &dyn std::error::Error, "a trial's container was not removed; tried again later");
        }
    }
}

fn trial_spec(manifest: &Manifest, has_main_py: bool, uid: u32, package: &Path, data: &Path) -> ContainerSpec {
    let runtime = manifest.runtime_with(has_main_py);
    ContainerSpec {
        purpose: ContainerPurpose::Trial,
        module: manifest.name.clone(),
        version: manifest.version.clone(),
        port: manifest.port,
        uid,
        command: Command { runtime, entry_point: manifest.entry_point_with(runtime).unwrap_or_default() },
        package_dir: package.to_owned(),
        data_image: data.to_owned(),
        resources: manifest.resources.clone(),
    }
}
