//! What only a person grants (protocol, section 2, "Consent").

use std::sync::Arc;

use selena_types::{Manifest, ModuleName, ModuleState};
use serde_json::{Value, json};

use super::{Modules, install};
use crate::ApiError;

/// What has to be granted before a first start, if anything.
pub(super) fn needed(manifest: &Manifest) -> Option<Value> {
    let asks = install::asks(manifest);
    let empty = asks.as_object().is_some_and(|all| all.values().all(|list| list == &json!([])));
    (!empty).then_some(asks)
}

impl Modules {
    /// What a module waits for: `{"name","status","version","adds"}`.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] if there is no such module; 409 `not_awaiting_consent` if it waits for nothing.
    pub fn awaited_consent(&self, name: &ModuleName) -> Result<Value, ApiError> {
        let record = self.record(name)?;
        if record.state != ModuleState::AwaitingConsent {
            let detail = format!("`{name}` does not wait for consent");
            return Err(ApiError::Conflict { code: "not_awaiting_consent", detail });
        }
        let adds = install::asks(&self.manifest(&record)?);
        Ok(json!({ "name": name, "status": record.state, "version": record.version, "adds": adds }))
    }

    /// Grants exactly what was shown, and starts the module.
    ///
    /// # Errors
    /// 409 `consent_changed` if it is not what the module asks for now; why it did not start.
    pub async fn consent(self: &Arc<Self>, name: &ModuleName, shown: &Value, who: &str) -> Result<Value, ApiError> {
        let awaited = self.awaited_consent(name)?;
        if shown["version"] != awaited["version"] || shown["adds"] != awaited["adds"] {
            let detail = "this is not what the module asks for: show it to the person again".to_owned();
            return Err(ApiError::Conflict { code: "consent_changed", detail });
        }
        self.parts.api.record("consent_given", who, &format!("{name} {}", awaited["adds"]));
        let status = self.start(name, who).await?;
        Ok(json!({ "name": name, "status": status }))
    }

    /// Drops a module that waits for consent.
    ///
    /// # Errors
    /// As [`Modules::awaited_consent`] and [`Modules::remove`].
    pub async fn refuse_consent(self: &Arc<Self>, name: &ModuleName, who: &str) -> Result<(), ApiError> {
        self.awaited_consent(name)?;
        self.parts.api.record("consent_refused", who, name.as_str());
        self.remove(name, who).await
    }
}
