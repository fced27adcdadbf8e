//! The secrets of modules: opened for the envelope, and sealed again with this hub's key.

use secrecy::zeroize::Zeroizing;
use selena_backup::{KeptSecrets, KeptToken};
use selena_types::Secret;

use super::{
    super::{Modules, launch::secret_context},
    invalid,
};
use crate::{ApiError, ModuleRecord, secrets::Kept, token};

/// What the tokens of a plan are bound to.
const TOKENS: &str = "backup-tokens";

impl Modules {
    pub(super) fn kept(&self) -> Kept {
        Kept { store: self.parts.api.store().clone(), vault: self.parts.backup.vault.clone() }
    }

    /// Opens the secrets of these modules. One that does not open is lost here too, and is left out.
    pub(super) async fn backup_secrets(&self, records: &[ModuleRecord]) -> Result<KeptSecrets, ApiError> {
        let mut secrets = KeptSecrets::default();
        for record in records {
            let opened = self.parts.sealer.open(&secret_context(record), &record.webhook_secret);
            match opened.ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
                Some(text) => secrets.webhooks.push((record.name.clone(), Secret::new(text))),
                None => tracing::error!(module = %record.name, "its webhook secret does not open; the backup has none"),
            }
        }
        let kept = self.kept();
        for (module, provider) in kept.places().await? {
            if !records.iter().any(|record| record.name == module) {
                continue;
            }
            match kept.read(&module, &provider).await {
                Ok(Some(secret)) => secrets.tokens.push(KeptToken { module, provider, secret }),
                Ok(None) => {}
                Err(error) if error.lost().is_some() => {
                    tracing::error!(%module, provider, error = &error as &dyn std::error::Error, "a token is lost; the backup has none");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(secrets)
    }

    /// The webhook secret of a module, sealed with this hub's key.
    pub(super) fn seal_webhook(&self, record: &ModuleRecord, secrets: &KeptSecrets) -> Result<Vec<u8>, ApiError> {
        let secret = secrets.webhooks.iter().find(|(name, _)| *name == record.name).map(|(_, secret)| secret);
        let is_one = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let new;
        let secret = match secret {
            Some(secret) if is_one(secret.expose()) => secret,
            Some(_) => return Err(invalid(format!("the webhook secret of `{}` is none", record.name))),
            // It was lost on that hub. The module is told the new one when it is started.
            None => {
                new = token::new_webhook_secret()?;
                &new
            }
        };
        let sealed = self.parts.sealer.seal(&secret_context(record), secret.expose().as_bytes());
        sealed.map_err(ApiError::internal)
    }

    /// The tokens of a plan, sealed with this hub's key.
    pub(super) fn seal_tokens(&self, tokens: Vec<KeptToken>) -> Result<Vec<u8>, ApiError> {
        let text = KeptSecrets { webhooks: Vec::new(), tokens }.to_json();
        self.parts.sealer.seal(TOKENS, &text).map_err(ApiError::internal)
    }

    pub(super) fn open_tokens(&self, sealed: &[u8]) -> Result<Vec<KeptToken>, ApiError> {
        let text = self.parts.sealer.open(TOKENS, sealed).map(Zeroizing::new).map_err(ApiError::internal)?;
        Ok(KeptSecrets::from_json(&text)?.tokens)
    }
}
