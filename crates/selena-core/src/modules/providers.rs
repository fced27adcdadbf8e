//! What the manifests of installed modules say of providers (protocol, section 7).

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use selena_types::{ModuleName, ModuleState, OAuthProvider};

use super::{ModuleRecord, Modules};
use crate::{ApiError, Providers};

/// The manifests, as long as the hub runs.
#[derive(Debug)]
struct Installed(Weak<Modules>);

impl Providers for Installed {
    fn provider(&self, module: &ModuleName, provider: &str) -> Option<OAuthProvider> {
        let modules = self.0.upgrade()?;
        let record = modules.record(module).ok().filter(|record| record.state != ModuleState::Removed)?;
        modules.providers_of(&record).remove(provider)
    }
}

impl Modules {
    /// What the manifests say of providers, now and after every update.
    #[must_use]
    pub fn providers(self: &Arc<Self>) -> Arc<dyn Providers> {
        Arc::new(Installed(Arc::downgrade(self)))
    }

    /// None of a manifest that this core does not read any more.
    pub(super) fn providers_of(&self, record: &ModuleRecord) -> BTreeMap<String, OAuthProvider> {
        self.manifest(record).map(|manifest| manifest.oauth).unwrap_or_default()
    }

    /// Deletes all tokens of a module that is removed; they are revoked in the background.
    pub(super) async fn forget_tokens(&self, record: &ModuleRecord) -> Result<(), ApiError> {
        match self.parts.api.oauth() {
            Some(oauth) => oauth.forget_module(&record.name, &self.providers_of(record)).await,
            None => Ok(()),
        }
    }

    /// Deletes the tokens that an update makes useless: they were granted for something else.
    pub(super) async fn forget_changed_tokens(&self, old: &ModuleRecord, new: &ModuleRecord) {
        let Some(oauth) = self.parts.api.oauth() else { return };
        let (before, now) = (self.providers_of(old), self.providers_of(new));
        if let Err(error) = oauth.forget_changed(&old.name, &before, &now).await {
            // They are not used any more, and go with the module at the latest.
            tracing::warn!(module = %old.name, error = &error as &dyn std::error::Error, "tokens of the version before were not deleted");
        }
    }
}
