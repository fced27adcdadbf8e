//! The integrity agent's reports, and the way out of SAFE MODE (protocol, section 8.2).

use std::sync::Arc;

use serde_json::{Value, json};

use super::Api;
use crate::{
    ApiError,
    identity::{Caller, Origin},
    integrity::{Integrity, Violation, restored_files},
};

impl Api {
    /// The same API, with an agent that watches it. Without this nobody can report, as in a trial.
    #[must_use]
    pub fn watched_by(self, integrity: Integrity) -> Self {
        Self { integrity, ..self }
    }

    /// What the integrity agent says, and SAFE MODE.
    #[must_use]
    pub fn integrity(&self) -> &Integrity {
        &self.integrity
    }

    /// `POST /integrity/violation`: the hub is in SAFE MODE when this returns, whatever else fails. Its modules are
    /// stopped by a task of their own.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] if the status is none.
    pub async fn report_violation(&self, body: &Value) -> Result<(), ApiError> {
        let violation = Violation::parse(body)?;
        let entered = self.integrity.enter(&violation);
        let (status, count) = (violation.finding.as_str(), violation.count);
        let files = violation.files.join(", ");
        tracing::error!(status, count, files, "the integrity agent found the hub changed: SAFE MODE, no module runs");
        self.record("integrity_violation", "agent", &format!("{status}: {count} files: {files}"));
        if let Ok(modules) = self.modules() {
            modules.stop_for_safe_mode();
        }
        self.tell("core.integrity_violation", violation.payload()).await;
        if entered {
            self.tell("core.safe_mode_entered", json!({ "cause": status })).await;
        }
        Ok(())
    }

    /// `POST /integrity/restored`: the agent put files back.
    pub async fn report_restored(&self, body: &Value) {
        let files = restored_files(body);
        self.integrity.restored();
        tracing::warn!(files = files.join(", "), "the integrity agent restored files");
        self.record("integrity_restored", "agent", &files.join(", "));
        self.tell("core.integrity_restored", json!({ "files": files })).await;
    }

    /// `POST /system/safe-mode/exit`: only after a clean check. The modules start again.
    ///
    /// # Errors
    /// 409 `not_in_safe_mode`, `integrity_not_clean` or `integrity_unknown`, with what to do.
    pub async fn exit_safe_mode(self: &Arc<Self>, caller: &Caller) -> Result<(), ApiError> {
        let api = self.clone();
        let left = tokio::task::spawn_blocking(move || api.integrity.leave()).await;
        left.map_err(ApiError::internal)??;
        tracing::warn!(by = caller.subject(), "SAFE MODE was left after a clean check");
        self.record("safe_mode_exit", caller.subject(), "after a clean check");
        self.tell("core.safe_mode_exited", json!({})).await;
        if let Ok(modules) = self.modules() {
            modules.start_after_safe_mode();
        }
        Ok(())
    }

    /// Whether this is the agent, which speaks on the host's listener only.
    ///
    /// # Errors
    /// 403 `agent_secret`.
    pub fn check_agent(&self, from: &Origin, secret: Option<&str>) -> Result<(), ApiError> {
        self.integrity.check_agent(secret.filter(|_| matches!(from, Origin::Host(_))))
    }

    /// An event that must not hold up what it tells of.
    async fn tell(&self, event_type: &'static str, payload: Value) {
        if let Err(error) = self.announce(event_type, payload).await {
            tracing::error!(error = &error as &dyn std::error::Error, event_type, "an event of the hub was not stored");
        }
    }
}
